"""From folders and tables to one manifest, and from the manifest to arrays.

A manifest is a pandas table with one row a photo:

| column | type | meaning |
|---|---|---|
| photo | Path | the photo file |
| group | str | the inspection job; photos of one group are near-duplicates and never divided by a split |
| findings | tuple of Finding | the mask files of the photo; empty when nothing was found |
| split | str | train, validation or test |

A manifest CSV adds whatever further columns it has (source, fold, ...).
"""

import csv
import hashlib
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from corroseg_utils.errors import CorrosegError
from corroseg_utils.photo_files import PHOTO_SUFFIXES
from corroseg_utils.photos import read_mask, read_photo, resize_mask, resize_photo

# A class index is a position in this tuple.
CLASS_NAMES = ("background", "cor", "rus", "pit", "lom")
# Where findings overlap, the later name wins: the more severe damage lies in or on the milder one.
PRECEDENCE = ("index", "rus", "cor", "pit", "lom")
SPLITS = ("train", "validation", "test")
EMPTY_SLOT = "nothing"  # the word that stands in a free mask slot of the 2020 table

_MASK_NAME = re.compile(r"^_(?P<name>[a-z]+)(?P<grade>\d+)_(?P<photo>.+)$")
JOB = re.compile(r"^(CDM|CDS)_\d+")


class DataError(CorrosegError):
    """A data set that cannot be used. The message lists every problem with its cure."""


class Finding(NamedTuple):
    """One mask file. `name` is a damage class, or "index" for a file that holds class indices itself."""

    path: Path
    name: str
    grade: int  # 0 when the file name says none


def read_data(path: Path | str) -> pd.DataFrame:
    """Read a data set in any supported layout: a folder as in 2020, a folder pair, or a manifest CSV.

    Args:
        path: a folder with `support_dataset.csv`, a folder with `images/` and `masks/`, or a CSV file.

    Returns:
        The manifest (see the module's docstring). It is not checked yet: see `dataset_checks.checked`.

    Raises:
        DataError: the path is none of these, or its table cannot be used (see the readers below).
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".csv":
        return read_manifest(path)
    if (path / "support_dataset.csv").is_file():
        return read_2020(path)
    for photos in ("images", "photos"):
        if (path / photos).is_dir() and (path / "masks").is_dir():
            return read_pairs(path / photos, path / "masks")
    raise DataError(f"{path}: no data set here. Give a folder with support_dataset.csv, photos/ and masks/, a folder "
                    f"with images/ and masks/, or a manifest CSV with the columns image and mask.")


def read_2020(folder: Path | str) -> pd.DataFrame:
    """Read the layout of the 2020 solution.

    `photos/` holds `<job>_IMG_<number>.JPG`, `masks/` one white-on-black PNG per finding named
    `_<class><grade>_<photo>.png`, and `support_dataset.csv` the columns `images_names, mask_1 ... mask_4` without
    extensions, free slots holding the word `nothing`. Both folders may also be one. `split.csv` (group, split) is
    used when present, else `split_by_group`.

    Raises:
        DataError: the table is missing, lacks a column, or a row names no photo; or `split.csv` names a group twice.
    """
    folder = Path(folder)
    table = _read_names(folder / "support_dataset.csv", ["images_names", "mask_1"])
    photos = folder / "photos" if (folder / "photos").is_dir() else folder
    masks = folder / "masks" if (folder / "masks").is_dir() else folder
    slots = [column for column in table.columns if column.startswith("mask_")]
    # iterdir once: looking up each name on its own is slow on network drives.
    on_disk = {file.stem: file for file in sorted(photos.iterdir()) if file.suffix.lower() in PHOTO_SUFFIXES
               and not file.name.startswith("_")}
    rows = []
    for row in table.to_dict("records"):
        name = str(row["images_names"])
        findings = [parse_finding(masks / f"{row[slot]}.png") for slot in slots
                    if pd.notna(row[slot]) and row[slot] != EMPTY_SLOT]
        rows.append({"photo": on_disk.get(name, photos / f"{name}.JPG"), "group": job_of(name),
                     "findings": tuple(findings)})
    manifest = pd.DataFrame(rows, columns=["photo", "group", "findings"])
    manifest["split"] = _stored_split(folder, manifest["group"])
    manifest.attrs["layout"] = {"photos": photos, "masks": masks}
    return manifest


def read_pairs(photos: Path | str, masks: Path | str) -> pd.DataFrame:
    """Read a folder of photos and a folder of masks with the same names: class indices, or black and white.

    Pairing is by name, never by sorted order. A photo without a mask file is reported by `check_data`.

    Raises:
        DataError: a folder is missing.
    """
    photos, masks = Path(photos), Path(masks)
    for folder in (photos, masks):
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder. Check its name.")
    files = sorted(file for file in photos.iterdir() if file.suffix.lower() in PHOTO_SUFFIXES)
    manifest = pd.DataFrame({"photo": files, "group": [job_of(file.stem) for file in files],
                             "findings": [(Finding(masks / f"{file.stem}.png", "index", 0),) for file in files]})
    manifest["split"] = split_by_group(manifest["group"])
    manifest.attrs["layout"] = {"photos": photos, "masks": masks}
    return manifest


def read_manifest(csv: Path | str) -> pd.DataFrame:
    """Read a manifest CSV: `image` and `mask` relative to the file, and optionally `group`, `split`, `fold`, `source`.

    Masks hold class indices, or black and white; an empty `mask` means that the photo shows no damage. Without a
    `split` column the split is made by group. A photo without a group is a group of its own.

    Raises:
        DataError: the file is missing, lacks a column, or a row names no image.
    """
    csv = Path(csv)
    table = _read_names(csv, ["image", "mask"])
    manifest = table.drop(columns=["image", "mask", "photo", "findings"], errors="ignore")
    manifest.insert(0, "photo", [csv.parent / name for name in table["image"]])
    jobs = pd.Series([job_of(photo.stem) for photo in manifest["photo"]], table.index, dtype=str)
    manifest["group"] = table["group"].fillna(jobs) if "group" in table else jobs
    if "source" in table:  # group names of two sources may coincide
        manifest["group"] = table["source"].fillna("") + "/" + manifest["group"]
    manifest["findings"] = [(Finding(csv.parent / name, "index", 0),) if pd.notna(name) else ()
                            for name in table["mask"]]
    manifest["split"] = table["split"] if "split" in table else split_by_group(manifest["group"])
    return manifest


def parse_finding(path: Path) -> Finding:
    """Class and grade from a mask's name: `_cor2_CDM_23607_IMG_0323.png` is class cor, grade 2.

    An unreadable name gives the class "", which `check_data` reports.
    """
    match = _MASK_NAME.match(path.stem)
    return Finding(path, match["name"], int(match["grade"])) if match else Finding(path, "", 0)


def job_of(stem: str) -> str:
    """Inspection job of a photo: `CDM_<number>` or `CDS_<number>`, else the whole name (a group of its own)."""
    match = JOB.match(stem)
    return match[0] if match else stem


def split_by_group(groups: Iterable[str], fractions: Sequence[float] = (0.7, 0.15, 0.15)) -> list[str]:
    """Split by group: train, validation or test for each entry of `groups`.

    The group's name alone decides (a hash of it), so photos of one job stay together, and adding files or jobs
    never moves another job. The price: fractions hold on average, not exactly.

    Args:
        groups: the group of each photo.
        fractions: shares of train, validation and test, which sum to 1.
    """
    def split(group: str) -> str:
        position = int.from_bytes(hashlib.sha256(str(group).encode()).digest()[:8], "big") / 2**64
        if position < fractions[0]:
            return "train"
        return "validation" if position < fractions[0] + fractions[1] else "test"

    return [split(group) for group in groups]


def merge_findings(findings: Sequence[tuple[np.ndarray, str]]) -> np.ndarray:
    """Merge the findings of one photo into one mask of class indices.

    Args:
        findings: (mask, name) each: uint8 (H, W); the masks hold 0 and 255, and those named "index" may hold class
            indices instead. An "index" mask of 0 and 255 marks class 1: most tools export corrosion as white.

    Returns:
        uint8 (H, W) of class indices. Where findings overlap, the later one in PRECEDENCE wins.
    """
    merged = np.zeros_like(findings[0][0])
    for mask, name in sorted(findings, key=lambda finding: PRECEDENCE.index(finding[1])):
        if name == "index":
            merged = np.maximum(merged, mask // 255 if np.isin(mask, (0, 255)).all() else mask)
        else:
            # Half-bright pixels come from resized masks: the nearer of black and white decides.
            merged[mask >= 128] = CLASS_NAMES.index(name)
    return merged


def load_mask(photo: Path, findings: Sequence[Finding], size: tuple[int, int]) -> np.ndarray:
    """All findings of a photo as one mask of class indices.

    Args:
        photo: the photo file, for its EXIF orientation.
        findings: its mask files.
        size: (width, height) of the upright photo, the answer's size when there is no finding.

    Returns:
        uint8 (H, W) of class indices.

    Raises:
        PhotoError: a file cannot be read.
    """
    if not findings:
        return np.zeros(size[::-1], np.uint8)
    return merge_findings([(read_mask(finding.path, photo), finding.name) for finding in findings])


def load_pair(row: dict | pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Photo uint8 (H, W, 3) and its mask of class indices uint8 (H, W), both upright, from one manifest row."""
    photo = read_photo(row["photo"])
    return photo, load_mask(row["photo"], row["findings"], photo.shape[1::-1])


def load_arrays(manifest: pd.DataFrame, size: int, binary: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Decode a whole manifest once into memory, every photo squeezed to a square.

    Args:
        manifest: its rows, in their order.
        size: side of the square in pixels.
        binary: 1 for any damage class, the binary view; else class indices.

    Returns:
        photos uint8 (N, size, size, 3) and masks uint8 (N, size, size).

    Raises:
        PhotoError: a file cannot be read; `dataset_checks.checked` finds all of them at once beforehand.
    """
    photos = np.empty((len(manifest), size, size, 3), np.uint8)
    masks = np.empty((len(manifest), size, size), np.uint8)
    for i, row in enumerate(manifest.to_dict("records")):
        photo, mask = load_pair(row)
        photos[i], masks[i] = resize_photo(photo, (size, size)), resize_mask(mask, (size, size))
    return photos, (masks > 0).astype(np.uint8) if binary else masks


def read_csv(path: Path, columns: Sequence[str], **options) -> pd.DataFrame:
    """A CSV table with these columns, read by pandas with its `options`.

    Raises:
        DataError: the file is missing, is no table, has a row longer or shorter than its first, or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such table. Check the folder.")
    try:
        with warnings.catch_warnings():
            # A comma too many at the end of each row would move every cell one column to the left.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, encoding="utf-8-sig", index_col=False, **options)
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, *rows = (row for row in csv.reader(file) if any(map(str.strip, row)))
        width = max(number for number, name in enumerate(header, 1) if name.strip())
    except Exception as error:  # pandas raises many kinds for what is not a table
        raise DataError(f"{path}: not a CSV table ({error}). Save it as CSV in UTF-8, with as many cells in each row "
                        "as in the first.") from error
    # pandas fills up a row that was cut off, and an empty cell means something: a photo without damage, say.
    if short := [number for number, row in enumerate(rows, 1) if len(row) < width]:
        raise DataError(f"{path}: row {short[0]} below the header has only {len(rows[short[0] - 1])} of {width} cells. "
                        "Complete it; a cell may be empty.")
    if missing := [column for column in columns if column not in table]:
        raise DataError(f"{path}: the column {missing[0]!r} is missing. Found: {', '.join(table.columns)}. Name the "
                        "columns in the first row, separated by commas.")
    return table


def _read_names(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV table with these columns, the first of which may not be empty."""
    # Names stay text: 007 is no 7, and NA no gap.
    table = read_csv(path, columns, dtype=dict.fromkeys(("group", "source", "split", *columns), str),
                     keep_default_na=False, na_values=[""])
    nameless = np.flatnonzero(table[columns[0]].isna()) + 1
    if len(nameless):
        raise DataError(f"{path}: {columns[0]!r} is empty in row {', '.join(map(str, nameless))} below the header. "
                        "Fill it in, or remove the row.")
    return table


def _stored_split(folder: Path, groups: pd.Series) -> list[str]:
    if not (folder / "split.csv").is_file():
        return split_by_group(groups)
    stored = _read_names(folder / "split.csv", ["group", "split"]).set_index("group")["split"]
    if stored.index.has_duplicates:
        raise DataError(f"{folder / 'split.csv'}: the group {stored.index[stored.index.duplicated()][0]!r} is listed "
                        "more than once. Keep one line of it.")
    # A job added later is split by its name, so that the stored jobs stay where they are.
    return [stored.get(group, default) for group, default in zip(groups, split_by_group(groups), strict=True)]
