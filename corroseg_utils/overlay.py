"""Masks laid over photos. NumPy only."""

import numpy as np

# One fixed colour a class index: of the Okabe-Ito palette, which colour-blind readers tell apart, and none like rust.
COLOURS = np.array([[0, 0, 0], [0, 158, 235], [240, 228, 66], [204, 121, 167], [0, 158, 115]], np.uint8)
HIT, MISS, FALSE_ALARM = (0, 158, 115), (240, 60, 200), (240, 228, 66)


def overlay(photo: np.ndarray, mask: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """Tint the marked pixels of a photo and draw their outline.

    Args:
        photo: uint8 (H, W, 3).
        mask: uint8 (H, W) of class indices, or bool (H, W) in the binary view.
        opacity: of the tint, 0-1; outlines are always opaque, so that a mask is seen on any ground.

    Returns:
        uint8 (H, W, 3).
    """
    tinted, mask = photo.copy(), mask.astype(np.uint8)
    marked = mask > 0
    colours = COLOURS[mask[marked]]
    tinted[marked] = (photo[marked] * (1 - opacity) + colours * opacity).astype(np.uint8)
    edge = outline(mask)
    tinted[edge] = COLOURS[mask[edge]]
    return tinted


def outline(mask: np.ndarray) -> np.ndarray:
    """Marked pixels with a neighbour (left, right, above, below) of another class index: bool (H, W)."""
    edge = np.zeros(mask.shape, bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge & (mask > 0)


def error_map(photo: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Colour what was found (HIT), missed (MISS) and wrongly marked (FALSE_ALARM) on a greyed photo.

    Args:
        photo: uint8 (H, W, 3).
        truth, prediction: bool or 0/1 (H, W).

    Returns:
        uint8 (H, W, 3).
    """
    truth, prediction = truth > 0, prediction > 0
    grey = photo.mean(-1, keepdims=True).astype(np.uint8) // 2 + 64
    picture = np.repeat(grey, 3, axis=-1)
    picture[truth & prediction] = HIT
    picture[truth & ~prediction] = MISS
    picture[~truth & prediction] = FALSE_ALARM
    return picture
