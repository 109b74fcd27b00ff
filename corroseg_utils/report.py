"""The command `report`: from a folder of photos to an inspection report that an inspector can check.

Each finished photo is a few small files in DIR/photos/, its JSON written last. That is all a killed run needs to carry
on: a photo is done when its JSON fits its file, the model and the settings, and its pictures are there. The report's
files are then made from those in the order of the photos' names, so an interrupted run ends with what an undisturbed
one makes.
"""

import argparse
import contextlib
import hashlib
import json
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from corroseg_utils import option_values
from corroseg_utils.assets import Entry, group_photos, list_photos, photos_without_row, rows_without_photo
from corroseg_utils.dataset import CLASS_NAMES
from corroseg_utils.errors import EXIT_CODES, CorrosegError
from corroseg_utils.inspection import PICTURES, Surface, inspect, look
from corroseg_utils.photo_files import holds_report
from corroseg_utils.photo_quality import unclear_photos
from corroseg_utils.photo_reader import SECONDS_PER_PHOTO, PhotoReader, ReadPhoto
from corroseg_utils.photos import PhotoError, read_mask, resize_mask, write_whole
from corroseg_utils.report_files import RESULTS, Report, results, write_report

RESULT_FORMAT = 5  # raise it when results of an older version must not be used again


class Settings(NamedTuple):
    """What a result depends on besides the photo and the model.

    threshold: None for the model's own. sure: see `findings.mark`. scale: share of the photo's width and height at
    which the network sees it, tile by tile, up to 25 megapixels (`photo_reader.MOST_WORKING_PIXELS`); None to see it
    whole, at the model's size. steel: folder of masks.
    """

    threshold: float | None = None
    sure: float | None = None
    scale: float | None = None
    steel: Path | None = None


def make_report(photos: Path | str, out: Path | str, segmenter, *, by: str = "job", settings: Settings | None = None,
                seconds: float = SECONDS_PER_PHOTO, created: str | None = None, quiet: bool = False) -> Report:
    """Inspect all photos below a folder and write the report's files into `out`; finished photos are not repeated.

    A second process reads the photos. It begins by importing the script that calls, so a script of your own must call
    below `if __name__ == "__main__":`.

    Args:
        photos, out: folders.
        segmenter: see segmenter.py.
        by: how photos belong to assets, see `group_photos`.
        settings: threshold, scale and steel masks; by default the model's own threshold, whole views and no masks.
        seconds: limit for reading one photo.
        created: date of the report, now if None; the only time in its files.
        quiet: show no progress.

    Returns:
        The report, with every photo that failed and its reason.

    Raises:
        CorrosegError: wrong usage; the message says what to do.
    """
    photos, out, settings = Path(photos), Path(out), settings or Settings()
    if settings.scale is not None and not 0 < settings.scale <= 1:
        raise CorrosegError(f"scale is {settings.scale}, but must be above 0 and at most 1.")
    if len(segmenter.classes) > 2 and not set(segmenter.classes) <= set(CLASS_NAMES):
        raise CorrosegError(f"This model tells {', '.join(segmenter.classes[1:])} apart. A report needs one that was "
                            "trained with --classes corrosion or damage.")
    threshold = segmenter.threshold if settings.threshold is None else settings.threshold
    if not 0 < threshold < 1:
        raise CorrosegError(f"The threshold is {threshold:g}: every pixel would be marked, or none. "
                            "Give one between 0 and 1 with --threshold.")
    if settings.sure is not None and settings.sure < threshold:
        raise CorrosegError(f"sure is {settings.sure:g}, below the threshold {threshold:g}: it would demand nothing. "
                            "Give a higher one, or none.")
    folder = out / "photos"
    if photos.resolve() == out.resolve() or photos.resolve().is_relative_to(folder.resolve()):
        raise CorrosegError(f"{out}: the report keeps pictures in its folder photos, which here would lie among the "
                            f"photos of {photos}. Give another folder, such as {photos / 'report'}.")
    entries = group_photos(list_photos(photos, out, settings.steel), photos, by)
    if settings.steel and not any(_steel_mask(entry, settings.steel) for entry in entries):
        raise CorrosegError(f"{settings.steel}: no steel mask fits a photo. The first photo, {entries[0].name}, would "
                            f"have {Path(entries[0].name).with_suffix('.png')}.")
    _only_own_files(out, entries)
    model = model_name(segmenter)
    folder.mkdir(parents=True, exist_ok=True)
    failed = {}
    with _only_run(out), tqdm(total=len(entries), unit="photo", disable=quiet) as bar:
        todo = []
        for entry in entries:
            made_from = _made_from(entry, model, threshold, settings)
            if _is_done(folder, entry.key, made_from):
                bar.update()
            else:
                todo.append((entry, made_from))
        bar.reset(len(todo))  # time left counts what is left to do
        for entry, made_from, photo, seen in _look_ahead(todo, segmenter, settings.scale, seconds):
            try:
                if isinstance(photo, PhotoError):
                    raise photo
                surface = _surface(entry, photo, settings.steel)
                result, pictures = inspect(photo, seen.result(), threshold, surface, settings.sure)
                _write_result(folder, entry.key, made_from, result, pictures)
            except PhotoError as error:
                failed[entry.name] = f"{error.reason}. {error.cure}." if error.path == entry.path else str(error)
            except (ValueError, ArithmeticError, MemoryError) as error:
                failed[entry.name] = f"it could not be inspected ({error}). Leave it out, or report it."
            bar.update()
        created = created or datetime.now(UTC).isoformat(timespec="seconds")
        report = Report(photos, out, entries, failed, model, threshold, settings.sure, settings.scale, created)
        write_report(report)
    return report


def model_name(segmenter) -> str:
    """Network, and a mark that differs for another network, description, or weights.

    Weights need not come from a file, so the mark is made from what the model answers to one fixed picture; means of
    16 blocks with three decimals, because the last bits of an answer may differ from run to run.
    """
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    blocks = segmenter.probability(picture).reshape(4, 16, 4, 16).mean((1, 3))
    seen = json.dumps([segmenter.about, [f"{value:.3f}" for value in blocks.ravel()]], sort_keys=True)
    return f"{segmenter.about['network']} {hashlib.sha256(seen.encode()).hexdigest()[:8]}"


def _look_ahead(todo: list, segmenter, scale: float | None,
                seconds: float) -> Iterator[tuple[Entry, dict, ReadPhoto | PhotoError, Future | None]]:
    """Each photo, and what the network will have seen in it; it sees the next one while the caller works on this."""
    waiting = deque()
    with ThreadPoolExecutor(1) as network:
        for entry, made_from, photo in _read_ahead(todo, scale, seconds):
            readable = not isinstance(photo, PhotoError)
            seen = network.submit(look, photo, segmenter, scale is not None) if readable else None
            waiting.append((entry, made_from, photo, seen))
            if len(waiting) > 1:
                yield waiting.popleft()
        yield from waiting


def _read_ahead(todo: list, scale: float | None,
                seconds: float) -> Iterator[tuple[Entry, dict, ReadPhoto | PhotoError]]:
    """Each photo, or the error it caused; the next one is read while the caller works on this one."""
    with PhotoReader(scale, seconds) as reader:
        if todo:
            reader.ask(todo[0][0].path)
        for position, (entry, made_from) in enumerate(todo):
            try:
                photo = reader.answer()
            except PhotoError as error:
                photo = error
            if position + 1 < len(todo):
                reader.ask(todo[position + 1][0].path)
            yield entry, made_from, photo


def _made_from(entry: Entry, model: str, threshold: float, settings: Settings) -> dict:
    """All that a result depends on; a change of any of it makes the photo due again."""
    mask = _steel_mask(entry, settings.steel)
    files = [path for path in (entry.path, mask) if path and path.exists()]
    return {"format": RESULT_FORMAT, "files": [[f.stat().st_size, f.stat().st_mtime_ns] for f in files],
            "model": model, "threshold": threshold, "sure": settings.sure, "scale": settings.scale,
            "region": list(entry.region) if entry.region else None}


def _is_done(folder: Path, key: str, made_from: dict) -> bool:
    try:
        if not all((folder / f"{key}_{name}").stat().st_size for name in PICTURES):
            return False
        return json.loads((folder / f"{key}.json").read_text("utf-8"))["made_from"] == made_from
    except (OSError, ValueError, KeyError, TypeError):
        return False  # absent, or cut short by a power failure


def _write_result(folder: Path, key: str, made_from: dict, result: dict, pictures: dict[str, bytes]) -> None:
    for name, content in pictures.items():
        write_whole(folder / f"{key}_{name}", lambda file, content=content: file.write(content))
    text = json.dumps({"made_from": made_from, **result}, separators=(",", ":"))
    write_whole(folder / f"{key}.json", lambda file: file.write(text.encode()))


def _steel_mask(entry: Entry, folder: Path | None) -> Path | None:
    path = folder and (folder / entry.name).with_suffix(".png")
    return path if path and path.is_file() else None


def _surface(entry: Entry, photo: ReadPhoto, steel: Path | None) -> Surface:
    """What counts as the whole: the steel mask if there is one, cut to the region if there is one, or the photo."""
    height, width = photo.pixels.shape[:2]
    pixels, kind = np.ones((height, width), bool), "photo"
    mask = _steel_mask(entry, steel)
    if mask:
        kind, values = "steel mask", read_mask(mask, entry.path, drawn_upright=True)
        if abs(values.shape[1] / values.shape[0] * photo.height / photo.width - 1) > 0.02:
            raise PhotoError(mask, f"its {values.shape[1]} x {values.shape[0]} pixels do not fit a photo of "
                             f"{photo.width} x {photo.height}", "Draw it on the upright photo")
        pixels &= resize_mask((values > 0).astype(np.uint8), (width, height)) > 0
        if not pixels.any():
            raise PhotoError(mask, "it marks no steel", "Draw it, or remove it")
    if entry.region:
        left, top, right, bottom = (round(v * n) for v, n in zip(entry.region, [width, height] * 2, strict=True))
        region = np.zeros((height, width), bool)
        region[top:bottom, left:right] = True
        kind, pixels = ("region" if kind == "photo" else "steel mask in region"), pixels & region
        if not pixels.any():
            raise PhotoError(entry.path, "there is no steel in its region, or the region is less than a pixel",
                             "Correct the region in the table of assets, or the steel mask")
    return Surface(kind, None if kind == "photo" else pixels)


def _only_own_files(out: Path, entries: list[Entry]) -> None:
    """Refuse a folder whose files a report would replace, or hide among its pictures, unless a report of these photos
    wrote them: of some of them at least."""
    if holds_report(out):
        known = _reported(out)
        if known and known.isdisjoint(entry.name for entry in entries):
            raise CorrosegError(f"{out}: here is a report of other photos, {min(known)} among them, which would be "
                                "replaced. Give another folder with --out, or remove it.")
        return
    for path in (*(out / name for name in RESULTS), *sorted((out / "photos").glob("*"))[:1]):
        if path.exists():
            raise CorrosegError(f"{path}: this file is there already, and is not of a report. Give another folder "
                                "with --out, or move the file.")


def _reported(out: Path) -> set[str]:
    try:
        return {photo["photo"] for photo in json.loads((out / "findings.json").read_text("utf-8"))["photos"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # a run that was killed before it wrote any, or a damaged one, which this run mends


@contextlib.contextmanager
def _only_run(out: Path) -> Iterator[None]:
    """Keep a second run out of the same folder, and clear what a killed run left half-written."""
    with open(out / ".lock", "w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however that ends
        except BlockingIOError as error:
            raise CorrosegError(f"{out}: another run is writing here. Wait, or choose another folder.") from error
        except (ImportError, OSError):  # Windows, or a disk without locks: two runs at once stay the user's care
            pass
        for half in [*out.glob(".writing-*"), *(out / "photos").glob(".writing-*")]:
            half.unlink()
        yield


def add_parser(subparsers) -> None:
    """Add the command `report` to the command line."""
    parser = subparsers.add_parser(
        "report", help="inspect a folder of photos and write a report", epilog=EXIT_CODES,
        description="Inspect all photos in a folder and the folders below it: corroded share, findings and grades of "
        "each photo and asset, as report.html, findings.csv, findings.json and coco.json. A run that was stopped "
        "carries on where it was. The grades are a decision aid, not a class survey.")
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of photos")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--model", type=Path, metavar="PATH",
                        help="a model file, or the name of a shipped one; by default corroseg_exact, which learned to "
                             "mark corroded metal alone, as grades by area ask for")
    parser.add_argument("--threshold", type=option_values.inner_probability, metavar="T",
                        help="probability 0-1 from which a pixel is marked; the model's own by default")
    parser.add_argument("--sure", type=option_values.inner_probability, metavar="P",
                        help="probability 0-1 that a marked region must reach somewhere to count, which drops faint "
                        "marks on clean steel; no such demand by default")
    parser.add_argument("--scale", type=option_values.scale, metavar="S",
                        help="look at the photo tile by tile at this scale (0-1; 1 is full size, up to 25 megapixels), "
                        "which finds smaller damage on large photos, but misses damage that then looks larger than in "
                        "the training photos; by default the model sees the whole photo at once")
    parser.add_argument("--assets", default="job", metavar="BY",
                        help="job: the prefix CDM_<number> or CDS_<number>, or the folder of a photo without one "
                        "(default); folder; or a CSV file with the columns photo and asset, and optionally place, "
                        "date (YYYY-MM-DD) and region (left top right bottom in percent)")
    parser.add_argument("--steel", type=Path, metavar="FOLDER",
                        help="folder of masks <photo name>.png, in the subfolders of the photos, above 0 where there "
                        "is steel: the area that counts; the whole photo by default")
    parser.add_argument("--seconds", type=option_values.seconds, default=SECONDS_PER_PHOTO,
                        help="limit for reading one photo, in seconds (default: %(default)g)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from corroseg_utils.segmenter import load_segmenter

    if options.steel and not options.steel.is_dir():
        raise CorrosegError(f"{options.steel}: no such folder. --steel is the folder of the steel masks.")
    report = make_report(options.photos, options.out, load_segmenter(options.model, exact=True), by=options.assets,
                         settings=Settings(options.threshold, options.sure, options.scale, options.steel),
                         seconds=options.seconds)
    photos = [entry.path for entry in report.entries]
    for name in rows_without_photo(photos, options.photos, options.assets):
        print(f"{options.assets}: {name!r} names no photo in {options.photos}; the row was not used.", file=sys.stderr)
    unnamed = photos_without_row(photos, options.photos, options.assets)
    if unnamed:
        print(f"{options.assets}: has no row for {len(unnamed)} of {len(photos)} photos, {unnamed[0]} among them; "
              "these go by job or folder.", file=sys.stderr)
    bare = [entry.name for entry in report.entries if options.steel and not _steel_mask(entry, options.steel)]
    if bare:
        print(f"{options.steel}: no steel mask for {len(bare)} of {len(photos)} photos, {bare[0]} among them; of these "
              "the whole photo counts.", file=sys.stderr)
    for name, reason in report.failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    warning = unclear_photos({entry.name: result["quality"] for entry, result in results(report)}, "findings.csv")
    if warning:
        print(warning, file=sys.stderr)
    print(f"{len(report.entries) - len(report.failed)} of {len(report.entries)} photos inspected: "
          f"{options.out / 'report.html'}")
    return 1 if report.failed else 0
