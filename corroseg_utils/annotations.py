"""Masks for annotators and back: COCO (CVAT and most others) and LabelMe files, and corrected masks for
training."""

import numpy as np


def encode_rle(pixels: np.ndarray, size: tuple[int, int], x: int = 0, y: int = 0) -> dict:
    """COCO's uncompressed run lengths of a mask: column by column, starting with background.

    pixels: bool (h, w), the part of the mask whose left upper pixel is (x, y); all outside is background.
    size: (height, width) of the whole mask. Returns {"size": [height, width], "counts": [...]}.
    """
    height, width = size
    columns = np.zeros((pixels.shape[1], pixels.shape[0] + 2), np.int8)
    columns[:, 1:-1] = pixels.T
    edges = np.flatnonzero(np.diff(columns.ravel()))  # a run starts and ends at an edge, and never leaves its column
    column, row = np.divmod(edges, columns.shape[1])
    positions = (column + x) * height + row + y
    return {"size": [height, width], "counts": np.diff(positions, prepend=0, append=height * width).tolist()}


def decode_rle(segmentation: dict) -> np.ndarray:
    """Mask, bool (height, width), from COCO's uncompressed run lengths."""
    height, width = segmentation["size"]
    counts = np.asarray(segmentation["counts"], np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise ValueError(f"run lengths sum to {counts.sum()}, but the mask has {height} x {width} pixels")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T
