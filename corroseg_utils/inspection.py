"""Inspect one photo: corroded share, grades, findings, their masks, and small pictures for the report's
page."""

import io
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from corroseg_utils.annotations import encode_rle
from corroseg_utils.dataset import CLASS_NAMES
from corroseg_utils.findings import Region, corroded_share, find_regions, mark
from corroseg_utils.grades import grade
from corroseg_utils.overlay import COLOURS, outline, overlay
from corroseg_utils.photo_quality import photo_quality
from corroseg_utils.photo_reader import ReadPhoto
from corroseg_utils.photos import resize_photo
from corroseg_utils.tiles import tiled_bands

SMALLEST_FINDING_PERCENT = 0.01  # of the surface; the area of ASTM D610's grade 10
MOST_FINDINGS = 100
PAGE_SIDE, THUMB_SIDE = 640, 96
PICTURES = ("photo.jpg", "mask.png", "thumb.jpg")
TINT = 110  # opacity of the layer, 0-255


class Surface(NamedTuple):
    """The pixels that count: what they are ("photo", "steel mask", "region") and bool (h, w), None for
    all."""

    kind: str = "photo"
    pixels: np.ndarray | None = None


class Seen(NamedTuple):
    """What the network says about a photo, at its working size: corrosion probability float32 (h, w), and the names
    of its classes with the position of each pixel's likeliest damage class, uint8 (h, w), None where it knows one."""

    probability: np.ndarray
    names: tuple[str, ...] = ("background", "cor")
    best: np.ndarray | None = None


def look(photo: ReadPhoto, segmenter, tiled: bool = False) -> Seen:
    """Let the network see a photo: whole, or tile by tile. Classes are judged from the whole photo either way."""
    probability = tiled_probability(segmenter, photo.pixels) if tiled else segmenter.probability(photo.pixels)
    if len(segmenter.classes) <= 2:
        return Seen(probability)
    best = segmenter.classify(photo.pixels, np.ones(probability.shape, bool))
    return Seen(probability, tuple(segmenter.classes), best)


def inspect(photo: ReadPhoto, seen: Seen, threshold: float, surface: Surface,
            sure: float | None = None) -> tuple[dict, dict[str, bytes]]:
    """Everything the report says about one photo. threshold, sure: see `findings.mark`.

    Returns the result, ready for JSON (schema: findings.schema.json, plus the COCO run lengths of each
    finding and of the rest under "segmentations"), and the page's pictures. Areas and boxes are in pixels of
    the full photo even where the model saw it smaller.
    """
    probability, names, best = seen
    mask = mark(probability, threshold, sure)
    if surface.pixels is not None:
        mask &= surface.pixels
    classes = mask.astype(np.uint8) if best is None else best * mask
    share = corroded_share(probability, threshold, surface.pixels, sure)
    labels, regions = find_regions(mask, probability, classes, names)
    surface_pixels = mask.size if surface.pixels is None else int(np.count_nonzero(surface.pixels))
    percents = [100 * region.area / surface_pixels for region in regions]
    grades = grade(share.percent, percents)
    listed = sum(percent >= SMALLEST_FINDING_PERCENT for percent in percents[:MOST_FINDINGS])
    findings, segmentations, full_size = [], [], (photo.height, photo.width)
    for number, region in enumerate(regions[:listed], 1):
        x, y, width, height = region.box
        crop = labels[y:y + height, x:x + width] == region.label
        segmentation = encode_rle(crop, full_size, x, y, labels.shape)
        segmentations.append(segmentation)
        findings.append(_finding(number, region, percents[number - 1], segmentation, mask.shape))
    unlisted = np.zeros(len(regions) + 1, bool)
    unlisted[[region.label for region in regions[listed:]]] = True
    specks = unlisted[labels]
    x, y, width, height = cv2.boundingRect(specks.astype(np.uint8))
    rest = encode_rle(specks[y:y + height, x:x + width], full_size, x, y, labels.shape)
    result = {
        "width": photo.width, "height": photo.height, "date": photo.date, "quality": photo_quality(photo.pixels),
        "surface": surface.kind, "surface_percent": round(100 * surface_pixels / mask.size, 4),
        "surface_pixels": round(surface_pixels * photo.width * photo.height / mask.size),
        "corroded_percent": round(share.percent, 6),
        "corroded_low": round(share.low, 6), "corroded_high": round(share.high, 6),
        **grades._asdict(),
        "findings": findings,
        "rest": {"regions": len(regions) - listed, "area_percent": round(sum(percents[listed:]), 6)},
        "segmentations": [*segmentations, rest],
        "rest_box": _full_box((x, y, width, height), mask.shape, full_size),
        "photo_crc32": zlib.crc32(np.ascontiguousarray(photo.pixels)),
    }
    return result, page_pictures(photo.pixels, classes, names)


def tiled_probability(segmenter, pixels: np.ndarray) -> np.ndarray:
    """Corrosion probability, float32 (H, W), of a photo uint8 (H, W, 3) that the network sees tile by tile."""
    return np.concatenate([rows for _, rows in tiled_bands(segmenter, _Rows(pixels), pixels.shape[1::-1])])


class _Rows(NamedTuple):
    """A photo in memory with what tiles need of `OpenPhoto`."""

    pixels: np.ndarray

    def rows(self, top: int, bottom: int, size: tuple[int, int]) -> np.ndarray:
        return self.pixels[top:bottom]

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[1::-1]

    def scaled(self, size: tuple[int, int]) -> np.ndarray:
        return resize_photo(self.pixels, size)


def _finding(number: int, region: Region, percent: float, segmentation: dict, shape: tuple[int, int]) -> dict:
    return {
        "finding": number, "class": region.name, "area_pixels": sum(segmentation["counts"][1::2]),
        "area_percent": round(percent, 6), "box": _full_box(region.box, shape, segmentation["size"]),
        "confidence": round(region.confidence, 4),
    }


def _full_box(box: tuple[int, int, int, int], shape: tuple[int, int], full: tuple[int, int]) -> list[int]:
    """Box x, y, width, height at the working size `shape` = (height, width), as a box at the full size."""
    x, y, width, height = box
    left, right = _scaled(x, shape[1], full[1]), _scaled(x + width, shape[1], full[1])
    top, bottom = _scaled(y, shape[0], full[0]), _scaled(y + height, shape[0], full[0])
    return [left, top, right - left, bottom - top]


def _scaled(position: int, working: int, full: int) -> int:
    """First full-size pixel whose nearest working pixel is `position` or a later one, the ceiling of
    position * full / working."""
    return -(-position * full // working)


def page_pictures(pixels: np.ndarray, classes: np.ndarray, names: Sequence[str]) -> dict[str, bytes]:
    """Small pictures for the page, named as `PICTURES`: the photo, the layer to lay over it, and a thumbnail with both.

    pixels: uint8 (h, w, 3). classes: uint8 (h, w) positions in `names`, 0 transparent.
    """
    small = _fit(pixels, PAGE_SIDE, cv2.INTER_AREA)
    indices = np.array([CLASS_NAMES.index(name) for name in names], np.uint8)
    layer = indices[cv2.resize(classes, small.shape[1::-1], interpolation=cv2.INTER_NEAREST)]
    count = len(COLOURS)  # palette: class index n is the tint, count + n the opaque outline
    indexed = Image.fromarray(np.where(outline(layer), layer + count, layer).astype(np.uint8))
    indexed.putpalette(np.concatenate([COLOURS, COLOURS]).tobytes())
    alpha = bytes([0] + [TINT] * (count - 1)) + bytes([255] * count)
    thumb = _fit(overlay(small, layer), THUMB_SIDE, cv2.INTER_AREA)
    return dict(zip(PICTURES, (
        _encoded(Image.fromarray(small), "JPEG", quality=66),
        _encoded(indexed, "PNG", transparency=alpha, optimize=True),
        _encoded(Image.fromarray(thumb), "JPEG", quality=70),
    ), strict=True))


def _fit(pixels: np.ndarray, side: int, interpolation: int) -> np.ndarray:
    scale = min(1.0, side / max(pixels.shape[:2]))
    size = tuple(max(1, round(length * scale)) for length in pixels.shape[1::-1])
    return cv2.resize(pixels, size, interpolation=interpolation)


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
