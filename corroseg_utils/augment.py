"""Paired augmentation: one random transform, given photo and mask together.

Geometry is one affine matrix, so a photo is resampled once and its mask follows by the same matrix. All randomness
comes from the generator that the caller passes, so a pair depends on its seed alone and never on which thread made
it. NumPy and OpenCV only: it also feeds a training on another Keras backend than TensorFlow.
"""

from dataclasses import dataclass

import cv2
import numpy as np

cv2.setNumThreads(1)  # tf.data runs many pairs at once; threads inside one pair would only get in their way


@dataclass(frozen=True)
class Augmentation:
    """How far a random transform may go. The defaults are the numbers of the 2020 solution.

    Only the shear is not that of 2020: Keras reads `shear_range=0.2` in degrees, so that nobody sees it; here it is the
    tangent of the angle.

    Attributes:
        flip: mirror left and right in half of the cases.
        shear: largest shear, as the tangent of its angle.
        zoom: scale between 1 - zoom and 1 + zoom, for width and height apart.
        rotate: largest rotation in degrees, either way.
        crop: smallest and largest side of the random crop, as a share of the photo's side.
        quality: probability of each camera fault (exposure, colour cast, low light, blur, noise, JPEG damage).
        haze: probability of haze before the camera (`haze`), on its own, for it takes more from a photo than any fault.
        paste: probability that the damage of another pair is pasted in (done by `pairs`, which has them).
    """

    flip: bool = True
    shear: float = 0.2
    zoom: float = 0.2
    rotate: float = 0.0
    crop: tuple[float, float] = (1.0, 1.0)
    quality: float = 0.0
    haze: float = 0.0
    paste: float = 0.0


GEOMETRY_2020 = Augmentation()
INSPECTION = Augmentation(shear=0.1, zoom=0.15, rotate=10, crop=(0.5, 1.0), quality=0.2)


def augment_pair(photo: np.ndarray, mask: np.ndarray, size: int, augmentation: Augmentation,
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Transform a photo and its mask together.

    Args:
        photo: uint8 (H, W, 3).
        mask: uint8 (H, W) of class indices.
        size: side of the square answer in pixels.
        augmentation: how far to go.
        rng: the only source of randomness.

    Returns:
        photo uint8 (size, size, 3), interpolated, and mask uint8 (size, size), nearest neighbour: it holds no value
        that the given mask did not hold. What lies outside the photo is its mirror image in both.
    """
    matrix = random_affine(photo.shape[:2], size, augmentation, rng)
    # WARP_INVERSE_MAP: the matrix leads from the answer's pixels to the photo's, for both alike.
    photo = cv2.warpAffine(photo, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                           borderMode=cv2.BORDER_REFLECT_101)
    mask = cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REFLECT_101)
    if augmentation.haze and rng.random() < augmentation.haze:
        photo = haze(photo, rng)
    return degrade(photo, augmentation.quality, rng), mask


def close_gaps(mask: np.ndarray, radius: int) -> np.ndarray:
    """Fill the gaps in a mask as a person does who draws a polygon around many flakes of rust.

    Args:
        mask: uint8 (H, W), 0 or 1.
        radius: gaps up to twice as wide are filled, in pixels from 1 on (a morphological closing by a disc).

    Returns:
        uint8 (H, W), 0 or 1, nowhere less than the given mask.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    inside = np.pad(mask, 2 * radius, "symmetric")  # else damage at the photo's border would be cut off there
    closed = cv2.morphologyEx(inside, cv2.MORPH_CLOSE, disc)
    return closed[2 * radius : -2 * radius, 2 * radius : -2 * radius]


def paste_damage(photo: np.ndarray, mask: np.ndarray, donor_photo: np.ndarray,
                 donor_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay the damage of one pair over another of the same size (copy-paste: Ghiasi et al. 2021, arXiv 2012.07177).

    Args:
        photo, donor_photo: uint8 (H, W, 3).
        mask, donor_mask: class indices uint8 (H, W).

    Returns:
        A new pair. The pasted border is blended over a few pixels, lest the cut itself be what is learned.
    """
    damaged = donor_mask > 0
    opacity = cv2.GaussianBlur(damaged.astype(np.float32), (0, 0), 1.5)[..., None]
    return _clip(photo + opacity * (donor_photo.astype(np.float32) - photo)), np.where(damaged, donor_mask, mask)


def random_affine(shape: tuple[int, int], size: int, augmentation: Augmentation,
                  rng: np.random.Generator) -> np.ndarray:
    """Draw the matrix float64 (2, 3) that leads from a pixel of the answer to a pixel of the photo."""
    height, width = shape
    side = rng.uniform(*augmentation.crop)
    angle = np.deg2rad(rng.uniform(-augmentation.rotate, augmentation.rotate))
    shear = rng.uniform(-augmentation.shear, augmentation.shear)
    scale = side / rng.uniform(1 - augmentation.zoom, 1 + augmentation.zoom, 2)
    mirror = -1 if augmentation.flip and rng.random() < 0.5 else 1
    # A crop's centre may lie anywhere that keeps the crop inside the photo.
    centre = 0.5 + rng.uniform(-0.5, 0.5, 2) * (1 - side)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rotation @ np.array([[1, shear], [0, 1]]) @ np.diag([mirror * scale[0], scale[1]])
    linear = np.diag([width / size, height / size]) @ linear
    # Pixel (i, j) has its centre at (i + 0.5, j + 0.5): hence the halves.
    offset = centre * (width, height) - linear @ np.full(2, size / 2) + linear @ np.full(2, 0.5) - 0.5
    return np.hstack([linear, offset[:, None]])


def degrade(photo: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Imitate cameras of different quality: each fault strikes with `probability`. uint8 (H, W, 3) in and out."""
    for fault in FAULTS:  # in the order of light, lens, sensor, file
        if rng.random() < probability:
            photo = fault(photo, rng)
    return photo


def hazed(photo: np.ndarray, left: float, grey: float | np.ndarray = 200) -> np.ndarray:
    """A photo uint8 (H, W, 3) through haze: the contrast `left`, 0-1, before a brightness `grey`, 0-255, one or three.
    The same all over the photo, unlike real fog, which hides what is far."""
    grey = np.float32(grey)
    return _clip(grey + np.float32(left) * (photo - grey))


def haze(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fog, spray on the lens, or light that shines into it: 30-100 % of the contrast is left, before a grey of 120-240
    with a tint."""
    return hazed(photo, rng.uniform(0.3, 1.0), rng.uniform(120, 240) + rng.uniform(-10, 10, 3))


def exposure(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Too much or too little light, and more or less contrast: gain 0.6-1.5, gamma 0.7-1.4."""
    return _lookup(photo, rng.uniform(0.6, 1.5) * _LEVELS ** rng.uniform(0.7, 1.4))


def colour_cast(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A white balance that is off: each colour's gain 0.85-1.15, and saturation 0.6-1.4."""
    photo = _clip(photo * rng.uniform(0.85, 1.15, 3).astype(np.float32))
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    saturation = rng.uniform(0.6, 1.4)
    return cv2.addWeighted(photo, saturation, grey, 1 - saturation, 0)


def low_light(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A flash in the dark: bright at a random spot, falling off to 15-50 % of the light at the far corners."""
    height, width = photo.shape[:2]
    y, x = np.ogrid[0:1:height * 1j, 0:1:width * 1j]
    distance = np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.3, 0.7)).astype(np.float32)
    fall_off = 1 - (1 - rng.uniform(0.15, 0.5)) * np.clip(distance / 0.7, 0, 1)
    return _clip(photo * fall_off[..., None].astype(np.float32))


def blur(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus (Gaussian, 0.5-1.8 pixels) or a moving hand (a line of 3-7 pixels)."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.5, 1.8))
    length = int(rng.integers(3, 8))
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), rng.uniform(0, 180), 1)
    line = cv2.warpAffine(line, turn, (length, length))
    return cv2.filter2D(photo, -1, line / line.sum())


def noise(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sensor noise, Gaussian with a standard deviation of 3-15 of 255."""
    grain = rng.standard_normal(photo.shape, dtype=np.float32) * np.float32(rng.uniform(3, 15))
    return _clip(photo + grain)


def jpeg(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """JPEG damage: saved at quality 25-90 and read again."""
    _, encoded = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 91))])
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


FAULTS = (exposure, colour_cast, low_light, blur, noise, jpeg)
_LEVELS = np.linspace(0, 1, 256)


def _lookup(photo: np.ndarray, curve: np.ndarray) -> np.ndarray:
    return cv2.LUT(photo, _clip(255 * curve))


def _clip(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
