"""Look at a whole data set before any work is spent on it, and report all problems at once."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from corroseg_utils.dataset import CLASS_NAMES, SPLITS, DataError, Finding, parse_finding
from corroseg_utils.photo_files import PHOTO_SUFFIXES
from corroseg_utils.photos import PhotoError, read_mask, read_photo


class Problem(NamedTuple):
    """What is wrong with one file, and what to do about it."""

    path: Path
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}. {self.cure}."


def checked(manifest: pd.DataFrame, skip_bad: bool = False, progress: bool = False) -> pd.DataFrame:
    """Return the manifest if all is well with it.

    Args:
        manifest: as `dataset.read_data` gives it.
        skip_bad: leave out the photos with problems, and list them, instead of raising.
        progress: show a progress bar; every file is decoded, about 150 photos of 512 pixels a second.

    Returns:
        The manifest; with `skip_bad` its sound rows, the problems in `manifest.attrs["skipped"]`.

    Raises:
        DataError: a problem was found (all are listed), or no sound photo is left.
    """
    problems, bad_rows = check_data(manifest, progress)
    if problems and not skip_bad:
        raise DataError(f"{len(problems)} problem(s) found; mend them, or pass skip_bad (--skip-bad) to leave those "
                        "photos out:\n" + "\n".join(f"  {problem}" for problem in problems))
    sound = manifest[~np.isin(np.arange(len(manifest)), sorted(bad_rows))].reset_index(drop=True)
    if sound.empty:
        raise DataError("No sound photo is left in this data set.\n" + "\n".join(f"  {p}" for p in problems))
    sound.attrs["skipped"] = problems
    return sound


def check_groups(manifest: pd.DataFrame, name: Path | str) -> None:
    """Refuse a split that divides a group, for photos of one asset on both sides of it inflate the score.

    Args:
        manifest: as `dataset.read_data` gives it.
        name: of the data set, for the message.

    Raises:
        DataError: a group is in more than one split.
    """
    splits = manifest.groupby("group")["split"].nunique()
    divided = splits.index[splits > 1]
    if len(divided):
        raise DataError(f"{name}: {len(divided)} groups are in more than one split, {divided[0]!r} among them. Give "
                        "all photos of a group the same split, or a group of their own in the column group.")


def check_data(manifest: pd.DataFrame, progress: bool = False) -> tuple[list[Problem], set[int]]:
    """Find every problem of a data set.

    Found are: missing, empty, truncated and unreadable files; masks whose size differs from the photo's; masks with
    unexpected values; unknown classes; photos listed twice; two photos of one name (letter case aside, as on the
    disks of Windows and macOS); masks that belong to another photo; files of the folder that no row names; split
    names other than train, validation and test.

    Returns:
        The problems, and the positions of the rows that have one.
    """
    problems, bad_rows = _unlisted_files(manifest), set()
    stems = Counter(photo.stem.lower() for photo in manifest["photo"])
    paths = Counter(manifest["photo"])
    masks = Counter(finding.path for findings in manifest["findings"] for finding in findings)
    rows = manifest.to_dict("records")
    for position, row in enumerate(tqdm(rows, "checking", disable=not progress)):
        found = list(_row_problems(row))
        if paths[row["photo"]] > 1:
            found.append(Problem(row["photo"], "the photo is listed more than once", "Keep one row of the table"))
        elif "layout" in manifest.attrs and stems[row["photo"].stem.lower()] > 1:
            found.append(Problem(row["photo"], "two photos have this name, so masks cannot tell them apart",
                                 "Rename one, and its masks and its row"))
        else:
            found += [Problem(finding.path, "the mask stands in the rows of several photos", "Give each its own mask")
                      for finding in row["findings"] if finding.name == "index" and masks[finding.path] > 1]
        problems += found
        if found:
            bad_rows.add(position)
    return problems, bad_rows


def _row_problems(row: dict):
    if row["split"] not in SPLITS:
        yield Problem(row["photo"], f"the split {row['split']!r} is unknown", f"Use one of {', '.join(SPLITS)}")
    try:
        size = read_photo(row["photo"]).shape[:2]
    except PhotoError as error:
        size = None
        yield Problem(error.path, error.reason, error.cure)
    for finding in row["findings"]:
        yield from _finding_problems(row["photo"], finding, size)


def _finding_problems(photo: Path, finding: Finding, size: tuple[int, int] | None):
    if finding.name not in (*CLASS_NAMES[1:], "index"):
        yield Problem(finding.path, f"the class {finding.name!r} is unknown",
                      f"Name it _<class><grade>_<photo>.png with a class of {', '.join(CLASS_NAMES[1:])}")
    elif finding.name != "index" and not finding.path.stem.endswith(f"_{photo.stem}"):
        yield Problem(finding.path, f"the mask stands in the row of {photo.name}, whose name it does not bear",
                      "Correct the row, or the mask's name")
    try:
        # Without a readable photo there is no EXIF orientation to apply, and no size to compare.
        mask = read_mask(finding.path, photo if size else None)
    except PhotoError as error:
        yield Problem(error.path, error.reason, error.cure)
        return
    if size and mask.shape != size:
        yield Problem(finding.path, f"the mask is {mask.shape[1]}x{mask.shape[0]}, its photo {size[1]}x{size[0]}",
                      "Export the mask at the photo's size")
    values, black_and_white, indices = set(np.unique(mask).tolist()), {0, 255}, set(range(len(CLASS_NAMES)))
    may_hold_indices = finding.name == "index" and not values <= black_and_white
    unexpected = sorted(values - (indices if may_hold_indices else black_and_white))
    if unexpected:
        expected = "class indices 0-4" if finding.name == "index" else "0 and 255"
        yield Problem(finding.path, f"the mask holds the values {_shorten(unexpected)} beside {expected}",
                      "Save it as a lossless PNG, resized by nearest neighbour if at all")


def _unlisted_files(manifest: pd.DataFrame) -> list[Problem]:
    """Files that lie in the data set's folders but in no row of its table."""
    layout = manifest.attrs.get("layout")
    if layout is None:  # a manifest CSV chooses its files; what else lies there is not its concern
        return []
    masks = {finding.path for findings in manifest["findings"] for finding in findings}
    photos = set(manifest["photo"])
    problems = []
    for file in sorted(layout["masks"].iterdir()):
        is_mask = layout["masks"] != layout["photos"] or file.name.startswith("_")
        if file.suffix.lower() == ".png" and is_mask and file not in masks:
            photo = file.stem.removeprefix(f"_{parse_finding(file).name}{parse_finding(file).grade}_")
            problems.append(Problem(file, f"the mask belongs to no listed photo (by its name, to {photo})",
                                    "Add the photo, or the mask to its photo's row in the table, or remove the file; "
                                    "in a folder masks/ without a table, give it its photo's name"))
    for file in sorted(layout["photos"].iterdir()):
        is_photo = file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith("_")
        if is_photo and file not in photos:
            problems.append(Problem(file, "no row of the table names this photo",
                                    f"Add a row, with the word nothing if it has no finding, or remove {file.name}"))
    return problems


def _shorten(values: list[int]) -> str:
    shown = ", ".join(str(value) for value in values[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")
