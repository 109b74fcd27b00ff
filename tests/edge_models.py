"""What the tests of exported models share."""

import numpy as np

SIZE = 64
EXPORTED = ("none", "weights", "int8")


def small_photos(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures, uint8 (count, SIZE, SIZE, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3))
    return coarse.repeat(SIZE // 8, 1).repeat(SIZE // 8, 2).astype(np.uint8)
