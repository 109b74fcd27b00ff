"""Masks, grades and tables in the layout of 2020."""

import csv
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from plan import CLASSES, Job

# Fewer pixels than this are no finding: nobody would mark them.
SMALLEST = 40
RI_SHARES = (0.0005, 0.005, 0.01, 0.08, 0.4)


def write(path: Path, data: bytes, scratch: Path) -> None:
    """Write a file so that a killed run leaves the whole file or none.

    `scratch` is a folder on the same disk that no other process writes to: the workers of a killed run finish their
    photos, perhaps while the next run renders the same job.
    """
    temporary = scratch / path.name
    temporary.write_bytes(data)
    os.replace(temporary, path)


def record_path(out: Path, job: Job) -> Path:
    """The file whose presence says that a job is done."""
    return out / "jobs" / f"{job.index:04d}_{job.group}.json"


def write_job(out: Path, job: Job, files: dict[str, bytes], records: list[dict], scratch: Path) -> None:
    """Write all photos and masks of a job (`files`: path below `out` to contents), then the record that it is done."""
    for name, data in files.items():
        write(out / name, data, scratch)
    write(record_path(out, job), json.dumps(records, indent=1).encode(), scratch)


def class_masks(dmg: np.ndarray, aux: np.ndarray) -> dict[str, np.ndarray]:
    """Boolean mask of each class: at least half the pixel is damaged, and this class has the largest part."""
    parts = np.stack([dmg[..., 0], dmg[..., 1], dmg[..., 2], aux[..., 0]], 2)
    winner, any_damage = parts.argmax(2), parts.sum(2) >= 0.5
    masks = {kind: any_damage & (winner == k) for k, kind in enumerate(CLASSES)}
    return {kind: mask for kind, mask in masks.items() if mask.sum() >= SMALLEST}


def grade(kind: str, mask: np.ndarray, coated: np.ndarray, depth: float) -> int:
    """Grade of a finding from its share of the visible steel and the depth stated for the job (relative, 0.5-1.6).

    rus: nearest Ri of ISO 4628-3 by rusted share of the coated surface, on a logarithmic scale. cor and pit (1-4) and
    lom (1-5): one step for each of three (four) levels of depth x extent; data/README.md holds the table.
    """
    share = mask.sum() / max(1.0, coated.sum(), mask.sum())
    if kind == "rus":
        return 1 + int(np.argmin([abs(np.log(share / s)) for s in RI_SHARES]))
    levels = {"cor": (0.006, 0.12, 0.4), "pit": (0.01, 0.06, 0.25), "lom": (0.01, 0.04, 0.12, 0.35)}[kind]
    return 1 + int(np.searchsorted(levels, share * depth))


def photo_record(
    name: str, job: Job, reach: str, aovs: dict[str, np.ndarray], depth: float
) -> tuple[dict, dict[str, bytes]]:
    """Metadata of one photo and its mask files (name to PNG bytes)."""
    masks = class_masks(aovs["dmg"], aovs["aux"])
    coated = aovs["aux"][..., 1] >= 0.5
    files, findings = {}, []
    for kind, mask in masks.items():
        finding = f"_{kind}{grade(kind, mask, coated, depth)}_{name}"
        stream = io.BytesIO()
        Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG", optimize=True)
        files[finding] = stream.getvalue()
        findings.append((finding, float(mask.mean())))
    findings.sort(key=lambda f: -f[1])
    shown = {
        "run-off": aovs["look"][..., 0] >= 0.5,
        "red or brown coating": aovs["look"][..., 1] >= 0.5,
        "object": aovs["look"][..., 2] >= 0.5,
        "dirt": aovs["aux"][..., 2] >= 0.5,
    }
    record = {
        "images_names": name,
        "group": job.group,
        "split": job.split,
        "asset": job.asset,
        "coating": job.paints[0],
        "light": job.light,
        "surroundings": job.place,
        "distance": reach,
        "findings": [f for f, _ in findings],
        "shares": [round(s, 6) for _, s in findings],
        "steel_share": round(float(coated.mean()), 4),
        "lookalikes": [k for k, v in shown.items() if v.mean() >= 0.004],
    }
    return record, files


def table(header: list[str], rows: list[list]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()


def write_tables(out: Path, scratch: Path) -> int:
    """Rebuild all tables from the records of finished jobs; returns the number of photos."""
    records = [r for p in sorted((out / "jobs").glob("*.json")) for r in json.loads(p.read_text())]
    records.sort(key=lambda r: r["images_names"])
    rows = [[r["images_names"], *(r["findings"] + ["nothing"] * 4)[:4]] for r in records]
    write(out / "support_dataset.csv", table(["images_names", "mask_1", "mask_2", "mask_3", "mask_4"], rows), scratch)
    splits = sorted({(r["group"], r["split"]) for r in records})
    write(out / "split.csv", table(["group", "split"], splits), scratch)
    keys = ["images_names", "group", "asset", "coating", "light", "surroundings", "distance", "steel_share"]
    rows = [
        [*(r[k] for k in keys), round(sum(r["shares"]), 6), ";".join(map(str, r["shares"])), ";".join(r["lookalikes"])]
        for r in records
    ]
    write(out / "photos.csv", table([*keys, "corroded_share", "finding_shares", "lookalikes"], rows), scratch)
    # From the records, as the folders may already hold some photos of a job that is not done.
    files = sorted(out / "masks" / f"{finding}.png" for r in records for finding in r["findings"])
    files += sorted(out / "photos" / f"{r['images_names']}.JPG" for r in records)
    files += [out / n for n in ("photos.csv", "split.csv", "support_dataset.csv")]
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(out).as_posix()}\n" for p in files]
    write(out / "SHA256SUMS", "".join(lines).encode(), scratch)
    return len(records)
