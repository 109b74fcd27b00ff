"""Check a data set against its contract and print every problem: `python data/render/check.py DIR`.

Needs numpy, Pillow and pandas only. The contract is in data/README.md. Exit code 1 when anything is wrong.
"""

import argparse
import hashlib
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

GRADES = {"cor": 4, "rus": 5, "pit": 4, "lom": 5}
SLOTS = ["mask_1", "mask_2", "mask_3", "mask_4"]
PHOTO = re.compile(r"(CD[MS]_\d{5})_IMG_\d{4}")
MASK = re.compile(r"_(cor|rus|pit|lom)(\d)_(CD[MS]_\d{5}_IMG_\d{4})")
TABLES = ("support_dataset.csv", "split.csv", "photos.csv")
SPLIT_SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}


def read_tables(root: Path) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The three tables by name, every cell a string, and the problems met reading them."""
    columns = {
        "support_dataset.csv": ["images_names", *SLOTS],
        "split.csv": ["group", "split"],
        "photos.csv": ["images_names", "group", "asset", "coating", "light", "surroundings", "distance", "steel_share",
                       "corroded_share", "finding_shares", "lookalikes"],
    }  # fmt: skip
    tables, problems = {}, []
    for name in TABLES:
        if not (root / name).is_file():
            problems.append(f"{name}: missing")
            continue
        tables[name] = pd.read_csv(root / name, dtype=str, keep_default_na=False)
        if list(tables[name].columns) != columns[name]:
            problems.append(f"{name}: columns are {list(tables[name].columns)}, not {columns[name]}")
            del tables[name]
    return tables, problems


def open_image(path: Path, problems: list[str]) -> Image.Image | None:
    """The decoded image, or None and a problem."""
    try:
        image = Image.open(path)
        image.load()
        return image
    except (OSError, SyntaxError) as error:
        problems.append(f"{path.name}: cannot be read ({error})")
        return None


def number_problems(facts: pd.DataFrame) -> list[str]:
    """Cells of photos.csv that should hold shares, 0 to 1, and do not."""
    problems = []
    for row in facts.itertuples(index=False):
        cells = [row.steel_share, row.corroded_share, *filter(None, row.finding_shares.split(";"))]
        problems += [f"photos.csv: {row.images_names} has {cell!r} for a share" for cell in cells if not is_share(cell)]
    return problems


def is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def image_problems(root: Path, photo: str, findings: list[str], stated: list[float], corroded: float) -> list[str]:
    """What is wrong with one photo and its masks.

    `stated` holds the share of the picture of each finding, `corroded` that of all together.
    """
    problems: list[str] = []
    picture = open_image(root / "photos" / f"{photo}.JPG", problems)
    if picture is None:
        return problems
    if picture.format != "JPEG" or picture.mode != "RGB" or max(picture.size) != 512:
        problems.append(
            f"{photo}.JPG: {picture.format} {picture.mode} {picture.size}, not an RGB JPEG with the long side at 512"
        )
    union = np.zeros(picture.size[::-1], bool)
    if len(stated) != len(findings):
        problems.append(f"photos.csv: {photo} states {len(stated)} shares for {len(findings)} findings")
        stated = [np.nan] * len(findings)
    for finding, share in zip(findings, stated, strict=True):
        if not (root / "masks" / f"{finding}.png").is_file():
            continue  # reported with the table
        mask = open_image(root / "masks" / f"{finding}.png", problems)
        if mask is None:
            continue
        values = np.asarray(mask)
        if mask.mode != "L" or mask.size != picture.size:
            problems.append(
                f"{finding}.png: {mask.mode} {mask.size}, but its photo is {picture.size}; wanted: 8 bits, that size"
            )
            continue
        if not set(np.unique(values)) <= {0, 255}:
            problems.append(f"{finding}.png: values other than 0 and 255")
        if not values.any():
            problems.append(f"{finding}.png: empty mask")
        if (union & (values > 0)).any():
            problems.append(f"{finding}.png: overlaps another finding of its photo")
        if abs((values > 0).mean() - share) > 1e-4:
            problems.append(f"photos.csv: {finding} covers {(values > 0).mean():.5f} of the picture, stated {share}")
        union |= values > 0
    if abs(union.mean() - corroded) > 1e-4:
        problems.append(f"photos.csv: {union.mean():.5f} of {photo} is corroded, stated {corroded}")
    if stated and stated[0] < max(stated):
        problems.append(f"support_dataset.csv: the largest finding of {photo} does not come first")
    return problems


def layout_problems(root: Path) -> list[str]:
    """Files against tables in both directions, names, images, hashes."""
    tables, problems = read_tables(root)
    if len(tables) < len(TABLES):
        return problems
    support, split, facts = (tables[name] for name in TABLES)
    photos = {p.stem for p in (root / "photos").glob("*.JPG")}
    masks = {p.stem for p in (root / "masks").glob("*.png")}
    strays = [
        p for folder in ("photos", "masks") for p in (root / folder).iterdir() if p.suffix not in (".JPG", ".png")
    ]
    problems += [f"{p.name}: does not belong in {p.parent.name}/" for p in strays]
    rows = list(support.images_names)
    listed = [m for slot in SLOTS for m in support[slot] if m != "nothing"]
    problems += [f"support_dataset.csv: {n} listed twice" for n in sorted({n for n in rows if rows.count(n) > 1})]
    problems += [
        f"support_dataset.csv: mask {m} listed twice" for m in sorted({m for m in listed if listed.count(m) > 1})
    ]
    problems += [f"{n}.JPG: in the table but not in photos/" for n in sorted(set(rows) - photos)]
    problems += [f"{n}.JPG: in photos/ but not in the table" for n in sorted(photos - set(rows))]
    problems += [f"{m}.png: in the table but not in masks/" for m in sorted(set(listed) - masks)]
    problems += [f"{m}.png: in masks/ but not in the table" for m in sorted(masks - set(listed))]
    problems += [
        f"photos.csv: {n} differs from support_dataset.csv" for n in sorted(set(facts.images_names) ^ set(rows))
    ]
    groups = {match[1] for n in rows if (match := PHOTO.fullmatch(n))}
    problems += [f"split.csv: {g} has no row or no photo" for g in sorted(groups ^ set(split.group))]
    problems += [f"split.csv: {g} listed twice" for g in sorted(split.group[split.group.duplicated()])]
    problems += [f"split.csv: unknown split {s!r}" for s in sorted(set(split.split) - set(SPLIT_SHARES))]
    if unreadable := number_problems(facts):
        return problems + unreadable
    shares = dict(zip(facts.images_names, facts.finding_shares, strict=True))
    corroded = dict(zip(facts.images_names, facts.corroded_share.astype(float), strict=True))
    for row in support.itertuples(index=False):
        name, slots = row[0], list(row[1:])
        if not PHOTO.fullmatch(name):
            problems.append(f"{name}: not of the form CDM_12345_IMG_0123")
        findings = [m for m in slots if m != "nothing"]
        if slots != findings + ["nothing"] * (4 - len(findings)):
            problems.append(f"support_dataset.csv: {name} has an empty slot before a mask")
        for m in findings:
            match = MASK.fullmatch(m)
            if not match or match[3] != name or not 1 <= int(match[2]) <= GRADES[match[1]]:
                problems.append(f"{m}.png: not a finding of {name} with a known class and grade")
        if name in photos:
            stated = [float(s) for s in shares.get(name, "").split(";") if s]
            problems += image_problems(root, name, findings, stated, corroded.get(name, np.nan))
    return problems + hash_problems(
        root, [f"photos/{n}.JPG" for n in photos] + [f"masks/{m}.png" for m in masks] + list(TABLES)
    )


def hash_problems(root: Path, files: list[str]) -> list[str]:
    """SHA256SUMS against the files, both ways."""
    if not (root / "SHA256SUMS").is_file():
        return ["SHA256SUMS: missing"]
    lines = (root / "SHA256SUMS").read_text().splitlines()
    stated = {line[66:]: line[:64] for line in lines}
    problems = [f"SHA256SUMS: {f} has no line or no file" for f in sorted(set(files) ^ set(stated))]
    for f in sorted(set(files) & set(stated)):
        if hashlib.sha256((root / f).read_bytes()).hexdigest() != stated[f]:
            problems.append(f"{f}: differs from its SHA-256")
    return problems


def findings_table(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a finding: photo, group, split, kind, grade, share of the picture."""
    support, split, facts = (tables[name] for name in TABLES)
    of_group = dict(zip(split.group, split.split, strict=True))
    shares = dict(zip(facts.images_names, facts.finding_shares, strict=True))
    rows = []
    for row in support.itertuples(index=False):
        findings = [m for m in row[1:] if m != "nothing"]
        group = row[0][:9]
        for m, s in zip(findings, [float(s) for s in shares[row[0]].split(";") if s], strict=False):
            rows.append((row[0], group, of_group.get(group), m[1:4], int(m[4]), s))
    return pd.DataFrame(rows, columns=["photo", "group", "split", "kind", "grade", "share"])


def amount_problems(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Numbers that the set as a whole has to reach."""
    support, split, facts = (tables[name] for name in TABLES)
    found = findings_table(tables)
    share = facts.corroded_share.astype(float)
    corroded = share > 0
    views = facts.group.value_counts()
    small = found[found.share < 0.005].photo.nunique() / max(1, corroded.sum())
    lookalike = (facts.lookalikes != "").mean()
    wanted = [
        (len(support) >= 480, f"{len(support)} photos, at least 480 wanted"),
        (len(views) >= 70, f"{len(views)} jobs, at least 70 wanted"),
        (views.between(3, 12).all(), f"jobs of {views.min()} to {views.max()} photos, 3 to 12 wanted"),
        (
            0.10 <= share[corroded].mean() <= 0.20,
            f"mean corroded share of corroded photos {share[corroded].mean():.3f}, 0.10 to 0.20 wanted",
        ),
        (small >= 0.10, f"{small:.3f} of the corroded photos have a finding below 0.5 %, at least 0.10 wanted"),
        ((~corroded).mean() >= 0.12, f"{(~corroded).mean():.3f} of the photos have no corrosion, at least 0.12 wanted"),
        (lookalike >= 0.30, f"{lookalike:.3f} of the photos have a look-alike, at least 0.30 wanted"),
    ]
    problems = [text for good, text in wanted if not good]
    for kind in GRADES:
        count = int((found.kind == kind).sum())
        if count < 40:
            problems.append(f"{count} findings of {kind}, at least 40 wanted")
        for part in SPLIT_SHARES:
            if not ((found.kind == kind) & (found.split == part)).any():
                problems.append(f"no finding of {kind} in {part}")
    for part, expected in SPLIT_SHARES.items():
        got = (split.split == part).mean()
        if abs(got - expected) > 0.03:
            problems.append(f"{part} holds {got:.3f} of the jobs, {expected} wanted")
    return problems


def size_problems(root: Path) -> list[str]:
    """The whole set may take 30 MB."""
    files = [p for folder in ("photos", "masks") for p in (root / folder).iterdir()] + [
        root / t for t in (*TABLES, "SHA256SUMS")
    ]
    size = sum(p.stat().st_size for p in files if p.is_file()) / 1e6
    return [f"{size:.1f} MB, at most 30 MB wanted"] if size > 30 else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path, help="folder with photos/, masks/ and the tables")
    root = parser.parse_args().dir
    if not (root / "photos").is_dir() or not (root / "masks").is_dir():
        print(f"{root}: no photos/ and masks/ in it", file=sys.stderr)
        return 1
    problems = layout_problems(root)
    tables, _ = read_tables(root)
    if len(tables) == len(TABLES) and not number_problems(tables["photos.csv"]):
        problems += amount_problems(tables)
    problems += size_problems(root)
    print("\n".join(problems) if problems else f"{root}: as the contract says")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
