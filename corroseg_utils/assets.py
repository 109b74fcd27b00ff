"""Which photo shows which asset: by the 2020 job prefix, by folder, or by a table."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from corroseg_utils.dataset import JOB, DataError, read_csv
from corroseg_utils.photo_files import PHOTO_SUFFIXES, photos_below, printable


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
    """Photo files in a folder and the folders below it, sorted by name, without those in `out` and `steel`: see
    `photos_below`.

    Raises:
        DataError: the folder is none, is that of the steel masks, or holds no photo.
        CorrosegError: a folder below it cannot be opened.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the folder that holds the photos.")
    if steel is not None and Path(steel).resolve() == folder.resolve():
        raise DataError(f"{steel}: the steel masks lie among the photos, and would be taken for photos. Move them to a "
                        "folder of their own.")
    found = photos_below(folder, [Path(path) for path in (out, steel) if path is not None])
    if not found:
        raise DataError(f"{folder}: no photo here. Photos end in {', '.join(sorted(PHOTO_SUFFIXES))}.")
    return found


def group_photos(photos: list[Path], folder: Path | str, by: str = "job") -> list[Entry]:
    """Give each photo its asset.

    by: "job", the 2020 prefix `CDM_<number>` or `CDS_<number>` of the file name, or the folder of a photo
    without one; "folder"; or a CSV file with the columns photo (below `folder`, or just the file name) and
    asset, and optionally place, date and region ("left top right bottom" in percent of width and height, from
    the left and the top). A photo that the table lacks, or gives no asset, goes by "job". Raises DataError for a table
    that cannot be used, that names none of the photos, or that names several by their file name alone.
    """
    folder = Path(folder)
    table = {} if by in ("job", "folder") else _read_table(Path(by))
    if table and not table.keys() & _names(photos, folder):
        raise DataError(f"{by}: none of its photos lies in {folder}; the first in the table is {next(iter(table))!r}. "
                        "Give each photo as its path below that folder, or just its file name.")
    names, relatives = _file_names(photos), {_name(path.relative_to(folder)) for path in photos}
    if doubtful := [name for name in table if names[name] > 1 and name not in relatives]:
        raise DataError(f"{by}: {names[doubtful[0]]} photos in {folder} have the name {doubtful[0]!r}. Give each as "
                        "its path below that folder.")
    rows, entries = _rows_of(photos, folder, table), []
    for path in photos:
        relative, row = path.relative_to(folder), dict(rows.get(path, {}))
        if not row.get("asset"):
            job = JOB.match(path.stem)
            parent = folder.resolve().name if relative.parent == Path() else relative.parent.as_posix()
            row["asset"] = printable(job[0] if by != "folder" and job else parent)
        entries.append(Entry(path, printable(relative.as_posix()), safe_key(relative.as_posix()), **row))
    return entries


def _rows_of(photos: list[Path], folder: Path, table: dict[str, dict]) -> dict[Path, dict]:
    """The row of each photo that the table names, by its path below the folder, or by a file name that it alone has."""
    names, rows = _file_names(photos), {}
    for path in photos:
        alone = _name(Path(path.name))
        row = table.get(_name(path.relative_to(folder))) or (names[alone] == 1 and table.get(alone))
        if row:
            rows[path] = row
    return rows


def _file_names(photos: list[Path]) -> Counter:
    return Counter(_name(Path(path.name)) for path in photos)


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


def photos_without_row(photos: list[Path], folder: Path | str, by: str) -> list[str]:
    """The photos that the table `by` does not name; arguments as for `rows_without_photo`."""
    if by in ("job", "folder"):
        return []
    rows = _rows_of(photos, Path(folder), _read_table(Path(by)))
    return [printable(path.relative_to(folder).as_posix()) for path in photos if path not in rows]


def _names(photos: list[Path], folder: Path) -> set[str]:
    """What a table may call the photos: the path below the folder, or the file name alone."""
    return {name for path in photos for name in (_name(path.relative_to(folder)), _name(Path(path.name)))}


def _name(path: Path) -> str:
    """A name as it is compared: macOS may write an umlaut as two signs, where a table has one."""
    return unicodedata.normalize("NFC", printable(path.as_posix()))


def _read_table(path: Path) -> dict[str, dict]:
    if not path.is_file():
        raise DataError(f"{path}: no such file. Group by job, by folder, or by a CSV file.")
    table = read_csv(path, ["photo", "asset"], dtype=str, keep_default_na=False, skip_blank_lines=False)
    rows = {}
    for number, row in enumerate(table.to_dict("records"), 2):  # row 1 holds the names of the columns
        if not any(str(cell).strip() for cell in row.values()):  # spreadsheets add such rows at the end
            continue
        photo = unicodedata.normalize("NFC", row["photo"].strip().replace("\\", "/"))
        if not photo:
            raise DataError(f"{path}: row {number} names no photo. Fill its cell, or remove the row.")
        if photo in rows:
            raise DataError(f"{path}: names the photo {photo!r} twice. Keep one of the rows.")
        entry = {key: printable(row[key].strip()) for key in ("asset", "place", "date") if key in row}
        if entry.get("date"):
            entry["date"] = _date(entry["date"], path, photo)
        if row.get("region", "").strip():
            entry["region"] = _region(row["region"], path, photo)
        rows[photo] = entry
    if not rows:
        raise DataError(f"{path}: has no row below its header. Name a photo and its asset in each row.")
    return rows


def _date(text: str, path: Path, photo: str) -> str:
    """The page filters, and assets list their first and last date, by the order of these texts."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat()
    except ValueError as error:
        raise DataError(f"{path}: the date {text!r} of {photo!r} is not YYYY-MM-DD, such as 2026-03-31.") from error


def _region(text: str, path: Path, photo: str) -> tuple[float, float, float, float]:
    try:
        left, top, right, bottom = (float(value) / 100 for value in re.split(r"[\s,;]+", text.strip()))
    except ValueError:
        left = top = right = bottom = -1.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise DataError(f"{path}: the region {text!r} of {photo!r} is not left top right bottom in percent, such as "
                        "10 0 90 100.")
    return left, top, right, bottom
