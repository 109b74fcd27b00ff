"""Read photos and masks from files, whatever a camera made of them, and write results that are never half there.

Needs Pillow and NumPy only, so that it also serves a small computer without TensorFlow.
"""

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from corroseg_utils.errors import CorrosegError

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_EXIF_ORIENTATION = 0x0112


class PhotoError(CorrosegError):
    """A photo or mask that cannot be used. The message names the file, the reason and the cure."""

    def __init__(self, path: Path | str, reason: str, cure: str):
        super().__init__(f"{path}: {reason}. {cure}.")
        self.path, self.reason, self.cure = Path(path), reason, cure


def read_photo(path: Path | str, at_least: int | None = None) -> np.ndarray:
    """Read a photo as RGB, turned upright by its EXIF orientation.

    Grey, palette, RGBA (laid on white), CMYK and 16-bit files are converted.

    Args:
        path: the photo file.
        at_least: a long side in pixels that is enough. A JPEG is then decoded at 1/2, 1/4 or 1/8 of its size,
            never below `at_least`, which saves most of the time and memory of a large photo.

    Returns:
        uint8 (height, width, 3), values 0-255.

    Raises:
        PhotoError: the file is missing, empty, truncated, or no image.
    """
    with _opened(path) as image:
        if at_least:
            image.draft("RGB", _scaled_size(image.size, at_least))
        return np.asarray(_to_rgb(_upright(image, _orientation(image))))


def photo_size(path: Path | str) -> tuple[int, int]:
    """Width and height of the upright photo in pixels, from the file's header alone.

    Raises:
        PhotoError: as `read_photo`, as far as the header shows it.
    """
    with _opened(path) as image:
        width, height = image.size
        turned = _orientation(image) >= 5  # EXIF values 5-8 exchange width and height
    return (height, width) if turned else (width, height)


def read_mask(path: Path | str, photo_path: Path | str | None = None) -> np.ndarray:
    """Read a mask's raw values, turned upright together with its photo.

    A mask is drawn on the pixels as the camera stored them, so it needs the photo's EXIF rotation too. Some
    annotation tools turn the photo before they draw: a mask whose size fits the upright photo only stays as it is.

    Args:
        path: the mask file (grey, palette or 1-bit; colour files must have three equal channels).
        photo_path: the photo whose EXIF orientation applies; None when there is none to apply.

    Returns:
        uint8 (height, width): the file's values, unscaled (1-bit files give 0 and 255).

    Raises:
        PhotoError: the file is missing, empty, truncated, no image, or coloured.
    """
    with _opened(path) as image:
        if photo_path is not None:
            with _opened(photo_path) as photo:
                orientation, stored_size = _orientation(photo), photo.size
            if image.size == stored_size:
                image = _upright(image, orientation)
        if image.mode == "P":
            return np.asarray(image, dtype=np.uint8)
        if image.mode in ("L", "1"):
            return np.asarray(image.convert("L"))
        if image.mode in ("LA", "RGB", "RGBA"):
            values = np.asarray(image.convert("RGB"))
            if (values == values[..., :1]).all():
                return values[..., 0]
        raise PhotoError(path, f"the mask has colours (mode {image.mode})", "Save it as an 8-bit grey PNG")


def resize_photo(photo: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 (H, W, 3) to `size` = (width, height), averaging pixels when it gets smaller."""
    if photo.shape[1::-1] == tuple(size):
        return photo
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR))


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 (H, W) to `size` = (width, height) by nearest neighbour: class indices stay class indices."""
    if mask.shape[::-1] == tuple(size):
        return mask
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def write_png(path: Path | str, values: np.ndarray) -> None:
    """Write uint8 (H, W) or (H, W, 3) as PNG; the file appears whole or not at all."""
    write_whole(path, lambda file: Image.fromarray(values).save(file, "PNG"))


def write_jpeg(path: Path | str, photo: np.ndarray, quality: int = 90) -> None:
    """Write uint8 (H, W, 3) as JPEG; the file appears whole or not at all."""
    write_whole(path, lambda file: Image.fromarray(photo).save(file, "JPEG", quality=quality))


def write_whole(path: Path | str, write: Callable) -> None:
    """Call `write(binary file)` on a temporary file beside `path`, then rename it to `path`.

    Raises:
        OSError: the folder cannot be written; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.chmod(temporary, 0o644)  # mkstemp makes private files; results are for everyone
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class _opened:
    """Open an image and turn every way in which that or the decoding can fail into a PhotoError."""

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def __enter__(self) -> Image.Image:
        try:
            if self.path.stat().st_size == 0:
                raise PhotoError(self.path, "the file is empty (0 bytes)", "Copy it again from the camera")
            with warnings.catch_warnings():
                # Pillow warns above 89 megapixels and refuses above 179; inspection cameras reach 100.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                self.image = Image.open(self.path)
        except Exception as error:
            self._explain(error)
        return self.image

    def __exit__(self, kind, error, trace) -> None:
        self.image.close()
        if isinstance(error, Exception):
            self._explain(error)

    def _explain(self, error: Exception) -> None:
        if isinstance(error, PhotoError):
            raise error
        if isinstance(error, FileNotFoundError):
            raise PhotoError(self.path, "the file does not exist", "Check the name and the folder") from error
        if isinstance(error, (PermissionError, IsADirectoryError)):
            raise PhotoError(self.path, "the file cannot be opened", "Check that it is a readable file") from error
        if isinstance(error, Image.DecompressionBombError):
            raise PhotoError(self.path, "the picture claims more than 179 megapixels",
                             "Cut it into smaller photos if it is genuine") from error
        if isinstance(error, Image.UnidentifiedImageError):
            raise PhotoError(self.path, "this is not a picture in a known format",
                             "Save it as JPEG or PNG") from error
        raise PhotoError(self.path, f"the picture is damaged ({error})",
                         "Copy it again from the camera, or leave it out") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # broken EXIF is common and says nothing about the pixels
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turns = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
             5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
             8: Image.Transpose.ROTATE_90}
    return image.transpose(turns[orientation]) if orientation in turns else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16 bits a pixel, and what Pillow reads into 32
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    if values.max(initial=0) <= 255:
        return values.clip(0, 255).astype(np.uint8)
    return (values.clip(0, 65535) / 257).round().astype(np.uint8)


def _scaled_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    scale = long_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
