"""Two answers without a network, to know what a score is worth: nothing at all, and a threshold on colour.

Rust is orange to brown. So a pixel is marked when its hue is close enough to red and orange, its colour strong
enough, and the pixel dark enough. Three numbers, found by trying all of them on training photos.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# Hue is an angle, and rust lies on both sides of red, where it jumps from 179 to 0 (OpenCV counts in steps of 2
# degrees). Turned by this much, all of red comes first.
_TURN = 20
# The search looks at every hue, but at every 8th saturation and brightness: finer steps change no answer.
_STEP = 8


def predict_nothing(photos: np.ndarray) -> np.ndarray:
    """The answer "no corrosion" for each pixel.

    Args:
        photos: uint8 (N, H, W, 3).

    Returns:
        Masks uint8 (N, H, W), all 0.
    """
    return np.zeros(photos.shape[:-1], np.uint8)


@dataclass(frozen=True)
class ColourThreshold:
    """Marks pixels by their own colour alone.

    Attributes:
        hue: largest hue, in steps of 2 degrees from a purplish red (320 degrees): 20 is pure red, 35 is orange.
        saturation: smallest saturation, 0 (grey) to 255 (pure colour).
        brightness: largest brightness (the V of HSV), 0 to 255.
    """

    hue: int
    saturation: int
    brightness: int

    def predict(self, photos: np.ndarray) -> np.ndarray:
        """Mark rust-coloured pixels.

        Args:
            photos: uint8 (N, H, W, 3).

        Returns:
            Masks uint8 (N, H, W), 1 for corrosion.
        """
        hue, saturation, brightness = np.moveaxis(turned_hsv(photos), -1, 0)
        marked = (hue <= self.hue) & (saturation >= self.saturation) & (brightness <= self.brightness)
        return marked.astype(np.uint8)


def tune_colour_threshold(photos: np.ndarray, masks: np.ndarray) -> ColourThreshold:
    """The colour threshold with the highest pooled IoU, by trying them all.

    Tune on training photos only: the score on photos that were tuned on says nothing about new ones.

    Args:
        photos: uint8 (N, H, W, 3).
        masks: uint8 (N, H, W), above 0 for corrosion.

    Raises:
        ValueError: no pixel is corroded, so that every threshold is as good as another.
    """
    corroded = masks > 0
    if not corroded.any():
        raise ValueError("No pixel of these masks is corroded. Tune on photos that show corrosion.")
    hsv = turned_hsv(photos)
    hits, false_alarms = (_count_marked(hsv[pixels]) for pixels in (corroded, ~corroded))
    iou = hits / (corroded.sum() + false_alarms)
    hue, saturation, brightness = (int(i) for i in np.unravel_index(iou.argmax(), iou.shape))
    return ColourThreshold(hue, saturation * _STEP, (brightness + 1) * _STEP - 1)


def turned_hsv(photos: np.ndarray) -> np.ndarray:
    """Hue, saturation and brightness, uint8 of the shape of `photos`; the hue starts before red (see `_TURN`)."""
    flat = np.ascontiguousarray(photos).reshape(1, -1, 3)
    hsv = cv2.cvtColor(flat, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + _TURN) % 180
    return hsv.reshape(photos.shape)


def _count_marked(pixels: np.ndarray) -> np.ndarray:
    """How many of these pixels (n, 3) each threshold would mark: (hue, saturation step, brightness step)."""
    hue, saturation, brightness = pixels.astype(np.int64).T
    bins = (180, 256 // _STEP, 256 // _STEP)
    place = np.ravel_multi_index((hue, saturation // _STEP, brightness // _STEP), bins)
    counts = np.bincount(place, minlength=np.prod(bins)).reshape(bins)
    # Marked are all pixels of a hue and brightness up to the threshold, and of a saturation from it on.
    return counts.cumsum(0)[:, ::-1].cumsum(1)[:, ::-1].cumsum(2)
