"""Which photo shows which asset: by the 2020 job prefix, by folder, or by a table."""

import hashlib
import os
import re
import warnings
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from corroseg_utils.dataset import JOB, DataError
from corroseg_utils.photos import PHOTO_SUFFIXES, holds_report, is_photo_file, is_result, printable


class Entry(NamedTuple):
    """A photo of a report: its file, its name below the photo folder, a file name safe anywhere, and its
    asset.

    region: part of the photo that counts, as left, top, right, bottom in 0..1 of its width and height, or
    None.
    """

    path: Path
    name: str
    key: str
    asset: str
    place: str = ""
    date: str = ""
    region: tuple[float, float, float, float] | None = None


def list_photos(folder: Path | str, out: Path | str, steel: Path | str | None = None) -> list[Path]:
    """Photo files in a folder and the folders below it, sorted by name.

    What is no photo is left out: `out`, the pictures of earlier reports and of `segment`, and the masks in `steel`.
    Links to folders are not followed, and only regular files count: reading a pipe or a device could block.
    Raises DataError if the folder is none or holds no photo.
    """
    folder, left_out = Path(folder), [Path(path).resolve() for path in (out, steel) if path is not None]
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the folder that holds the photos.")
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if (Path(here) / name).resolve() not in left_out
                      and not (name == "photos" and holds_report(Path(here)))]  # beside them may lie real photos
        paths = (Path(here) / name for name in files)
        found += [path for path in paths if is_photo_file(path) and path.is_file() and not is_result(path)]
    if steel is not None:  # masks may lie beside the photos
        masks = {(Path(steel) / path.relative_to(folder)).with_suffix(".png").resolve()
                 for path in found if path.suffix.lower() != ".png"}
        found = [path for path in found if path.resolve() not in masks]
    if not found:
        raise DataError(f"{folder}: no photo here. Photos end in {', '.join(sorted(PHOTO_SUFFIXES))}.")
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


def group_photos(photos: list[Path], folder: Path | str, by: str = "job") -> list[Entry]:
    """Give each photo its asset.

    by: "job", the 2020 prefix `CDM_<number>` or `CDS_<number>` of the file name, or the folder of a photo
    without one; "folder"; or a CSV file with the columns photo (below `folder`, or just the file name) and
    asset, and optionally place, date and region ("left top right bottom" in percent of width and height, from
    the left and the top). A photo that the table lacks, or gives no asset, goes by "job". Raises DataError for a table
    that cannot be used, or that names none of the photos.
    """
    folder = Path(folder)
    table = {} if by in ("job", "folder") else _read_table(Path(by))
    if table and not table.keys() & _names(photos, folder):
        raise DataError(f"{by}: none of its photos lies in {folder}; the first in the table is {next(iter(table))!r}. "
                        "Give each photo as its path below that folder, or just its file name.")
    entries = []
    for path in photos:
        relative = path.relative_to(folder)
        name = printable(relative.as_posix())
        row = dict(table.get(name) or table.get(relative.name) or {})
        if not row.get("asset"):
            job = JOB.match(path.stem)
            parent = folder.resolve().name if relative.parent == Path() else relative.parent.as_posix()
            row["asset"] = printable(job[0] if by != "folder" and job else parent)
        entries.append(Entry(path, name, safe_key(relative.as_posix()), **row))
    return entries


def rows_without_photo(photos: list[Path], folder: Path | str, by: str) -> list[str]:
    """The photos that the table `by` names and that are not among `photos`, in its order: typing errors, mostly.

    Arguments as for `group_photos`; empty unless `by` is a table.
    """
    if by in ("job", "folder"):
        return []
    known = _names(photos, Path(folder))
    return [name for name in _read_table(Path(by)) if name not in known]


def safe_key(name: str) -> str:
    """A file name for anything that belongs to photo `name`: letters, digits, "_" and "-" only, different for each
    name."""
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", Path(name).stem).strip("-")[:40]
    return f"{slug or 'photo'}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:10]}"


def csv_cell(value) -> str:
    """A spreadsheet runs a cell that starts with =, +, - or @; a leading ' makes it the text that it is."""
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _names(photos: list[Path], folder: Path) -> set[str]:
    """What a table may call the photos: the path below the folder, or the file name alone."""
    return {name for path in photos for name in (printable(path.relative_to(folder).as_posix()), path.name)}


def _read_table(path: Path) -> dict[str, dict]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows with more cells than the first one
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False,
                                skip_blank_lines=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Group by job, by folder, or by a CSV file.") from error
    except Exception as error:  # pandas raises many kinds for what is not a table
        raise DataError(f"{path}: cannot be read as a CSV file ({error}). Save it as CSV in UTF-8, with as many cells "
                        "in each row as in the first.") from error
    missing = {"photo", "asset"} - set(table.columns)
    if missing:
        raise DataError(f"{path}: lacks the column {' and '.join(sorted(missing))}. "
                        "It needs photo and asset, separated by a comma, and may have place, date and region.")
    rows = {}
    for number, row in enumerate(table.to_dict("records"), 2):  # row 1 holds the names of the columns
        if not any(str(cell).strip() for cell in row.values()):  # spreadsheets add such rows at the end
            continue
        photo = row["photo"].strip().replace("\\", "/")
        if not photo:
            raise DataError(f"{path}: row {number} names no photo. Fill its cell, or remove the row.")
        if photo in rows:
            raise DataError(f"{path}: names the photo {photo!r} twice. Keep one of the rows.")
        entry = {key: printable(row[key].strip()) for key in ("asset", "place", "date") if key in row}
        if entry.get("date"):
            entry["date"] = _date(entry["date"], path)
        if row.get("region", "").strip():
            entry["region"] = _region(row["region"], path)
        rows[photo] = entry
    return rows


def _date(text: str, path: Path) -> str:
    """The page filters, and assets list their first and last date, by the order of these texts."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat()
    except ValueError as error:
        raise DataError(f"{path}: date {text!r} is not YYYY-MM-DD, such as 2026-03-31.") from error


def _region(text: str, path: Path) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(value) / 100 for value in re.split(r"[\s,;]+", text.strip()))
    except ValueError:
        left = top = right = bottom = -1.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise DataError(f"{path}: region {text!r} is not left top right bottom in percent, such as 10 0 90 100.")
    return left, top, right, bottom
