"""What blur, darkness, light and haze do to the grades, and what `photo_quality` does about it.

    python -m corroseg_utils.quality_study DATA [--model PATH] [--split test]

Each photo with at least `LEAST_PERCENT` of corrosion is spoiled in several ways, seen whole, and graded with the
model's own threshold. A spoiled photo does harm where its grade is better than the true one by more than one, and most
where nobody is told.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from corroseg_utils.augment import hazed
from corroseg_utils.dataset import SPLITS, DataError, load_mask, read_data
from corroseg_utils.dataset_checks import checked
from corroseg_utils.errors import exit_code
from corroseg_utils.findings import mark, marked_percent
from corroseg_utils.grades import d610_grade
from corroseg_utils.photo_quality import CLEAR, VIEW_SIDE, photo_quality
from corroseg_utils.photos import read_photo
from corroseg_utils.segmenter import Segmenter, fit_square, load_segmenter, softmax

LEAST_PERCENT = 0.1  # a true grade of 7 or worse: then a grade can be too good by more than one


def blurred(photo: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of `sigma` pixels at the size at which the quality is judged."""
    return cv2.GaussianBlur(photo, (0, 0), sigma * max(photo.shape) / VIEW_SIDE)


def brightened(photo: np.ndarray, factor: float) -> np.ndarray:
    """All values times `factor`; what goes beyond 255 is white."""
    return np.clip(np.rint(photo * np.float32(factor)), 0, 255).astype(np.uint8)


SPOILED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda photo: photo,
    "blur of 1 pixel": lambda photo: blurred(photo, 1),
    "blur of 2 pixels": lambda photo: blurred(photo, 2),
    "blur of 4 pixels": lambda photo: blurred(photo, 4),
    "a third of the light": lambda photo: brightened(photo, 1 / 3),
    "a quarter of the light": lambda photo: brightened(photo, 1 / 4),
    "an eighth of the light": lambda photo: brightened(photo, 1 / 8),
    "twice the light": lambda photo: brightened(photo, 2),
    "four times the light": lambda photo: brightened(photo, 4),
    "haze, three quarters of the contrast left": lambda photo: hazed(photo, 3 / 4),
    "haze, six tenths left": lambda photo: hazed(photo, 0.6),
    "haze of grey 180, half left": lambda photo: hazed(photo, 1 / 2, 180),
    "haze, half left": lambda photo: hazed(photo, 1 / 2),
    "haze, a quarter left": lambda photo: hazed(photo, 1 / 4),
}


def quality_study(segmenter: Segmenter, manifest: pd.DataFrame, progress: bool = False) -> pd.DataFrame:
    """Spoil, grade and judge each photo.

    Args:
        segmenter: the model; its own threshold applies.
        manifest: photos with masks; those with less than `LEAST_PERCENT` of corrosion are left out.
        progress: show a progress bar.

    Returns:
        A row for each way of `SPOILED`, with shares of the photos, 0-1: `too_good`, those with a D610 grade more than
        one better than the true one; `without_tones`, the same if no photo got its contrast back; `named`, those that
        `photo_quality` does not call good; `silent`, those too good and not named. The attribute `photos` of the
        table, in `attrs`, is their number.

    Raises:
        DataError: no photo has enough corrosion.
    """
    rows, count = [], 0
    for row in tqdm(manifest.to_dict("records"), "spoiling", disable=not progress):
        photo = read_photo(row["photo"])
        percent = marked_percent(load_mask(row["photo"], row["findings"], photo.shape[1::-1]) > 0)
        if percent < LEAST_PERCENT:
            continue
        count, true = count + 1, d610_grade(percent)
        for name, spoil in SPOILED.items():
            seen = spoil(photo)
            without, with_tones = (
                d610_grade(marked_percent(mark(probability, segmenter.threshold)))
                for probability in (_as_it_is(segmenter, seen), segmenter.probability(seen)))
            too_good = with_tones - true > 1
            named = photo_quality(seen) != CLEAR
            rows.append((name, without - true > 1, too_good, named, too_good and not named))
    if not count:
        raise DataError(f"No photo has {LEAST_PERCENT} % of corrosion or more. Give data or a split that has some.")
    table = pd.DataFrame(rows, columns=["photo", "without_tones", "too_good", "named", "silent"])
    means = table.groupby("photo", sort=False).mean().round(4)
    means.attrs["photos"] = count
    return means


def _as_it_is(segmenter: Segmenter, photo: np.ndarray) -> np.ndarray:
    """`Segmenter.probability` without `photo_quality.tones`."""
    square, (width, height) = fit_square(photo, segmenter.size)
    corrosion = 1 - softmax(segmenter.logits(square[None])[0, :height, :width])[..., 0]
    return np.asarray(Image.fromarray(corrosion).resize(photo.shape[1::-1], Image.Resampling.BILINEAR))


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.quality_study", description=__doc__,
                                     formatter_class=raw)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", choices=SPLITS, default="test", help="which photos (default: %(default)s)")
    parser.add_argument("--model", type=Path, metavar="PATH", help="a model file; that of `report` by default")
    options = parser.parse_args()
    manifest = checked(read_data(options.data))
    manifest = manifest[manifest["split"] == options.split]
    if manifest.empty:
        raise DataError(f"{options.data}: the split {options.split} has no photo. Give data that has some.")
    table = quality_study(load_segmenter(options.model, exact=True), manifest, progress=True)
    print(json.dumps({"photos": table.attrs["photos"], **table.to_dict("index")}, indent=1))


if __name__ == "__main__":
    sys.exit(exit_code(main))
