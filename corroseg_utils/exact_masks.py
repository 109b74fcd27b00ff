"""Exact masks for photos whose masks people drew: what a model marks in their outlines.

    python -m corroseg_utils.exact_masks DATA --out DIR [--source S] [--model PATH]

People draw around a rusty part, sound islands and all, and where they drew nothing there is next to no rust. So what an
exact model marks in their outlines is a better guess at the rust than either alone. A model that learns from these
masks beside rendered photos keeps what it knew of real ones (learning without forgetting: Li and Hoiem 2016, arXiv
1606.09282). They are a guess all the same: train with them, and score on nothing that was made this way.

DIR/manifest.csv is a data set for `train --extra`. Each photo keeps its split, so test photos are not learned. Folds
are not kept: in a cross-validation of the same photos such masks would let a model see what it is scored on.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from corroseg_utils.dataset import DataError, read_data
from corroseg_utils.dataset_checks import checked
from corroseg_utils.errors import exit_code
from corroseg_utils.evaluation import predict
from corroseg_utils.folds import only_source
from corroseg_utils.photos import copy_upright, write_png, write_whole
from corroseg_utils.segmenter import Segmenter, load_segmenter

SLACK = 4  # pixels by which people's outlines run inside the rust rather than around it


def exact_mask(outline: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """What is marked in an outline, and up to SLACK pixels beside it: bool (H, W) each.

    Args:
        outline: as a person drew it.
        marked: by an exact model.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * SLACK + 1, 2 * SLACK + 1))
    return (cv2.dilate(outline.astype(np.uint8), disc) > 0) & marked


def write_exact_masks(segmenter: Segmenter, manifest: pd.DataFrame, out: Path, progress: bool = False) -> None:
    """Write a copy and the exact mask of each photo, and out/manifest.csv.

    Args:
        segmenter: an exact model; its own threshold applies.
        manifest: checked photos with outlines.
        out: folder of the new data set; an interrupted run is begun anew.
        progress: show a progress bar.

    Raises:
        DataError: `out` holds a data set.
        PhotoError: a photo cannot be read.
    """
    if (out / "manifest.csv").exists():
        raise DataError(f"{out / 'manifest.csv'}: there is a data set in this folder already. Give a new one with "
                        "--out, or remove it first.")
    rows = []
    for number, (row, outline, probability) in enumerate(predict(segmenter, manifest, progress)):
        name = f"{number:05}"  # two photos of different folders may have one name
        image = copy_upright(row["photo"], out / "images" / f"{name}{row['photo'].suffix.lower()}")
        write_png(out / "masks" / f"{name}.png",
                  255 * exact_mask(outline, probability >= segmenter.threshold).astype(np.uint8))
        rows.append({"image": f"images/{image.name}", "mask": f"masks/{name}.png", "group": row["group"],
                     "split": row["split"]})
    table = pd.DataFrame(rows).to_csv(index=False).encode()
    write_whole(out / "manifest.csv", lambda file: file.write(table))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.exact_masks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="photos with outlines, a data set as for `train`")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--source", metavar="S", help="use only this source of the data")
    parser.add_argument("--model", type=Path, metavar="PATH", help="an exact model; that of `report` by default")
    options = parser.parse_args()
    manifest = read_data(options.data)
    if options.source:
        try:
            manifest = only_source(manifest, options.source)
        except DataError as error:
            raise DataError(f"{options.data}: {error}") from error
    segmenter = load_segmenter(options.model, exact=True)
    write_exact_masks(segmenter, checked(manifest, progress=True), options.out, progress=True)
    print(f"The data set is {options.out / 'manifest.csv'}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
