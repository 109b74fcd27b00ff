"""Findings: the connected regions of a corrosion mask, and the corroded share with its interval."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from corroseg_utils.dataset import CLASS_NAMES

ODDS_FACTOR = 3.0
"""The interval of `corroded_share` moves the odds of the threshold by this factor: 0.5 is 0.25 to 0.75."""


class Region(NamedTuple):
    """One connected region: its number in the label image, area in pixels, box as x, y, width, height."""

    label: int
    area: int
    box: tuple[int, int, int, int]
    name: str
    confidence: float


class Share(NamedTuple):
    """Corroded share of a surface in percent, and the bounds that `corroded_share` explains."""

    percent: float
    low: float
    high: float


def find_regions(
    mask: np.ndarray, probability: np.ndarray, classes: np.ndarray | None = None, names: Sequence[str] = CLASS_NAMES
) -> tuple[np.ndarray, list[Region]]:
    """Connected regions of a mask, largest first; pixels that touch at a corner belong together.

    mask: bool (H, W). probability: float32 (H, W) in 0..1, averaged over each region for its confidence.
    classes: uint8 (H, W) positions in `names`, background first; a region gets the class that most of its
    pixels have, and ``"cor"`` without. Returns the label image, int32 (H, W) with 0 outside, and the regions.
    Raises ValueError for unlike shapes.
    """
    if mask.shape != probability.shape or (classes is not None and classes.shape != mask.shape):
        raise ValueError(f"mask {mask.shape} and probability {probability.shape} must have one shape")
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    inside = labels[mask]
    areas = stats[:, cv2.CC_STAT_AREA]
    confidence = np.bincount(inside, weights=probability[mask], minlength=count) / np.maximum(areas, 1)
    best = ["cor"] * count
    if classes is not None:
        votes = np.bincount(inside * len(names) + classes[mask], minlength=count * len(names))
        best = [names[index] for index in votes.reshape(count, -1)[:, 1:].argmax(axis=1) + 1]
    regions = [
        Region(label, int(areas[label]), tuple(map(int, stats[label, :4])), best[label], value)
        for label, value in enumerate(confidence.tolist()) if label > 0
    ]
    regions.sort(key=lambda region: (-region.area, region.box[1], region.box[0], region.label))
    return labels, regions


def corroded_share(probability: np.ndarray, threshold: float, surface: np.ndarray | None = None) -> Share:
    """Corroded share in percent of the surface, with the shares at a stricter and at a looser threshold as
    bounds.

    probability: float32 (H, W); a pixel is corroded from the threshold on. surface: bool (H, W), the pixels
    that count (all of them if None). The bounds are the shares with the odds of the threshold times and
    divided by `ODDS_FACTOR`.

    The interval says how much of the answer hangs on the threshold: wide where the model hesitates, narrow
    where it is sure, be it rightly or wrongly. It is no confidence interval: it has no stated coverage, and
    what the model is sure of and wrong about lies outside it. Raises ValueError for an empty surface or a
    threshold outside 0..1.
    """
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold is {threshold}, but must lie between 0 and 1")
    values = probability if surface is None else probability[surface]
    if values.size == 0:
        raise ValueError("the surface has no pixel: its steel mask or region is empty")
    odds = threshold / (1.0 - threshold)

    def share(limit: float) -> float:
        return 100 * int(np.count_nonzero(values >= np.float32(limit))) / values.size

    percent = share(threshold)
    low, high = (share(moved / (1.0 + moved)) for moved in (odds * ODDS_FACTOR, odds / ODDS_FACTOR))
    return Share(percent, min(low, percent), max(high, percent))
