"""Polygons and masks, exactly: a polygon's corner (x, y) is a corner of pixels, and pixel (0, 0) covers 0..1.

This is how COCO, CVAT and LabelMe place polygons. A pixel belongs to a polygon that contains its centre, so that
`fill` undoes `trace` without losing or adding a pixel.
"""

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np


def fill(rings: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies inside, by the even-odd rule: a ring within a ring is a hole.

    rings: float (n, 2) of x, y each. size: (height, width). Returns bool (height, width).
    Raises ValueError for corners that are no finite numbers.
    """
    height, width = size
    toggles = np.zeros((height, width + 1), bool)  # where inside and outside swap, from left to right
    for ring in rings:
        ring = np.asarray(ring, np.float64).reshape(-1, 2)
        if not np.isfinite(ring).all():
            raise ValueError("a polygon has a corner that is no number")
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y0 > y1:
                x0, y0, x1, y1 = x1, y1, x0, y0
            # Rows whose centre line, y + 0.5, the edge crosses: from y0 on, before y1.
            rows = np.arange(*np.clip(np.ceil([y0 - 0.5, y1 - 0.5]), 0, height).astype(int))
            if len(rows):
                crossings = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
                toggles[rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)] ^= True
    return np.logical_xor.accumulate(toggles[:, :width], axis=1)


def trace(mask: np.ndarray) -> list[np.ndarray]:
    """Rings around a mask and its holes, largest first, so that painting them in turn gives the mask again.

    mask: bool (H, W). Returns int (n, 2) of x, y each; `area` is positive for an outline and negative for a hole.
    """
    following = _edges(mask)
    rings = []
    while following:
        start = next(iter(following))
        ring, point = [], start
        while True:
            ring.append(point)
            ends = following[point]
            # Where two pixels touch at a corner, two ways lead on: turn so that the ring stays simple.
            end = ends.pop() if len(ends) == 1 else ends.pop(_sharper_turn(ring, ends))
            if not ends:
                del following[point]
            point = end
            if point == start:
                break
        rings.append(_corners(np.array(ring)))
    return sorted(rings, key=lambda ring: -abs(area(ring)))


def simplified(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """A ring of `trace` that may stray by so many pixels to have fewer corners (Douglas-Peucker); 0 is exact.

    A ring so thin that nothing would be left of it stays as it is.
    """
    if tolerance <= 0:
        return ring
    few = cv2.approxPolyDP(ring.astype(np.int32)[:, None], tolerance, closed=True)[:, 0]
    return few if len(few) > 2 else ring


def area(ring: np.ndarray) -> float:
    """Signed area in pixels: positive when the ring runs clockwise as seen on the screen (y points down)."""
    x, y = np.asarray(ring, np.float64).T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def _edges(mask: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Pixel edges between mask and background, from corner to corner with the mask on the right-hand side."""
    padded = np.pad(mask.astype(bool), 1)
    inside = padded[1:-1, 1:-1]
    following = defaultdict(list)
    for neighbour, (from_x, from_y), (to_x, to_y) in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)), (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)), (padded[1:-1, :-2], (0, 1), (0, 0)),
    ):
        for y, x in np.argwhere(inside & ~neighbour).tolist():
            following[x + from_x, y + from_y].append((x + to_x, y + to_y))
    return following


def _sharper_turn(ring: list[tuple[int, int]], ends: list[tuple[int, int]]) -> int:
    """Index of the end to the right of the way that leads to the ring's last point (the first way if it has none)."""
    if len(ring) < 2:
        return 0
    (x0, y0), (x1, y1) = ring[-2:]
    return max(range(len(ends)), key=lambda i: (x1 - x0) * (ends[i][1] - y1) - (y1 - y0) * (ends[i][0] - x1))


def _corners(ring: np.ndarray) -> np.ndarray:
    """The ring without the points on its straight stretches."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[(before != after).any(axis=1)]
