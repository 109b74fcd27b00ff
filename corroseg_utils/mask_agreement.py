"""How well two masks of one scene agree: a model that is asked for more is asked to guess who drew.

    python -m corroseg_utils.mask_agreement DATA [--model PATH] [--json]

DATA is the manifest CSV of the real photos. Where two of its photos show one scene (see `scenes`), each has a mask
that was drawn without regard to the other. The first photo is laid over the second by the homography between their
keypoints, its mask goes with it, and the two masks are compared where both photos look. A plane's homography fits a
real scene only roughly; how much that costs is seen on the same pairs with masks that a model drew.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from corroseg_utils.dataset import load_pair, read_data
from corroseg_utils.dataset_checks import checked
from corroseg_utils.errors import CorrosegError, exit_code
from corroseg_utils.evaluation import COUNTS, pooled_scores
from corroseg_utils.metrics import bootstrap_interval, confusion, corrosion_iou, interval_text
from corroseg_utils.reference import without_nan
from corroseg_utils.scenes import SCENES
from corroseg_utils.segmenter import SHIPPED, Segmenter, load_segmenter
from corroseg_utils.similarity import ALIKE, MIRRORED, SIDE, align, keypoints

_SIDE = 512  # masks are compared in squares of so many pixels
_BORDER = 4  # pixels at the edge of the overlap that resampling may have touched


def agreement(manifest: pd.DataFrame, scenes: Sequence[Sequence[str]],
              segmenter: Segmenter | None = None) -> pd.DataFrame:
    """Compare the masks of all pairs of photos of one scene that can be laid over each other.

    Args:
        manifest: from `dataset.read_data`.
        scenes: groups of the manifest that show one scene. Groups of other data sets are passed over.
        segmenter: compare the masks that it draws, instead of those of the manifest.

    Returns:
        A row for each pair in which ALIKE or more keypoints agree, as `evaluation.pooled_scores` reads them: photo
        (both groups), group (the first of the scene), source ("cis", or "cis and web" where the sources differ), and
        the pixels of COUNTS, the mask of the first photo standing for the answer.
    """
    photos = {row["group"]: row for row in manifest.to_dict("records")}
    rows = []
    for scene in scenes:
        for first, second in combinations([group for group in scene if group in photos], 2):
            pairs = [_pair(photos[group], segmenter) for group in (first, second)]
            counts = pair_counts(*pairs[0], *pairs[1])
            if counts is not None:
                sources = dict.fromkeys(str(photos[group].get("source", "")) for group in (first, second))
                rows.append({"photo": f"{first} {second}", "group": scene[0], "source": " and ".join(sources),
                             **dict(zip(COUNTS, counts.ravel().tolist(), strict=True))})
    return pd.DataFrame(rows, columns=["photo", "group", "source", *COUNTS])


def pair_counts(photo: np.ndarray, mask: np.ndarray, other: np.ndarray, other_mask: np.ndarray) -> np.ndarray | None:
    """Confusion matrix int (2, 2) of two masks of one scene, where both photos look; rows are the other mask.

    The photos may be mirror images of each other.

    Args:
        photo, other: uint8 (H, W, 3), each of its own size.
        mask, other_mask: class indices uint8 (H, W), of their photo's size; every class counts as corrosion.

    Returns:
        None if the photos do not show one scene as far as keypoints tell.
    """
    (places, vectors), others = keypoints(photo), keypoints(other)
    agreeing, homography = max((align(places, seen, *others) for seen in (vectors, vectors[:, MIRRORED])),
                               key=lambda found: found[0])
    if agreeing < ALIKE:
        return None
    larger = np.diag([_SIDE / SIDE, _SIDE / SIDE, 1.0])
    homography = larger @ homography @ np.linalg.inv(larger)

    def square(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture.astype(np.uint8), (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)

    def laid_over(picture: np.ndarray) -> np.ndarray:
        return cv2.warpPerspective(picture, homography, (_SIDE, _SIDE), flags=cv2.INTER_NEAREST) > 0

    inside = np.zeros((_SIDE, _SIDE), np.uint8)
    inside[_BORDER:-_BORDER, _BORDER:-_BORDER] = 1
    both = laid_over(inside) & (inside > 0)
    return confusion(square(other_mask > 0)[both], laid_over(square(mask > 0))[both])


def lead(people: pd.DataFrame, model: pd.DataFrame) -> tuple[float, float, float]:
    """How much better people's masks of the same pairs agree than the model's.

    Args:
        people, model: from `agreement`, of the same manifest and one source.

    Returns:
        IoU of people minus IoU of the model, and its interval, 95 % by bootstrap over scenes: in each draw both answer
        for the same scenes. NaN for bounds of fewer than two scenes.
    """
    pairs = people.merge(model, on="photo", suffixes=("", "_model"), validate="one_to_one")
    counts = pairs[COUNTS + [f"{name}_model" for name in COUNTS]].to_numpy().reshape(-1, 2, 2, 2)

    def difference(both: np.ndarray) -> float:
        return corrosion_iou(both[0]) - corrosion_iou(both[1])

    return difference(counts.sum(0)), *bootstrap_interval(counts, pairs["group"], difference)


def _pair(row: dict, segmenter: Segmenter | None) -> tuple[np.ndarray, np.ndarray]:
    photo, mask = load_pair(row)
    return photo, mask if segmenter is None else segmenter.mask(photo)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.mask_agreement", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="the manifest CSV of the real photos")
    parser.add_argument("--model", type=Path, default=SHIPPED, metavar="PATH",
                        help="a model file; the shipped model by default")
    parser.add_argument("--json", action="store_true", help="print all scores as JSON")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print_agreement(options))


def _print_agreement(options: argparse.Namespace) -> None:
    manifest, scenes = checked(read_data(options.data)), [line.split() for line in SCENES.strip().splitlines()]
    by_source = {}
    for drawn_by, segmenter in (("people", None), ("model", load_segmenter(options.model))):
        cv2.setRNGSeed(0)  # RANSAC draws
        pairs = agreement(manifest, scenes, segmenter)
        if pairs.empty:
            raise CorrosegError(f"{options.data}: no two of its photos show one scene. This is for the collection of "
                                "real photos, whose scenes are listed in corroseg_utils/scenes.py.")
        by_source[drawn_by] = dict(list(pairs.groupby("source")))
    results = {drawn_by: {source: pooled_scores(rows) for source, rows in sources.items()}
               for drawn_by, sources in by_source.items()}
    leads = {source: lead(rows, by_source["model"][source]) for source, rows in by_source["people"].items()}
    if options.json:
        results["lead"] = {source: {"iou": value, "iou_interval": interval}
                           for source, (value, *interval) in leads.items()}
        print(json.dumps(without_nan(results), indent=1))
        return
    for drawn_by, sources in results.items():
        for source, scores in sources.items():
            print(f"{drawn_by:<8}{source:<16} IoU {scores['iou']:.3f} ({interval_text(*scores['iou_interval'])})  "
                  f"share error {100 * scores['share_error']:.0f}%  {scores['photos']} pairs of "
                  f"{scores['groups']} scenes")
    for source, (value, *interval) in leads.items():
        print(f"people minus model, {source}: IoU {value:+.3f} ({interval_text(*interval)})")


if __name__ == "__main__":
    sys.exit(main())
