"""The command `corrections`: what an inspector changed, as a data set to train on.

Two ways to correct a report lead here: the review saved from its page (confirm, reject), and masks redrawn in an
annotation tool (COCO or LabelMe files). A photo that nobody judged or redrew stays out: the model's own answer teaches
it nothing.
"""

import argparse
import csv
import io
import json
import shutil
import sys
from collections.abc import Iterator, Set
from pathlib import Path

import numpy as np

from corroseg_utils.annotations import (
    AnnotationError,
    checked_size,
    decode_rle,
    is_touched,
    labelme_path,
    read_annotations,
    read_json,
    through_labelme,
    write_labelme,
)
from corroseg_utils.assets import safe_key
from corroseg_utils.dataset import CLASS_NAMES
from corroseg_utils.errors import CorrosegError
from corroseg_utils.photos import copy_upright, write_png, write_whole
from corroseg_utils.report_files import fingerprint, read_report

REVIEW_SCHEMA = "corroseg-review/1"


def read_review(path: Path | str) -> tuple[dict[str, dict[int, str]], dict[str, str]]:
    """Verdicts of a review file: photo name -> finding number -> "confirm" or "reject"; comments alone do not count.

    Number 0 is what the report does not list: regions that are too small or too many, or, where nothing is marked,
    that nothing is corroded.

    Returns:
        The verdicts, and the fingerprint of the findings that they are about: photo name -> see
        `report_files.fingerprint`. A review made by hand may lack fingerprints.

    Raises:
        AnnotationError: the file is no review.
    """
    content = read_json(path)
    try:
        if content["schema"] != REVIEW_SCHEMA:
            raise ValueError(f"its schema is {content['schema']!r}")
        verdicts = {photo: dict(_verdict(photo, *entry) for entry in notes.items())
                    for photo, notes in content["photos"].items()}
        fingerprints = dict(content.get("fingerprints", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(f"{path}: not a review ({error}). Save it again from the report's page, or mend it as "
                              "the README shows.") from error
    given = {photo: {number: verdict for number, verdict in notes.items() if verdict}
             for photo, notes in verdicts.items()}
    return {photo: notes for photo, notes in given.items() if notes}, fingerprints


def _verdict(photo: str, number: str, note: dict) -> tuple[int, str]:
    if not number.isdecimal() or not isinstance(note, dict):
        raise ValueError(f'{photo!r} needs numbers of findings with their verdicts, {{"1": {{"verdict": "reject"}}}}, '
                         f'and has {json.dumps({number: note})}')
    verdict = note.get("verdict") or ""
    if verdict not in ("", "confirm", "reject"):
        raise ValueError(f"a verdict is confirm, reject or empty, and not {verdict!r}")
    return int(number), verdict


def reviewed_masks(report: Path | str, review: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Masks of the reviewed photos: all that the model found there, without the findings that were rejected.

    Findings without a verdict stay, and so does what is not listed, as corrosion of any kind, unless number 0 was
    rejected. What the model missed is still missing: only redrawn masks can add it. Photos of which the report saw a
    part alone, by a region or a steel mask, are left out, for the rest would count as sound; how many is printed to
    standard error.

    Args:
        report: folder that `report` wrote.
        review: file saved from its page, see `read_review`.

    Yields:
        Photo name and mask, uint8 (H, W) of class indices.

    Raises:
        AnnotationError: the review is about photos or findings that the report lacks, or was made of a report with
            other findings, so that its numbers mean others.
    """
    known = _results(report)
    verdicts, fingerprints = read_review(review)
    in_part = 0
    for name, judged in verdicts.items():
        if name not in known:
            raise AnnotationError(f"{review}: {report} has no photo {name!r}. Give the report that the review was made "
                                  "from, and names as its findings.csv has them.")
        result = read_json(known[name])
        _check_numbers(review, name, judged, result)
        now = fingerprint(result)
        if fingerprints.get(name, now) != now:
            raise AnnotationError(f"{review}: {report} has other findings in {name!r} than what was reviewed. Give "
                                  "the report that it was made from, or load the review in the page of this one, which "
                                  "keeps what still holds, judge the rest, and save it again.")
        if result["surface"] != "photo":
            in_part += 1
            continue
        yield name, _mask(result, {number for number, verdict in judged.items() if verdict == "reject"})
    if in_part:
        print(f"{review}: {in_part} photos were inspected in a part alone, by a region or a steel mask, and were left "
              "out; draw their whole masks in an annotation tool.", file=sys.stderr)


def _check_numbers(review, name: str, judged: dict[int, str], result: dict) -> None:
    listed, rest = {finding["finding"] for finding in result["findings"]}, result["rest"]["regions"]
    if judged.get(0) == "reject" and not listed and not rest:
        raise AnnotationError(f"{review}: nothing is marked in {name!r}, so nothing can be rejected. If something was "
                              "missed there, draw it in an annotation tool.")
    unknown = set(judged) - listed - ({0} if rest or not listed else set())
    if unknown:
        raise AnnotationError(f"{review}: it judges number {min(unknown)} in {name!r}, where the report lists "
                              f"{len(listed)} findings and {'some' if rest else 'no'} smaller regions (number 0). Give "
                              "the report that the review was made from.")


def redrawn_masks(report: Path | str, photos: Path | str,
                  annotations: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Masks of the annotated photos, see `read_annotations`, without those that are as the report had them.

    A tool gives back every photo that it was given, and does not say which of them somebody looked at. So a mask that
    is as the report has it is left out, and a LabelMe file whose mask is as it was written, be it for an earlier run.
    How many are left out is printed to standard error.
    """
    known, left_out = _results(report), 0
    for name, mask in read_annotations(annotations, photos):
        if name in known:
            touched = is_touched(labelme_path(annotations, name), mask)
            if touched is None:
                before = _mask(read_json(known[name]))
                touched = not np.array_equal(mask, through_labelme(before) if Path(annotations).is_dir() else before)
            if not touched:
                left_out += 1
                continue
            _check_photo(photos, name, read_json(known[name]))
        yield name, mask
    if left_out:
        print(f"{annotations}: {left_out} photos are as the report had them and were left out; what is right as it is "
              "can be confirmed in a review.", file=sys.stderr)


def _results(report) -> dict[str, Path]:
    """Photo name -> file with all that was found in it."""
    photos = read_report(report)["photos"]
    return {photo["photo"]: Path(report) / "photos" / f"{photo['id']}.json" for photo in photos}


def _check_photo(photos: Path | str, name: str, result: dict) -> None:
    """Refuse a photo that is another one of the same name, from another visit, going by the size of its file."""
    inspected, found = result["made_from"]["files"][0][0], (Path(photos) / name).stat().st_size
    if found != inspected:
        raise AnnotationError(f"{Path(photos) / name}: this is not the photo that was inspected: it has {found} bytes, "
                              f"and that one had {inspected}. Give the folder that the report was made from with "
                              "--photos.")


def _mask(result: dict, rejected: Set[int] = frozenset()) -> np.ndarray:
    """What was found in a photo, uint8 (H, W) of class indices, without these numbers; 0 is what is not listed."""
    parts = [*((finding["finding"], finding["class"]) for finding in result["findings"]), (0, "cor")]
    mask = np.zeros((result["height"], result["width"]), np.uint8)
    for (number, kind), segmentation in zip(parts, result["segmentations"], strict=True):
        if number not in rejected:
            mask[decode_rle(segmentation)] = CLASS_NAMES.index(kind)
    return mask


def corrections_to_dataset(report: Path | str, photos: Path | str, out: Path | str, review: Path | str | None = None,
                           annotations: Path | str | None = None) -> list[str]:
    """Write the corrected photos and masks as a data set: `out`/images, `out`/masks and `out`/manifest.csv.

    `read_data` and `train` take `out`/manifest.csv; its groups are the report's assets, so that no split divides one.

    Args:
        report: folder that `report` wrote.
        photos: the folder of photos it was made from.
        out: folder for the data set.
        review: review saved from the page.
        annotations: COCO file or folder of LabelMe files, see `redrawn_masks`; a photo that is redrawn there and
            reviewed goes by these.

    Returns:
        Names of the photos written.

    Raises:
        CorrosegError: nothing was corrected, a file does not fit the others, or `out` holds files already.
    """
    out, photos = Path(out).resolve(), Path(photos)
    if out.exists() and any(out.iterdir()):  # a new manifest would drop the photos of an old one
        raise AnnotationError(f"{out}: there are files in this folder already. Give a new one with --out, or remove it "
                              "first.")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    try:
        names = _write_dataset(report, photos, part, review, annotations)
        if out.exists():
            out.rmdir()
        part.rename(out)  # all of it or nothing
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return names


def _write_dataset(report, photos: Path, out: Path, review, annotations) -> list[str]:
    assets = {photo["photo"]: photo["asset"] for photo in read_report(report)["photos"]}
    written = {}
    for name, mask in _corrected(report, photos, review, annotations):
        key = safe_key(name)
        image = copy_upright(photos / name, out / "images" / f"{key}{Path(name).suffix.lower()}")
        write_png(out / "masks" / f"{key}.png", mask)
        written[name] = (f"images/{image.name}", f"masks/{key}.png", assets.get(name, name))
    if not written:
        raise AnnotationError("Nothing is corrected: give a review with verdicts, or masks that were redrawn.")
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("image", "mask", "group"), *written.values()])
    write_whole(out / "manifest.csv", lambda file: file.write(table.getvalue().encode()))
    return list(written)


def _corrected(report, photos, review, annotations) -> Iterator[tuple[str, np.ndarray]]:
    if review:
        known = _results(report)
        for name, mask in reviewed_masks(report, review):
            checked_size(review, photos, name, *mask.shape)
            _check_photo(photos, name, read_json(known[name]))
            yield name, mask
    if annotations:
        yield from redrawn_masks(report, photos, annotations)


def add_parser(subparsers) -> None:
    """Add the command `corrections` to the command line."""
    parser = subparsers.add_parser(
        "corrections", help="turn a corrected report into a data set",
        description="Write the photos that were reviewed in the report's page or redrawn in an annotation tool as a "
        "data set for `train`: images/, masks/ and manifest.csv. With --to-labelme, write files to be corrected "
        "in LabelMe instead; CVAT reads the report's coco.json.")
    parser.add_argument("report", type=Path, metavar="REPORT", help="folder that the command report wrote")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos that the report was made from")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the data set")
    parser.add_argument("--review", type=Path, metavar="JSON",
                        help="review saved from the page; in a photo with a verdict, what was not rejected counts as "
                             "corrosion")
    parser.add_argument("--annotations", type=Path, metavar="PATH", help="COCO file, or folder of LabelMe files")
    parser.add_argument("--to-labelme", action="store_true", help="write LabelMe files of the report's masks to DIR, "
                        "where there are none yet")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.to_labelme:
        if options.review or options.annotations:
            raise CorrosegError("--to-labelme writes files to be corrected, and --review and --annotations read what "
                                "was corrected. Give one or the other.")
        written, kept, known = 0, 0, _results(options.report)
        for name, mask in read_annotations(options.report / "coco.json", options.photos):
            _check_photo(options.photos, name, read_json(known[name]))
            if labelme_path(options.out, name).exists():  # perhaps a day's work
                kept += 1
            else:
                write_labelme(options.out, options.photos / name, name, mask, to_correct=True)
                written += 1
        if kept:
            print(f"{kept} files were there already and stay as they are; delete those that you want anew")
        print(f"{written} LabelMe files are new in {options.out}; give that folder as --annotations when you are done")
        return 0
    names = corrections_to_dataset(options.report, options.photos, options.out, options.review, options.annotations)
    print(f"{len(names)} corrected photos: {options.out / 'manifest.csv'}")
    return 0
