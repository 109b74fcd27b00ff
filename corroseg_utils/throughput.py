"""How fast training pairs are made: the input pipeline of 2020 beside ours, in one run on one machine.

`python -m corroseg_utils.throughput` measures both on the embedded data set.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from corroseg_utils import DATA
from corroseg_utils.benchmark import machine
from corroseg_utils.dataset import load_arrays, read_data
from corroseg_utils.errors import exit_code
from corroseg_utils.photos import read_mask, read_photo, write_jpeg, write_png

SIZE, BATCH = 128, 64  # those of 2020


def write_folders_2020(manifest: pd.DataFrame, folder: Path) -> None:
    """Lay out photos and masks as in 2020: `frames/all/<photo>.jpg` and `masks/all/<photo>.png`.

    Only photos with a finding are written, and of their findings only the first, as in 2020.
    """
    for row in manifest.to_dict("records"):
        if row["findings"]:
            mask = read_mask(row["findings"][0].path, row["photo"])
            write_jpeg(folder / "frames" / "all" / f"{row['photo'].stem}.jpg", read_photo(row["photo"]))
            write_png(folder / "masks" / "all" / f"{row['photo'].stem}.png", mask)


def pairs_2020(folder: Path, size: int = SIZE,
               batch_size: int = BATCH) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The input pipeline of 2020: two unseeded generators that read and augment photos and masks from files.

    Its pairs are not pairs (lesson 02 shows why). It is here to be measured.

    Args:
        folder: as `write_folders_2020` leaves it.
        size: side of the squares in pixels.
        batch_size: pairs a batch.

    Yields:
        Photos float32 (B, size, size, 3) in [0, 1], and masks of the same shape, without end.
    """
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(rescale=1 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints "Found ... images" for each folder
        frames, masks = (generator.flow_from_directory(folder / name, (size, size), batch_size=batch_size)
                         for name in ("frames", "masks"))
    while True:
        yield next(frames)[0], next(masks)[0]


def pairs_per_second(batches: Iterable, seconds: float = 5.0) -> float:
    """Rate at which an endless stream of (photos, masks) gives pairs, without its first batch (set-up)."""
    stream = iter(batches)
    next(stream)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        count += len(next(stream)[0])
    return count / (time.perf_counter() - start)


def compare(manifest: pd.DataFrame, size: int = SIZE, seconds: float = 5.0) -> tuple[float, float]:
    """Pairs per second of the 2020 pipeline and of ours, with the same geometry: flip, shear and zoom.

    Ours starts from the cache, arrays of `size` that were decoded once before the clock starts.
    """
    from corroseg_utils.augment import GEOMETRY_2020
    from corroseg_utils.pipeline import make_dataset

    with tempfile.TemporaryDirectory() as folder:
        write_folders_2020(manifest, Path(folder))
        rate_2020 = pairs_per_second(pairs_2020(Path(folder), size), seconds)
    photos, masks = load_arrays(manifest, size)
    stream = make_dataset(photos, masks, BATCH, augmentation=GEOMETRY_2020)
    return rate_2020, pairs_per_second(stream, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.throughput", description=__doc__)
    parser.add_argument("data", nargs="?", default=DATA, help="a data set (default: the embedded one)")
    parser.add_argument("--size", type=int, default=SIZE, help="side of a pair in pixels (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each (default: %(default)s)")
    args = parser.parse_args()
    manifest = read_data(args.data)
    rate_2020, rate = compare(manifest, args.size, args.seconds)
    print(f"{machine()}\n{len(manifest)} photos, pairs of {args.size}x{args.size} with flip, shear and zoom\n"
          f"2020, from files:     {rate_2020:7.1f} pairs/s\nours, from the cache: {rate:7.1f} pairs/s\n"
          f"ratio:                {rate / rate_2020:7.1f}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
