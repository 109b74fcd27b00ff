"""Masks for annotators and back: COCO (CVAT and most others) and LabelMe files.

Readers give class indices at the size of the upright photo, which is how annotation tools show a photo.
"""

import base64
import io
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from corroseg_utils.assets import safe_key
from corroseg_utils.dataset import CLASS_NAMES, PRECEDENCE
from corroseg_utils.errors import CorrosegError
from corroseg_utils.photos import photo_size, write_whole
from corroseg_utils.polygons import area, fill, simplified, trace

ALIASES = {"corrosion": "cor", "rust": "rus", "pitting": "pit", "loss of material": "lom"}
_WRITTEN = "corroseg_mask"  # checksum of a mask written to be corrected; LabelMe keeps entries that it does not know


class AnnotationError(CorrosegError):
    """An annotation file that cannot be used. The message names the file and the cure."""


def read_annotations(path: Path | str, photos: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Read a COCO file, or a folder of LabelMe files, decided by what `path` is: see `read_coco`, `read_labelme`."""
    return read_labelme(path, photos) if Path(path).is_dir() else read_coco(path, photos)


def read_coco(path: Path | str, photos: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Read COCO instances: polygons, run lengths, and run lengths packed into text.

    Args:
        path: the JSON file; a category is a class ("cor", "rus", "pit", "lom") or its English name.
        photos: the folder below which its file names lie.

    Yields:
        File name of each photo and its mask, uint8 (H, W) of class indices; where annotations overlap the more
        severe class wins. A photo without annotations has an empty mask: somebody looked and found nothing.

    Raises:
        AnnotationError: the file is no COCO file, or names a class or a photo that does not exist.
    """
    path = Path(path)
    content = read_json(path)
    try:
        classes = {category["id"]: _class(category["name"], path) for category in content["categories"]}
        own = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            own[annotation["image_id"]].append((classes[annotation["category_id"]], annotation["segmentation"]))
        for image in content["images"]:
            size = checked_size(path, photos, image["file_name"], image["height"], image["width"])
            mask = np.zeros(size, np.uint8)
            for index, segmentation in sorted(own[image["id"]], key=lambda a: PRECEDENCE.index(CLASS_NAMES[a[0]])):
                mask[_segmented(segmentation, size)] = index
            yield image["file_name"], mask
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise AnnotationError(f"{path}: not a complete COCO file ({type(error).__name__}: {error}). "
                              "Export it again as COCO instances.") from error


def read_labelme(folder: Path | str, photos: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Read a folder of LabelMe files: polygons, rectangles, circles and masks.

    Shapes are painted in their order, so a later one covers an earlier one; the label "background" erases, which is
    how `write_labelme` keeps holes.

    Args:
        folder: folder of LabelMe's JSON files.
        photos: the folder of the photos; each file's `imagePath` leads into it.

    Yields:
        Name of each photo below `photos` and its mask, uint8 (H, W) of class indices.

    Raises:
        AnnotationError: a file is no LabelMe file, or names a class, a shape or a photo that does not exist.
    """
    files = sorted(Path(folder).glob("**/*.json"))
    if not files:
        raise AnnotationError(f"{folder}: no LabelMe file (*.json) here.")
    root = Path(os.path.abspath(photos))
    for path in files:
        content = read_json(path)
        try:
            photo = Path(os.path.abspath(path.parent / content["imagePath"].replace("\\", "/")))
            name = photo.relative_to(root).as_posix() if photo.is_relative_to(root) else photo.name
            size = checked_size(path, photos, name, content["imageHeight"], content["imageWidth"])
            mask = _painted(content["shapes"], size, path)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError) as error:
            raise AnnotationError(f"{path}: not a complete LabelMe file ({type(error).__name__}: {error}). "
                                  "Save it again in LabelMe.") from error
        yield name, mask


def write_labelme(folder: Path | str, photo: Path | str, name: str, mask: np.ndarray, tolerance: float = 1.0, *,
                  to_correct: bool = False) -> Path:
    """Write the LabelMe file of one photo.

    Args:
        folder: where the file goes, see `labelme_path`; a file that is there already is replaced.
        photo: the photo file, to which the file's `imagePath` leads.
        name: name of the photo in the report.
        mask: uint8 (H, W) of class indices, the size of the upright photo.
        tolerance: pixels by which a polygon may stray from the mask to have fewer corners to drag; 0 is exact.
        to_correct: the mask is a model's, to be corrected by a person; `is_touched` then tells whether that happened.

    Returns:
        The file's path.
    """
    folder = Path(folder)
    shapes = _shapes(mask, tolerance)
    written = {_WRITTEN: _checksum(_painted(shapes, mask.shape, folder))} if to_correct else {}
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, **written,
               "imagePath": Path(os.path.relpath(photo, folder)).as_posix(), "imageData": None,
               "imageHeight": mask.shape[0], "imageWidth": mask.shape[1]}
    path = labelme_path(folder, name)
    write_whole(path, lambda file: file.write(json.dumps(content).encode()))
    return path


def through_labelme(mask: np.ndarray, tolerance: float = 1.0) -> np.ndarray:
    """A mask as `read_labelme` gives it after `write_labelme`, whose polygons may stray from it, and nobody between."""
    return _painted(_shapes(mask, tolerance), mask.shape, Path("LabelMe"))


def is_touched(path: Path | str, mask: np.ndarray) -> bool | None:
    """Whether a mask read from this LabelMe file differs from the one written there to be corrected; None: unknown."""
    written = read_json(path).get(_WRITTEN) if Path(path).is_file() else None
    return None if written is None else written != _checksum(mask)


def _checksum(mask: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(mask, np.uint8))


def labelme_path(folder: Path | str, name: str) -> Path:
    """Where `write_labelme` puts the file of the photo that the report calls `name`."""
    return Path(folder) / f"{safe_key(name)}.json"


def encode_rle(pixels: np.ndarray, size: tuple[int, int], x: int = 0, y: int = 0,
               shape: tuple[int, int] | None = None) -> dict:
    """COCO's uncompressed run lengths of a mask: column by column, starting with background.

    pixels: bool (h, w), the part of the mask whose left upper pixel is (x, y); all outside is background.
    size: (height, width) of the whole mask as it is encoded. shape: those at which `pixels`, x and y are given,
    where they differ; each pixel of `size` then takes the nearest one. Returns {"size": [...], "counts": [...]}.
    """
    height, width = size
    small_height, small_width = shape or size
    columns = np.zeros((pixels.shape[1], pixels.shape[0] + 2), np.int8)
    columns[:, 1:-1] = pixels.T
    edges = np.flatnonzero(np.diff(columns.ravel()))  # a run starts and ends at an edge, and never leaves its column
    column, row = np.divmod(edges, columns.shape[1])
    # Row r of the small mask begins at full row ceil(r * height / small_height), and its columns likewise.
    row = -(-(row + y) * height // small_height)
    left, right = (-(-(x + end) * width // small_width) for end in (0, pixels.shape[1]))
    source = np.arange(left, right) * small_width // width - x
    first = np.searchsorted(column, source)
    counts = np.searchsorted(column, source, "right") - first  # edges of each full column, copied from its small one
    taken = np.arange(counts.sum()) + np.repeat(first - (counts.cumsum() - counts), counts)
    positions = np.repeat(np.arange(left, right), counts) * height + row[taken]
    return {"size": [height, width], "counts": np.diff(positions, prepend=0, append=height * width).tolist()}


def decode_rle(segmentation: dict) -> np.ndarray:
    """Mask, bool (height, width), from COCO's uncompressed run lengths."""
    height, width = segmentation["size"]
    counts = np.asarray(segmentation["counts"], np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise ValueError(f"run lengths sum to {counts.sum()}, but the mask has {height} x {width} pixels")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def unpack_rle(text: str) -> list[int]:
    """Run lengths from COCO's text form: 5 bits a character with a continuation bit, differences from the third on."""
    counts, position = [], 0
    while position < len(text):
        value = shift = 0
        while True:
            bits = ord(text[position]) - 48
            value |= (bits & 0x1F) << shift
            position, shift = position + 1, shift + 5
            if not bits & 0x20:
                break
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts


def _segmented(segmentation: dict | list, size: tuple[int, int]) -> np.ndarray:
    if isinstance(segmentation, list):
        if not segmentation or min(map(len, segmentation)) < 6:
            raise ValueError("an annotation has no outline of three points or more, only a box perhaps")
        return np.any([fill([np.reshape(ring, (-1, 2))], size) for ring in segmentation], axis=0)
    if tuple(segmentation["size"]) != size:
        raise ValueError(f"a mask of {segmentation['size']} for a photo of {size}")
    counts = segmentation["counts"]
    return decode_rle({"size": size, "counts": unpack_rle(counts) if isinstance(counts, str) else counts})


def _shapes(mask: np.ndarray, tolerance: float) -> list[dict]:
    rings = [(index, ring) for index in np.unique(mask[mask > 0]).tolist() for ring in trace(mask == index)]
    # Larger ones first: a hole erases what surrounds it, and what lies in the hole, or fills it, comes after it.
    rings.sort(key=lambda entry: (-abs(area(entry[1])), area(entry[1])))
    return [{"label": CLASS_NAMES[index] if area(ring) > 0 else "background",
             "points": simplified(ring, tolerance).tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}
            for index, ring in rings]


def _painted(shapes: list[dict], size: tuple[int, int], path: Path) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    for shape in shapes:
        _paint(mask, shape, 0 if shape["label"] == "background" else _class(shape["label"], path))
    return mask


def _paint(mask: np.ndarray, shape: dict, index: int) -> None:
    points, kind = np.asarray(shape["points"], np.float64), shape.get("shape_type") or "polygon"
    if kind == "mask":  # the points are the first and the last pixel of the box that the picture fills
        left, top = points[0].astype(int)
        part = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))) > 0
        if left < 0 or top < 0:
            raise ValueError("a mask begins outside the photo")
        target = mask[top:top + part.shape[0], left:left + part.shape[1]]
        target[part[:target.shape[0], :target.shape[1]]] = index
        return
    if kind == "rectangle":
        (left, top), (right, bottom) = points.min(0), points.max(0)
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    elif kind == "circle":
        angles = np.linspace(0, 2 * np.pi, 128, endpoint=False)
        points = points[0] + np.hypot(*(points[1] - points[0])) * np.stack([np.cos(angles), np.sin(angles)], 1)
    elif kind != "polygon":
        raise ValueError(f"a {kind} encloses no area; draw a polygon")
    left, top = np.clip(np.floor(points.min(0)), 0, None).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0)), 0, mask.shape[::-1]).astype(int)
    if left < right and top < bottom:
        mask[top:bottom, left:right][fill([points - (left, top)], (bottom - top, right - left))] = index


def _class(name: str, path: Path) -> int:
    name = ALIASES.get(name.lower(), name.lower())
    if name not in CLASS_NAMES[1:]:
        raise AnnotationError(f"{path}: the class {name!r} is unknown. Known are {', '.join(CLASS_NAMES[1:])}.")
    return CLASS_NAMES.index(name)


def checked_size(path: Path, photos: Path | str, name: str, height: int, width: int) -> tuple[int, int]:
    """Height and width of a photo's mask, after a look at the photo itself; raises PhotoError or AnnotationError."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise AnnotationError(f"{path}: {name!r} leads out of the folder of photos. Name photos below that folder.")
    photo = Path(photos) / name
    if not photo.is_file():
        raise AnnotationError(f"{path}: the photo {name!r} is not in {photos}. Give the folder it was made from. (If "
                              "it is there, its name has signs that are no UTF-8: rename it, and inspect it again.)")
    if photo_size(photo) != (width, height):
        raise AnnotationError(f"{path}: {name!r} is {width} x {height} here, but the photo is not. "
                              "Annotate the photo itself, upright and at its full size.")
    return height, width


def read_json(path: Path | str) -> dict:
    """A JSON file's content. Raises AnnotationError if it is missing or no JSON."""
    try:
        return json.loads(Path(path).read_text("utf-8-sig"))  # some editors write a byte order mark
    except FileNotFoundError as error:
        raise AnnotationError(f"{path}: no such file. Check its name.") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path}: not a JSON file ({error}). Export it again, or mend it.") from error
