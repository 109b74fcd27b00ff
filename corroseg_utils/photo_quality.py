"""Whether a photo can show corrosion at all. A model finds little in a photo that is black, white, blurred or hazy, and
the grade of such a photo is better than the steel.

Four simple measures of the brightness, each with a limit that sound photos hardly ever cross, say what is wrong; dark
and hazy photos get their contrast back before a model sees them. The command `python -m corroseg_utils.quality_study
DATA` shows what both are worth. Needs Pillow and NumPy only.
"""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from corroseg_utils.photos import resize_photo

CLEAR = "clear"
QUALITIES = (CLEAR, "too dark", "overexposed", "hazy", "blurred")

VIEW_SIDE = 448  # pixels of the long side, about the size at which the models see a photo
DARK, WHITE, PALE = 80, 250, 100  # of 255
LEAST_SHARPNESS = 10.0
BLACK_POINT, WHITE_POINT = 60, 250  # where `tones` moves the darkest and brightest hundredth
MOST_GAIN = 8.0
"""The noise of a photo is amplified with its contrast."""


def photo_quality(photo: np.ndarray) -> str:
    """What is wrong with a photo: the first of `QUALITIES` from "too dark" on that applies, or "clear".

    photo: uint8 (H, W, 3), any size of at least 3 x 3 pixels. It is judged as a whole, shrunk to `VIEW_SIDE`: a bright
    sky, a lamp or a black frame can hide that the steel is too dark or hazy.

    Too dark: in 99 % of the pixels all three channels are below `DARK`. Overexposed: half of the pixels have at least
    the brightness `WHITE`. Hazy, as by fog, a dirty lens or light that shines into it: in 99 % of the pixels all three
    channels reach `PALE`; a clear photo has pixels where one of them is dark (the dark channel prior, K. He et al.,
    Single image haze removal using dark channel prior, CVPR 2009). Blurred, or without any detail: the variance of the
    Laplacian, a common measure of focus (J. L. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR
    2000), is below `LEAST_SHARPNESS`. It also falls with the contrast.
    """
    small = _small(photo)
    light = _light(small)
    return "blurred" if light == CLEAR and _sharpness(_grey(small)) < LEAST_SHARPNESS else light


def tones(photo: np.ndarray) -> np.ndarray:
    """What gives a photo that is too dark or hazy its contrast back: a table uint8 (256,) of new values.

    photo: uint8 (H, W, 3), as for `photo_quality`.

    Of a hazy photo the haze is subtracted (dark-object subtraction, P. S. Chavez, Remote Sensing of Environment 24,
    1988, but alike in all channels, so that a tint stays), and the rest stretched: the darkest hundredth becomes
    `BLACK_POINT`, the brightest `WHITE_POINT`. A dark photo is made brighter. No contrast grows more than `MOST_GAIN`
    times. Any other photo keeps its values.
    """
    small = _small(photo)
    light, (darkest, brightest) = _light(small), _range(small)
    values = np.arange(256, dtype=np.float32)
    if light == "hazy":
        gain = min((WHITE_POINT - BLACK_POINT) / max(brightest - darkest, 1), MOST_GAIN)
        values = BLACK_POINT + (values - darkest) * gain
    elif light == "too dark":
        values *= min(WHITE_POINT / max(brightest, 1), MOST_GAIN)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def unclear_photos(qualities: Mapping[str, str], table: str) -> str:
    """A sentence about those of the photos (name: quality) that are not clear, empty if all are.

    table: the file with the column `quality`.
    """
    unclear = [f"{name} is {quality}" for name, quality in qualities.items() if quality != CLEAR]
    if not unclear:
        return ""
    others = len(unclear) - 1
    more = "" if not others else f", and {others} more photo{'s are' if others > 1 else ' is'} not clear"
    return (f"careful: {unclear[0]}{more} (column quality of {table}). Corrosion may be missed: look yourself, or take "
            "such photos again.")


def _small(photo: np.ndarray) -> np.ndarray:
    height, width = photo.shape[:2]
    scale = min(1.0, VIEW_SIDE / max(height, width))
    return resize_photo(photo, (max(3, round(width * scale)), max(3, round(height * scale))))


def _light(small: np.ndarray) -> str:
    darkest, brightest = _range(small)
    if brightest < DARK:
        return "too dark"
    if np.median(_grey(small)) >= WHITE:
        return "overexposed"
    return "hazy" if darkest >= PALE else CLEAR


def _grey(photo: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(photo).convert("L"), np.float32)


def _range(photo: np.ndarray) -> tuple[float, float]:
    """The value that the darkest channel of 99 % of the pixels reaches, and the one that the brightest of 99 % stays
    at or below."""
    return float(np.percentile(photo.min(axis=2), 1)), float(np.percentile(photo.max(axis=2), 99))


def _sharpness(grey: np.ndarray) -> float:
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(laplacian.var())
