"""Whether a photo can show corrosion at all. A model finds none in a photo that is black, white, blurred or hazy, and
the grade of such a photo is the best there is.

Four simple measures of the brightness, each with a limit that sound photos hardly ever cross. The command
`python -m corroseg_utils.quality_study DATA` shows what they catch. Needs Pillow and NumPy only.
"""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from corroseg_utils.photos import resize_photo

GOOD = "good"
QUALITIES = (GOOD, "too dark", "overexposed", "hazy", "blurred")

VIEW_SIDE = 448  # pixels of the long side, about the size at which the models see a photo
DARK, WHITE, PALE = 40, 250, 100  # of 255
LEAST_SHARPNESS = 10.0


def photo_quality(photo: np.ndarray) -> str:
    """What is wrong with a photo, one of `QUALITIES`.

    photo: uint8 (H, W, 3), any size of at least 3 x 3 pixels; it is judged as a whole, shrunk to `VIEW_SIDE`.

    Too dark: the brightness of 99 % of the pixels is below `DARK`. Overexposed: that of half of them is at least
    `WHITE`. Hazy, as by fog, a dirty lens or light that shines into it: of 99 % of the pixels all three channels reach
    `PALE`; a clear photo has pixels where one of them is dark (the dark channel prior, K. He et al., Single image haze
    removal using dark channel prior, CVPR 2009). Blurred, or without any detail: the variance of the Laplacian, a
    common measure of focus (J. L. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000), is
    below `LEAST_SHARPNESS`. It also falls with the contrast.
    """
    height, width = photo.shape[:2]
    scale = min(1.0, VIEW_SIDE / max(height, width))
    small = resize_photo(photo, (max(3, round(width * scale)), max(3, round(height * scale))))
    grey = np.asarray(Image.fromarray(small).convert("L"), np.float32)
    if np.percentile(grey, 99) < DARK:
        return "too dark"
    if np.median(grey) >= WHITE:
        return "overexposed"
    if np.percentile(small.min(axis=2), 1) >= PALE:
        return "hazy"
    return "blurred" if _sharpness(grey) < LEAST_SHARPNESS else GOOD


def poor_photos(qualities: Mapping[str, str]) -> str:
    """A sentence about those of the photos (name: quality) that are not good, empty if all are."""
    poor = [(name, quality) for name, quality in qualities.items() if quality != GOOD]
    if not poor:
        return ""
    (name, quality), *others = poor
    return (f"careful: {name} is {quality}" + (f", and {len(others)} more are of poor quality" if others else "")
            + " (column quality); corrosion may be missed there, so look at them yourself or take them again.")


def _sharpness(grey: np.ndarray) -> float:
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(laplacian.var())
