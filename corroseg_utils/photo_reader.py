"""Read photos in a second process, so that no file can hang, crash or exhaust the program that asked for it.

While the caller works on one photo the next is already being decoded. Needs Pillow and NumPy only.
"""

import contextlib
import multiprocessing
import os
import signal
import warnings
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from corroseg_utils.photos import PhotoError, photo_size, read_exif, read_photo, resize_photo
from corroseg_utils.segmenter import READ_SIDE

SECONDS_PER_PHOTO = 60.0
MEGABYTES_PER_PHOTO = 3000
MIN_SIDE = 8
LONGEST_SIDE = 30_000
MOST_WORKING_PIXELS = 25_000_000  # larger photos are worked on at a smaller scale, so that memory stays bounded

_EXIF_BLOCK, _DATE_TAKEN = 0x8769, 0x9003


class ReadPhoto(NamedTuple):
    """An upright photo: pixels uint8 (h, w, 3) at working size, its full width and height, EXIF date or
    ""."""

    pixels: np.ndarray
    width: int
    height: int
    date: str


class PhotoReader:
    """Reads one photo ahead. Use as a context manager; call `ask` and `answer` in turns.

    scale: share of the photo's width and height to read it at, but at most MOST_WORKING_PIXELS; None for a long side of
    at most `READ_SIDE` pixels.
    seconds: a photo that takes longer is given up (PhotoError), and so is one that needs more memory than
    `MEGABYTES_PER_PHOTO` or kills the process.
    """

    def __init__(self, scale: float | None = None, seconds: float = SECONDS_PER_PHOTO):
        self.scale, self.seconds = scale, seconds
        self._process = None
        self._path: Path | None = None

    def __enter__(self) -> "PhotoReader":
        return self

    def __exit__(self, *_) -> None:
        self._stop()

    def ask(self, path: Path) -> None:
        """Start to read a photo."""
        self._path = path
        try:
            self._start()
            self._pipe.send(str(path))
        except ConnectionError:  # it died since the last photo
            self._stop()
            self._start()
            self._pipe.send(str(path))

    def _start(self) -> None:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, self.scale), daemon=True)
            process.start()
            self._process = process
            theirs.close()

    def answer(self) -> ReadPhoto:
        """The photo asked for last. Raises PhotoError."""
        try:
            if not self._pipe.poll(self.seconds):
                self._stop()
                raise PhotoError(self._path, f"reading it took longer than {self.seconds:g} s",
                                 "Save it again as JPEG, or leave it out")
            kind, *content = self._pipe.recv()
            if kind == "error":
                raise PhotoError(self._path, *content)
            shape, width, height, date = content
            return ReadPhoto(np.frombuffer(self._pipe.recv_bytes(), np.uint8).reshape(shape), width, height, date)
        except (EOFError, ConnectionError) as error:
            self._stop()
            raise PhotoError(self._path, "reading it stopped the reader", "Leave it out") from error

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _serve(pipe, scale: float | None) -> None:
    """The second process: answer paths with photos until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to handle
    warnings.simplefilter("ignore")
    _limit_memory()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # image libraries write about damaged files to stderr
    while True:
        try:
            path = Path(pipe.recv())
        except EOFError:
            return
        try:
            photo = _read(path, scale)
        except PhotoError as error:
            pipe.send(("error", error.reason, error.cure))
        except MemoryError:
            pipe.send(("error", f"it needs more than {MEGABYTES_PER_PHOTO} MB of memory", "Save it smaller"))
        except Exception as error:  # whatever a decoder may raise, the photo is what is wrong
            pipe.send(("error", f"it cannot be read ({type(error).__name__})", "Save it again as JPEG or PNG"))
        else:
            pipe.send(("photo", photo.pixels.shape, photo.width, photo.height, photo.date))
            pipe.send_bytes(photo.pixels.ravel())


def _read(path: Path, scale: float | None) -> ReadPhoto:
    width, height = photo_size(path)
    if min(width, height) < MIN_SIDE or max(width, height) > LONGEST_SIDE:
        raise PhotoError(path, f"it is {width} x {height} pixels", f"Sides of {MIN_SIDE} to {LONGEST_SIDE} are read")
    scale = min(scale or READ_SIDE / max(width, height), 1, (MOST_WORKING_PIXELS / (width * height)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels = read_photo(path, at_least=max(size))
    return ReadPhoto(resize_photo(pixels, size), width, height, _date_taken(path))


def _date_taken(path: Path) -> str:
    """Date from the EXIF block as YYYY-MM-DD, "" where it has none or a broken one."""
    try:
        with Image.open(path) as image:
            text = read_exif(image).get_ifd(_EXIF_BLOCK).get(_DATE_TAKEN, "")
        return datetime.strptime(str(text)[:10], "%Y:%m:%d").date().isoformat()
    except Exception:  # a photo without a readable date is still a photo
        return ""


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEGABYTES_PER_PHOTO * 2**20
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit, and refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))
