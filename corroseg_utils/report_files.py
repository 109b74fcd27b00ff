"""The files of a report, made from the finished photos' results: findings.json, findings.csv, assets.csv, coco.json,
report.html.

Nothing here depends on when or in how many runs the photos were inspected; the one time is the report's
`created`.
"""

import contextlib
import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from corroseg_utils.annotations import AnnotationError, read_json
from corroseg_utils.assets import Entry
from corroseg_utils.dataset import CLASS_NAMES
from corroseg_utils.grades import LIMITATIONS, grade
from corroseg_utils.photo_files import csv_cell
from corroseg_utils.photo_quality import CLEAR
from corroseg_utils.photos import write_whole
from corroseg_utils.report_page import write_page

SCHEMA = "corroseg-findings/1"  # findings.schema.json; a new number only when a reader of the old one would fail
NOTE = ("A decision aid made by a segmentation model: it puts photos in order of urgency, and is not a class survey. "
        "Shares refer to the pixels of the photo, or of its steel mask or region where one was given, and not to an "
        "area in square metres: distance, slant and what the photo leaves out all change them.")
CSV_COLUMNS = ("photo", "asset", "place", "date", "finding", "class", "area_pixels", "area_percent", "box_x", "box_y",
               "box_width", "box_height", "confidence", "surface", "corroded_percent", "corroded_low",
               "corroded_high", "astm_d610", "iso_4628_3", "imo", "quality", "error")
ASSET_COLUMNS = ("asset", "places", "first_date", "last_date", "photos", "unclear_photos", "failed_photos", "findings",
                 "worst_photo", "worst_percent", "worst_astm_d610", "worst_iso_4628_3", "worst_imo", "weighted_percent",
                 "weighted_low", "weighted_high", "weighted_astm_d610", "weighted_iso_4628_3", "weighted_imo")


class Report(NamedTuple):
    """A run of the command: where it read and wrote, its photos, those that failed and why, and how it was
    made."""

    photos: Path
    out: Path
    entries: list[Entry]
    failed: dict[str, str]
    model: str
    threshold: float
    sure: float | None
    scale: float | None
    created: str


RESULTS = ("findings.json", "findings.csv", "assets.csv", "coco.json", "report.html")  # beside the folder photos


def read_report(folder: Path | str) -> dict:
    """What `report` wrote into a folder, the content of its findings.json (or of a file of that kind).

    Raises:
        AnnotationError: there is none, or it is of something else.
    """
    path = Path(folder) / "findings.json" if Path(folder).is_dir() else Path(folder)
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise AnnotationError(f"{path}: not the findings.json of a report. Give the folder that `report` wrote.")
    return content


def write_report(report: Report) -> None:
    """Write all files of the report, each whole or not at all."""
    photos = [photo_record(entry, result) for entry, result in results(report)]
    content = {
        "schema": SCHEMA, "created": report.created, "model": report.model, "threshold": report.threshold,
        "sure": report.sure, "scale": report.scale, "note": NOTE, "limitations": LIMITATIONS,
        "assets": asset_records(photos), "photos": photos,
        "failed": [{"photo": name, "reason": why} for name, why in sorted(report.failed.items())],
    }
    text = json.dumps(content, ensure_ascii=False, indent=1)
    write_whole(report.out / "findings.json", lambda file: file.write(text.encode()))
    failed = [{"photo": entry.name, "asset": entry.asset, "place": entry.place, "date": entry.date, "findings": [],
               "error": report.failed[entry.name]} for entry in report.entries if entry.name in report.failed]
    write_whole(report.out / "findings.csv", lambda file: _write_findings(file, [*photos, *failed]))
    write_whole(report.out / "assets.csv", lambda file: _write_assets(file, content["assets"], failed))
    write_whole(report.out / "coco.json", lambda file: _write_coco(file, report))
    write_whole(report.out / "report.html", lambda file: write_page(file, content, report.out / "photos"))


def results(report: Report) -> Iterator[tuple[Entry, dict]]:
    """The finished photos one after the other, so that a long report needs little memory."""
    for entry in report.entries:
        if entry.name not in report.failed:
            yield entry, json.loads((report.out / "photos" / f"{entry.key}.json").read_text("utf-8"))


def photo_record(entry: Entry, result: dict) -> dict:
    """One photo as findings.json lists it."""
    about = {"photo": entry.name, "id": entry.key, "asset": entry.asset, "place": entry.place,
             "date": entry.date or result["date"], "fingerprint": fingerprint(result)}
    own = ("made_from", "segmentations", "rest_box", "photo_crc32", "date")
    return about | {key: value for key, value in result.items() if key not in own}


def fingerprint(result: dict) -> str:
    """Differs for other findings: a review is by their numbers, which mean others after a run with other settings.

    Number 0 is what is not listed, so that counts where there is any. A photo without findings is told by its pixels:
    another one of the same name, from the next visit, may have none either.
    """
    judged = result["findings"] or [result.get("photo_crc32")]
    judged = judged + ([result["rest"]] if result["rest"]["regions"] else [])
    return hashlib.sha256(json.dumps(judged).encode()).hexdigest()[:16]


def asset_records(photos: list[dict]) -> list[dict]:
    """Each asset with its worst photo and its area-weighted shares and grades, worst asset first.

    The weight of a photo is its surface in pixels, the denominator of its own share. Two photos of one spot
    count twice, and a close-up counts as much as a wide view: the weighted share is one of photographed
    pixels.
    """
    assets = []
    for name in sorted({photo["asset"] for photo in photos}):
        own = [photo for photo in photos if photo["asset"] == name]
        worst = max(own, key=lambda photo: photo["corroded_percent"])
        weights = sum(photo["surface_pixels"] for photo in own)
        shares = {key: round(sum(photo[key] * photo["surface_pixels"] for photo in own) / weights, 6)
                  for key in ("corroded_percent", "corroded_low", "corroded_high")}
        dates = sorted({photo["date"] for photo in own if photo["date"]})
        assets.append({
            "asset": name, "places": sorted({photo["place"] for photo in own if photo["place"]}),
            "first_date": dates[0] if dates else "", "last_date": dates[-1] if dates else "",
            "photos": len(own), "findings": sum(len(photo["findings"]) for photo in own),
            "unclear_photos": sum(photo["quality"] != CLEAR for photo in own),
            "worst": {key: worst[key] for key in
                      ("photo", "id", "corroded_percent", "astm_d610", "iso_4628_3", "imo")},
            "weighted": shares | grade(shares["corroded_percent"])._asdict(),
        })
    return sorted(assets, key=lambda asset: (-asset["worst"]["corroded_percent"], asset["asset"]))


def _write_findings(file: BinaryIO, photos: Iterable[dict]) -> None:
    """One row a finding; a photo without findings, or one that failed, has one row, with other columns empty."""
    with _table(file, CSV_COLUMNS) as write:
        for photo in photos:
            for finding in photo["findings"] or [{}]:
                row = {column: photo.get(column, finding.get(column, "")) for column in CSV_COLUMNS}
                write(row | dict(zip(("box_x", "box_y", "box_width", "box_height"), finding.get("box", ()),
                                     strict=False)))


def _write_assets(file: BinaryIO, assets: Iterable[dict], failed: list[dict]) -> None:
    """One row an asset, worst first; last those of which every photo failed."""
    failures = Counter(photo["asset"] for photo in failed)
    with _table(file, ASSET_COLUMNS) as write:
        for asset in assets:
            worst, weighted = asset["worst"], asset["weighted"]
            row = {column: asset.get(column, "") for column in ASSET_COLUMNS}
            row |= {"places": ", ".join(asset["places"]), "failed_photos": failures.pop(asset["asset"], 0),
                    "worst_photo": worst["photo"], "worst_percent": worst["corroded_percent"]}
            row |= {f"weighted_{key}": weighted[f"corroded_{key}"] for key in ("percent", "low", "high")}
            for standard in ("astm_d610", "iso_4628_3", "imo"):
                row |= {f"worst_{standard}": worst[standard], f"weighted_{standard}": weighted[standard]}
            write(row)
        for name, count in sorted(failures.items()):
            write({"asset": name, "photos": 0, "unclear_photos": 0, "failed_photos": count, "findings": 0})


@contextlib.contextmanager
def _table(file: BinaryIO, columns: Sequence[str]) -> Iterator[Callable[[dict], object]]:
    """Write a CSV table: the context is a function that takes a row; columns that it lacks stay empty."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    yield lambda row: table.writerow({column: csv_cell(value) for column, value in row.items()})
    text.detach()


def _write_coco(file: BinaryIO, report: Report) -> None:
    """COCO instances with exact run lengths at the photos' full size, written photo by photo.

    Attribute "finding" is the number in the report; 0 are all regions that are not listed, for they are too small or
    too many, in one annotation.
    """
    images, number, separator = [], 0, ""
    file.write(b'{"annotations":[')
    for image, (entry, result) in enumerate(results(report), 1):
        images.append({"id": image, "file_name": entry.name, "width": result["width"], "height": result["height"]})
        rest = {"finding": 0, "class": "cor", "box": result["rest_box"], "confidence": None}
        for finding, segmentation in zip([*result["findings"], rest], result["segmentations"], strict=True):
            area = sum(segmentation["counts"][1::2])
            if area == 0:
                continue
            number += 1
            annotation = {
                "id": number, "image_id": image, "category_id": CLASS_NAMES.index(finding["class"]),
                "bbox": finding["box"], "area": area, "iscrowd": 1, "segmentation": segmentation,
                "attributes": {"finding": finding["finding"], "confidence": finding["confidence"]},
            }
            file.write((separator + json.dumps(annotation, separators=(",", ":"))).encode())
            separator = ",\n"
    rest_of_file = {
        "info": {"description": "Found by a model; correct it before training on it", "version": report.model},
        "licenses": [], "images": images,
        "categories": [{"id": index, "name": name} for index, name in enumerate(CLASS_NAMES) if index],
    }
    file.write(b"]," + json.dumps(rest_of_file, ensure_ascii=False, indent=1).encode()[1:])
