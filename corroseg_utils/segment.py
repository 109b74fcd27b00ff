"""Masks and overlays for many photos: what `python -m corroseg_utils segment` does."""

import csv
import errno
import io
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from corroseg_utils.errors import CorrosegError
from corroseg_utils.overlay import overlay
from corroseg_utils.photo_files import (
    MASK_END,
    OVERLAY_END,
    PHOTO_SUFFIXES,
    SUMMARY,
    SUMMARY_COLUMNS,
    csv_cell,
    holds_summary,
    photos_below,
    printable,
)
from corroseg_utils.photo_quality import photo_quality
from corroseg_utils.photos import (
    PhotoError,
    is_overlay,
    is_untouched_mask,
    photo_size,
    read_photo,
    resize_mask,
    resize_photo,
    write_mask,
    write_overlay,
    write_whole,
)
from corroseg_utils.segmenter import READ_SIDE, Segmenter
from corroseg_utils.tiles import enlarged_bands, open_at, scaled_bands, scaled_size, whole_bands

JPEG_SIDE = 65500  # pixels, the most that libjpeg writes


def segment_photos(segmenter: Segmenter, photos: Sequence[Path], out: Path | str,
                   scale: float | None = None) -> list[dict]:
    """Write mask, overlay and one row of summary.csv for each photo.

    A photo that cannot be used, or whose results cannot be written, gets a row with its error; the others are still
    done.

    Args:
        segmenter: the model.
        photos: the files.
        out: folder for `<stem>_mask.png` (0 background, 255 corrosion, the size of the upright photo),
            `<stem>_overlay.jpg` and `summary.csv`. A second photo of one stem is written as `<stem>_2`.
        scale: the network sees each photo whole, at the model's size, when None: the view that `evaluate` scores.
            A number in (0, 1] makes it see the photo at that scale, tile by tile, for finer detail on large photos.

    Returns:
        The rows of summary.csv, `error` empty where all went well.

    Raises:
        CorrosegError: a file of the name of a result is there already, and was not made by an earlier run, or is a
            mask that was changed since.
    """
    from tqdm import tqdm

    out, rows, names = Path(out), [], output_names(photos)
    _only_results(out, [out / f"{name}{end}" for name in names for end in (MASK_END, OVERLAY_END)])
    _write_summary(out / SUMMARY, [])
    try:
        for photo, name in tqdm(list(zip(photos, names, strict=True)), "segmenting"):
            start = time.perf_counter()
            try:
                row = _segment(segmenter, photo, out, name, scale)
            except PhotoError as error:
                row = {"error": printable(str(error))}
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):  # no room for the others either
                    raise
                row = {"error": printable(f"{photo}: its results cannot be written ({error}). Give it a shorter name, "
                                          "or another --out.")}
            row["seconds"] = round(time.perf_counter() - start, 3)
            rows.append({"photo": printable(str(photo)), "error": "", **row})
    finally:  # also when stopped by hand: what is done is listed
        _write_summary(out / SUMMARY, rows)
    return rows


def find_photos(paths: Iterable[Path | str]) -> list[Path]:
    """All photos of the given files and folders, each once, sorted within a folder (see `photos_below`).

    Raises:
        CorrosegError: a path does not exist, a folder cannot be opened, or no photo is found.
    """
    found = {}
    for path in map(Path, paths):
        if not path.exists():
            raise CorrosegError(f"{path}: there is no such file or folder. Check the name.")
        for file in photos_below(path) if path.is_dir() else [path]:
            found[os.path.realpath(file)] = file
    if not found:
        raise CorrosegError(f"No photo found in {', '.join(map(str, paths))}. "
                            f"Photos end in {', '.join(sorted(PHOTO_SUFFIXES))}.")
    return list(found.values())


def output_names(photos: Sequence[Path]) -> list[str]:
    """A name for each photo's results: its stem, or `<stem>_2`, `<stem>_3` where that is taken.

    Letter case does not make a difference, as on the disks of Windows and macOS.
    """
    taken, names = {photo.stem.lower() for photo in photos}, []
    seen = set()
    for photo in photos:
        name, number = photo.stem, 1
        while name.lower() in seen or (number > 1 and name.lower() in taken):
            number += 1
            name = f"{photo.stem}_{number}"
        seen.add(name.lower())
        names.append(name)
    return names


def _segment(segmenter: Segmenter, path: Path, out: Path, name: str, scale: float | None) -> dict:
    width, height = size = photo_size(path)
    if scale is None:
        photo = read_photo(path, READ_SIDE)
        bands = whole_bands(segmenter, photo)
        bands = enlarged_bands(bands, bands[0][1].shape[::-1], size)
    else:
        opened = open_at(path, scale)
        photo = opened.scaled(scaled_size(size, min(1, READ_SIDE / max(size))))
        bands = scaled_bands(segmenter, opened, scale)
    # One bit a pixel while the photo is in memory.
    packed = np.concatenate([np.packbits(rows >= segmenter.threshold, axis=1) for _, rows in bands])
    photo = resize_photo(photo, scaled_size(photo.shape[1::-1], min(1, JPEG_SIDE / max(photo.shape[:2]))))
    opened = bands = None  # a large photo is let go before the mask is unpacked
    mask = np.unpackbits(packed, axis=1, count=width)
    write_overlay(out / f"{name}{OVERLAY_END}", overlay(photo, resize_mask(mask, photo.shape[1::-1])))
    share, quality = float(mask.mean()), photo_quality(photo)
    mask *= 255
    write_mask(out / f"{name}{MASK_END}", mask)
    return {"mask": printable(f"{name}{MASK_END}"), "width": width, "height": height,
            "corroded_percent": round(100 * share, 3), "quality": quality}


def _only_results(out: Path, results: Sequence[Path]) -> None:
    """Check that whatever will be replaced was made by an earlier run, and that no mask was mended by hand since."""
    from tqdm import tqdm

    summary = out / SUMMARY
    if summary.exists() and not holds_summary(out):
        raise CorrosegError(f"{summary}: this file is there already, and is no summary of an earlier run. Give another "
                            "folder with --out, or move the file.")
    for path in tqdm(results, "checking earlier results", delay=2, leave=False):
        if not os.path.exists(path):  # False, too, for a name that is too long
            continue
        if path.name.endswith(OVERLAY_END) and not is_overlay(path):
            raise CorrosegError(f"{path}: this file is there already, and no run of this version wrote it. Give "
                                "another folder with --out, or move the file.")
        if path.name.endswith(MASK_END) and not is_untouched_mask(path):
            raise CorrosegError(f"{path}: this mask was drawn or changed by hand, or is of an older version, and would "
                                "be replaced. Give another folder with --out, or move the file.")


def _write_summary(path: Path, rows: list[dict]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, SUMMARY_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows({column: csv_cell(value) for column, value in row.items()} for row in rows)
    write_whole(path, lambda file: file.write(text.getvalue().encode()))
