"""Exact masks for photos whose masks people drew: of each outline, what a model marks in it.

    python -m corroseg_utils.exact_masks DATA --out DIR [--source S] [--model MODEL.npz]

People draw around a rusty part, sound islands and all, and where they drew nothing there is next to no rust. So what an
exact model marks inside their outlines is a better guess at the rust than either alone. A model that learns from these
masks beside rendered photos keeps what it knew of real ones (learning without forgetting: Li and Hoiem 2016, arXiv
1606.09282). They are a guess all the same: train with them, and score on nothing that was made this way.

DIR/manifest.csv is a data set for `train --extra`. The photos stay where they are.
"""

import argparse
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from corroseg_utils.dataset import DataError, read_data
from corroseg_utils.errors import exit_code
from corroseg_utils.evaluation import predict
from corroseg_utils.photos import write_png, write_whole
from corroseg_utils.segmenter import Segmenter, load_segmenter

THRESHOLD = 0.5
SLACK = 4  # pixels by which an outline may lie inside the rust


def exact_mask(outline: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """What is probably corroded, from THRESHOLD on, inside an outline and up to SLACK pixels beside it.

    Args:
        outline: bool (H, W), as a person drew it.
        probability: float (H, W) in [0, 1], of an exact model.

    Returns:
        bool (H, W).
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * SLACK + 1, 2 * SLACK + 1))
    return (cv2.dilate(outline.astype(np.uint8), disc) > 0) & (probability >= THRESHOLD)


def write_exact_masks(segmenter: Segmenter, manifest: pd.DataFrame, out: Path, progress: bool = False) -> None:
    """Write the exact mask of each photo, and out/manifest.csv, in which all photos are for training.

    Args:
        segmenter: an exact model.
        manifest: photos with outlines.
        out: a new folder.
        progress: show a progress bar.

    Raises:
        DataError: there is no photo, or `out` exists.
    """
    if manifest.empty:
        raise DataError("There is no photo to make a mask for. Check the data and --source.")
    if out.exists():
        raise DataError(f"{out} exists. Give a new folder, so that no masks are lost.")
    (out / "masks").mkdir(parents=True)
    rows = []
    for number, (row, outline, probability) in enumerate(predict(segmenter, manifest, progress)):
        mask = Path("masks", f"{number:05}.png")  # two photos of different folders may have one name
        write_png(out / mask, 255 * exact_mask(outline, probability).astype(np.uint8))
        rows.append({"image": os.path.relpath(row["photo"], out), "mask": mask.as_posix(), "group": row["group"],
                     "split": "train"})
    table = pd.DataFrame(rows).to_csv(index=False).encode()
    write_whole(out / "manifest.csv", lambda file: file.write(table))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.exact_masks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--source", metavar="S", help="use only this source of the data")
    parser.add_argument("--model", type=Path, metavar="PATH", help="an exact model; that of `report` by default")
    options = parser.parse_args()
    manifest = read_data(options.data)
    if options.source:
        sources = manifest["source"] if "source" in manifest else pd.Series("", manifest.index)
        manifest = manifest[sources == options.source]
    write_exact_masks(load_segmenter(options.model, exact=True), manifest, options.out, progress=True)
    print(f"The masks are in {options.out}, their table is {options.out / 'manifest.csv'}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
