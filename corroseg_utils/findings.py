"""Findings: the connected regions of a corrosion mask, and the corroded share with its interval."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from corroseg_utils.dataset import CLASS_NAMES

ODDS_FACTOR = 3.0
"""The interval of `corroded_share` moves the odds of the threshold by this factor: 0.5 is 0.25 to 0.75."""


class Region(NamedTuple):
    """One connected region: its number in the label image, area in pixels, box as x, y, width, height, class, and
    mean probability of corrosion, 0 to 1."""

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


def mark(probability: np.ndarray, threshold: float, sure: float | None = None) -> np.ndarray:
    """Pixels that count as corroded.

    probability: float32 (H, W). A pixel counts from `threshold` on; with `sure`, a higher probability, only where
    its connected region reaches `sure` somewhere (the hysteresis of Canny's edge detector, 1986): a faint shadow of
    a mark goes, while a sure one keeps its whole area. Returns bool (H, W).
    """
    mask = probability >= np.float32(threshold)
    if sure is None or sure <= threshold:
        return mask
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    kept = np.zeros(count, bool)
    kept[labels[probability >= np.float32(sure)]] = True
    return kept[labels]


def corroded_share(probability: np.ndarray, threshold: float, surface: np.ndarray | None = None,
                   sure: float | None = None) -> Share:
    """Corroded share in percent of the surface, with the shares at a stricter and at a looser threshold as
    bounds.

    probability: float32 (H, W). surface: bool (H, W), the pixels that count (all of them if None). threshold, sure:
    see `mark`. The bounds are the shares with the odds of both times and divided by `ODDS_FACTOR`.

    The interval says how much of the answer hangs on the threshold: wide where the model hesitates, narrow
    where it is sure, be it rightly or wrongly. It is no confidence interval: it has no stated coverage, and
    what the model is sure of and wrong about lies outside it. Raises ValueError for an empty surface or a
    threshold outside 0..1.
    """
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold is {threshold}, but must lie between 0 and 1")
    size = probability.size if surface is None else int(np.count_nonzero(surface))
    if size == 0:
        raise ValueError("the surface has no pixel: its steel mask or region is empty")

    def share(*limits: float | None) -> float:
        marked = mark(probability, *limits)
        return 100 * int(np.count_nonzero(marked if surface is None else marked & surface)) / size

    percent = share(threshold, sure)
    low, high = (share(moved(threshold, factor), sure and moved(sure, factor))
                 for factor in (ODDS_FACTOR, 1 / ODDS_FACTOR))
    return Share(percent, min(low, percent), max(high, percent))


def marked_percent(mask: np.ndarray) -> float:
    """How much of a mask, bool (H, W), is marked, 0 to 100."""
    return 100 * int(np.count_nonzero(mask)) / mask.size


def moved(probability: float, factor: float) -> float:
    """The probability whose odds are `factor` times as high."""
    return factor * probability / (1.0 - probability + factor * probability)
