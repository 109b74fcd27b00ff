"""Print the statistics of a data set beside those of 2020, as Markdown: `python data/render/describe.py DIR`."""

import argparse
from pathlib import Path

import pandas as pd
from check import findings_table, read_tables

GRADES_2020 = {
    "cor": {1: 195, 2: 426, 3: 157, 4: 56}, "rus": {1: 303, 2: 16, 3: 1, 4: 3, 5: 32},
    "pit": {1: 16, 2: 36, 3: 14, 4: 2}, "lom": {1: 9, 2: 11, 4: 39, 5: 20},
}  # fmt: skip


def beside_2020(tables: dict[str, pd.DataFrame]) -> list[tuple[str, str, str]]:
    """Rows of what, value here, value of 2020."""
    facts = tables["photos.csv"]
    found = findings_table(tables)
    share = facts.corroded_share.astype(float)
    corroded = share > 0
    per_photo = found.groupby("photo").size().value_counts(normalize=True)
    views = facts.group.value_counts()
    rows = [
        ("photos", f"{len(facts)}", "2,105"),
        ("annotated photos", f"{corroded.sum()}", "882"),
        ("findings (masks)", f"{len(found)}", "1,336"),
        ("jobs", f"{len(views)}", "131 among the annotated"),
        ("photos of a job", f"{views.min()}-{views.max()}", "up to 84"),
        (
            "annotated photos with 1 / 2 / 3 / 4 findings, %",
            " / ".join(f"{100 * per_photo.get(k, 0):.0f}" for k in (1, 2, 3, 4)),
            "58 / 35 / 6 / 1",
        ),
        (
            "mean corroded share of corroded photos",
            f"{100 * share[corroded].mean():.1f} %",
            "at most 15.7 % (first mask only)",
        ),
        (
            "corroded photos with a finding below 0.5 %",
            f"{100 * found[found.share < 0.005].photo.nunique() / max(1, corroded.sum()):.0f} %",
            "not known",
        ),
        ("photos without corrosion", f"{100 * (~corroded).mean():.0f} %", "not known"),
        ("photos with look-alikes", f"{100 * (facts.lookalikes != '').mean():.0f} %", "not known"),
    ]
    for kind, old in GRADES_2020.items():
        mine = found[found.kind == kind].grade.value_counts()
        text = ", ".join(f"{g}: {mine.get(g, 0)}" for g in range(1, 6 if kind in ("rus", "lom") else 5))
        rows.append(
            (
                f"`{kind}` findings by grade",
                f"{mine.sum()} ({text})",
                f"{sum(old.values())} ({', '.join(f'{g}: {n}' for g, n in old.items())})",
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    root = parser.parse_args().dir
    tables, _ = read_tables(root)
    print("| what | this set | 2020 |\n|---|---|---|")
    for row in beside_2020(tables):
        print("| " + " | ".join(row) + " |")
    facts = tables["photos.csv"]
    found = findings_table(tables)
    print(
        "\n| split | jobs | photos | without corrosion | " + " | ".join(f"`{k}`" for k in GRADES_2020)
        + " |\n|---|---|---|---|---|---|---|---|"
    )
    for part, group in tables["split.csv"].groupby("split").group:
        photos = facts[facts.group.isin(group)]
        counts = [str(((found.kind == k) & (found.split == part)).sum()) for k in GRADES_2020]
        clean = (photos.corroded_share.astype(float) == 0).sum()
        print(f"| {part} | {len(group)} | {len(photos)} | {clean} | " + " | ".join(counts) + " |")
    for column in ("asset", "light", "surroundings", "distance", "coating"):
        print(f"\n{column}: " + ", ".join(f"{k} {n}" for k, n in facts[column].value_counts().items()))


if __name__ == "__main__":
    main()
