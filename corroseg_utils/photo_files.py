"""Which files are photos: their endings, what our own commands wrote and is none, and the walk through folders."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from corroseg_utils.errors import CorrosegError

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".jfif", ".jpe"}
FOREIGN_SUFFIXES = {".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"}
"""Photos of telephones and cameras that cannot be read here. They are listed as failed: what is passed over in silence
counts as inspected."""
MASK_END, OVERLAY_END, SUMMARY = "_mask.png", "_overlay.jpg", "summary.csv"  # what `segment` writes
SUMMARY_COLUMNS = ("photo", "mask", "width", "height", "corroded_percent", "quality", "seconds", "error")


def photos_below(folder: Path, left_out: Iterable[Path] = ()) -> list[Path]:
    """Photo files in a folder and the folders below it, sorted by name.

    Results of `segment` and the pictures of a report are no photos. Links to folders are not followed, and only regular
    files count, for reading a pipe or a device could block; and links that lead nowhere, so that they are listed as
    failed.

    Args:
        folder: where to look.
        left_out: folders that are not searched.

    Raises:
        CorrosegError: a folder cannot be opened.
    """
    left_out, found = {path.resolve() for path in left_out}, []
    for here, folders, files in os.walk(folder, onerror=_unreadable):
        here = Path(here)
        folders[:] = [name for name in folders if (here / name).resolve() not in left_out
                      and not (name == "photos" and holds_report(here))]
        paths = (here / name for name in files)
        found += [path for path in paths if is_photo_file(path) and not is_result(path)
                  and (os.path.isfile(path) or path.is_symlink() and not os.path.exists(path))]
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


def _unreadable(error: OSError) -> None:
    raise CorrosegError(f"{error.filename}: this folder cannot be opened ({error.strerror}). Ask for the right to read "
                        "it, or move it elsewhere: its photos would be passed over in silence.") from error


def is_photo_file(path: Path) -> bool:
    """Whether a name ends like a photo's; in FOREIGN_SUFFIXES only without a readable photo of the same stem beside it,
    for many cameras write both."""
    suffix = path.suffix.lower()
    twins = (path.with_suffix(case(end)) for end in PHOTO_SUFFIXES for case in (str.lower, str.upper))
    return suffix in PHOTO_SUFFIXES or (suffix in FOREIGN_SUFFIXES and not any(twin.is_file() for twin in twins))


def holds_report(folder: Path) -> bool:
    """Whether `report` has written, or is writing, into this folder: its pictures are no photos."""
    if (folder / ".lock").is_file() and any((folder / "photos").glob("*_thumb.jpg")):
        return True
    findings = folder / "findings.json"
    if not findings.is_file():
        return False
    with open(findings, "rb") as file:
        return b'"schema": "corroseg-findings/' in file.read(100)  # what `report_files.write_report` writes first


def is_result(path: Path) -> bool:
    """Whether a file is a mask or an overlay that `segment` wrote, going by its name and the summary beside it."""
    return path.name.endswith((MASK_END, OVERLAY_END)) and holds_summary(path.parent)


def holds_summary(folder: Path) -> bool:
    """Whether `segment` has written into this folder; a table of the user's may have the name of its summary."""
    if not (folder / SUMMARY).is_file():
        return False
    with open(folder / SUMMARY, encoding="utf-8-sig", errors="replace") as file:
        header = re.split("[,;\t]", file.readline().strip())  # a spreadsheet may have saved it, in its own way
    return {"photo", "corroded_percent"} <= set(header)


def printable(text: str) -> str:
    """Text that every file and terminal can take: bytes that are no UTF-8 become \\xNN, control characters
    too."""
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def csv_cell(value) -> str:
    """A spreadsheet runs a cell that starts with =, +, - or @; a leading ' makes it the text that it is."""
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
