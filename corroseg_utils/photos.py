"""Read photos and masks from files, whatever a camera made of them, and write results that are never half there.

Needs Pillow and NumPy only, so that it also serves a small computer without TensorFlow.
"""

import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from corroseg_utils.errors import CorrosegError
from corroseg_utils.photo_files import FOREIGN_SUFFIXES

_EXIF_ORIENTATION = 0x0112
_TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
          5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
          8: Image.Transpose.ROTATE_90}  # what makes a photo of this EXIF orientation upright
_CHECKSUM = "corroseg crc32"  # name of the text in a mask
_OVERLAY = "corroseg overlay"  # comment in an overlay


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
    image = _load(path, at_least)
    # Pillow turns a TIFF file while loading it, and then reports no orientation any more; the others it leaves.
    return np.asarray(_to_rgb(_upright(image, _orientation(image))))


class OpenPhoto:
    """A decoded photo that gives its rows band by band, so that no second copy of a large photo is ever made.

    Attributes:
        size: (width, height) of the upright photo, whatever scale it was decoded at.
    """

    def __init__(self, path: Path | str, at_least: int | None = None):
        """Decode a photo; arguments and errors as `read_photo`."""
        self.size = photo_size(path)
        self._image = _load(path, at_least)
        self._orientation = _orientation(self._image)
        if self._image.mode.startswith(("I", "F")):  # how bright 16 bits are is decided for the whole photo
            self._image = _to_rgb(self._image)

    def rows(self, top: int, bottom: int, size: tuple[int, int]) -> np.ndarray:
        """Rows `top` to `bottom` (exclusive) of the upright photo scaled to `size` = (width, height).

        Returns:
            uint8 (bottom - top, width, 3), the same as those rows of the whole photo scaled at once.
        """
        width, height = size
        sideways = 5 <= self._orientation <= 8  # rows of the upright photo are then columns of the stored one
        if self._orientation in (3, 4, 7, 8):  # and these are stored in reverse
            top, bottom = height - bottom, height - top
        length, across = self._image.size if sideways else self._image.size[::-1]
        pixels = length / height  # of the stored photo for one row
        part, first = self._image, 0
        if part.mode != "RGB" or "transparency" in part.info:  # converted band by band
            # Averaging reaches one step beyond the band.
            first, last = max(0, int((top - 1) * pixels) - 1), min(length, int((bottom + 1) * pixels) + 2)
            part = _to_rgb(part.crop((first, 0, last, across) if sideways else (0, first, across, last)))
        begin, end = top * pixels - first, bottom * pixels - first
        if sideways:
            box, target = (begin, 0, end, across), (bottom - top, width)
        else:
            box, target = (0, begin, across, end), (width, bottom - top)
        rows = part.resize(target, Image.Resampling.BILINEAR, box)
        return np.asarray(_upright(rows, self._orientation))

    def scaled(self, size: tuple[int, int]) -> np.ndarray:
        """The upright photo scaled to `size` = (width, height): uint8 (height, width, 3)."""
        height = size[1]
        return np.concatenate([self.rows(top, min(top + 64, height), size) for top in range(0, height, 64)])


def photo_size(path: Path | str) -> tuple[int, int]:
    """Width and height of the upright photo in pixels, without decoding it, see `read_exif`.

    Raises:
        PhotoError: as `read_photo`, as far as the header shows it.
    """
    size, orientation, is_upright = _header(path)
    return size if is_upright else _turned_size(size, orientation)


def read_mask(path: Path | str, photo_path: Path | str | None = None, drawn_upright: bool = False) -> np.ndarray:
    """Read a mask's raw values, as they lie on the upright photo.

    A mask that is drawn on the pixels as the camera stored them needs the photo's EXIF rotation too. Some tools turn
    the photo before they draw: a mask whose size fits the upright photo only stays as it is, and so does one that
    `segment` wrote.

    Args:
        path: the mask file (grey, palette or 1-bit; colour files must have three equal channels, and
            what is transparent counts as 0).
        photo_path: the photo whose EXIF orientation applies; None when there is none to apply.
        drawn_upright: believe that the mask lies on the upright photo where its size allows both.

    Returns:
        uint8 (height, width): the file's values, unscaled (1-bit files give 0 and 255).

    Raises:
        PhotoError: the file is missing, empty, truncated, no image, coloured, or of 16 bits.
    """
    image = _load(path)
    if photo_path is not None:
        size, orientation, is_upright = _header(photo_path)
        upright = size if is_upright else _turned_size(size, orientation)
        drawn_upright |= _CHECKSUM in image.info
        if image.size == _turned_size(upright, orientation) and not (drawn_upright and image.size == upright):
            image = _upright(image, orientation)
    if image.mode == "P":
        return np.asarray(image, dtype=np.uint8)
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    if image.mode in ("RGB", "LA", "RGBA"):
        # Transparent is unmarked, whatever colour an annotation tool hides below it.
        black = Image.new("RGBA", image.size, "black")
        values = np.asarray(Image.alpha_composite(black, image.convert("RGBA")))[..., :3]
        if (values == values[..., :1]).all():
            return np.ascontiguousarray(values[..., 0])
        raise PhotoError(path, "the mask has colours", "Save it as an 8-bit grey PNG")
    raise PhotoError(path, f"the mask is not 8-bit grey (its mode is {image.mode})", "Save it as an 8-bit grey PNG")


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


def write_mask(path: Path | str, mask: np.ndarray) -> None:
    """Write uint8 (H, W) as PNG with a checksum of its pixels, by which `is_untouched_mask` sees a later change."""
    notes = PngInfo()
    notes.add_text(_CHECKSUM, str(zlib.crc32(mask)))
    write_whole(path, lambda file: Image.fromarray(mask).save(file, "PNG", pnginfo=notes))


def is_untouched_mask(path: Path | str) -> bool:
    """Whether a file is a mask that `write_mask` wrote, with its pixels as they were then."""
    try:
        image = _load(path)
    except PhotoError:
        return False
    return image.info.get(_CHECKSUM) == str(zlib.crc32(np.asarray(image)))


def write_jpeg(path: Path | str, photo: np.ndarray, quality: int = 90) -> None:
    """Write uint8 (H, W, 3) as JPEG; the file appears whole or not at all."""
    write_whole(path, lambda file: Image.fromarray(photo).save(file, "JPEG", quality=quality))


def write_overlay(path: Path | str, photo: np.ndarray) -> None:
    """Write uint8 (H, W, 3) as JPEG with a comment, by which `is_overlay` knows it again."""
    write_whole(path, lambda file: Image.fromarray(photo).save(file, "JPEG", quality=90, comment=_OVERLAY))


def is_overlay(path: Path | str) -> bool:
    """Whether a file is an overlay that `write_overlay` wrote."""
    try:
        with _explained(path), Image.open(path) as image:
            return image.info.get("comment") == _OVERLAY.encode()
    except PhotoError:
        return False


def copy_upright(photo: Path | str, copy: Path) -> Path:
    """Copy a photo for a mask that was made on the upright photo: one that its EXIF block turns is turned.

    Args:
        photo: the photo file.
        copy: where to; its folder is made.

    Returns:
        The copy: `copy`, or, of a photo that was turned, a JPEG of that stem.

    Raises:
        PhotoError: the file cannot be read.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    _, orientation, _ = _header(photo)
    if orientation not in _TURNS:
        shutil.copyfile(photo, copy)
        return copy
    write_jpeg(copy.with_suffix(".jpg"), read_photo(photo), quality=95)
    return copy.with_suffix(".jpg")


def write_whole(path: Path | str, write: Callable) -> None:
    """Call `write(binary file)` on a temporary file beside `path`, then rename it to `path`.

    Raises:
        OSError: the folder cannot be written; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    except PermissionError as error:  # it names the temporary file
        raise PermissionError(error.errno, error.strerror, str(path)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.chmod(temporary, 0o644)  # mkstemp makes private files; results are for everyone
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextmanager
def _explained(path: Path | str) -> Iterator[None]:
    """Turn every way in which opening or decoding a picture can fail into a PhotoError."""
    path = Path(path)
    if path.suffix.lower() in FOREIGN_SUFFIXES:  # of some of them Pillow would read the thumbnail
        raise PhotoError(path, f"photos in the format {path.suffix.lower()} cannot be read", "Save it as JPEG or PNG")
    try:
        if path.stat().st_size == 0:
            raise PhotoError(path, "the file is empty (0 bytes)", "Copy it again from the camera")
        with warnings.catch_warnings():
            # Pillow warns above 89 megapixels and refuses above 179; inspection cameras reach 100.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except PhotoError:
        raise
    except FileNotFoundError as error:
        raise PhotoError(path, "the file does not exist", "Check the name and the folder") from error
    except (PermissionError, IsADirectoryError) as error:
        raise PhotoError(path, "the file cannot be opened", "Check that it is a readable file") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PhotoError(path, "the picture claims more than 179 megapixels, or more than the memory holds",
                         "Cut it into smaller photos if it is genuine") from error
    except Image.UnidentifiedImageError as error:
        raise PhotoError(path, "this is not a picture in a known format", "Save it as JPEG or PNG") from error
    except Exception as error:  # decoders raise many kinds for broken data
        raise PhotoError(path, f"the picture is damaged ({error})",
                         "Copy it again from the camera, or leave it out") from error


def read_exif(image: Image.Image) -> Image.Exif:
    """The EXIF block of an image that was opened from a file, empty if there is none.

    To look for one behind the pixels of a PNG, Pillow decodes them all. Where nothing follows them, that is spared.
    """
    if image.format == "PNG" and _ends_with_pixels(image.filename):
        return Image.Image.getexif(image)
    return image.getexif()


def _ends_with_pixels(path: str) -> bool:
    """Whether no chunk of a PNG stands between its pixels and its end."""
    with open(path, "rb") as file:
        file.seek(8)
        kind, before = b"", b""
        # A chunk is length, type, data and CRC (PNG specification, 5.3).
        while len(head := file.read(8)) == 8:
            before, kind = kind, head[4:]
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return (before, kind) == (b"IDAT", b"IEND")


def _load(path: Path | str, at_least: int | None = None) -> Image.Image:
    with _explained(path), Image.open(path) as image:
        if at_least:
            shrink = next((n for n in (8, 4, 2) if -(-max(image.size) // n) >= at_least), 1)  # decoders round up
            image.draft("RGB", (max(1, image.width // shrink), max(1, image.height // shrink)))
        image.load()
    return image


def _header(path: Path | str) -> tuple[tuple[int, int], int, bool]:
    """Size, EXIF orientation, and whether the size is that of the upright photo already."""
    with _explained(path), Image.open(path) as image:
        return image.size, _orientation(image), image.format == "TIFF"  # Pillow exchanges the sides of a TIFF itself


def _orientation(image: Image.Image) -> int:
    try:
        return int(read_exif(image).get(_EXIF_ORIENTATION, 1))
    except Exception:  # broken EXIF is common and says nothing about the pixels
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size[::-1] if 5 <= orientation <= 8 else size  # only these four exchange width and height


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
