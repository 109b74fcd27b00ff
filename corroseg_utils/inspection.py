"""Inspect one photo: corroded share, grades, findings, their masks, and small pictures for the report's
page."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from corroseg_utils.annotations import encode_rle
from corroseg_utils.dataset import CLASS_NAMES
from corroseg_utils.findings import Region, corroded_share, find_regions
from corroseg_utils.grades import grade
from corroseg_utils.overlay import COLOURS, outline, overlay
from corroseg_utils.photo_reader import ReadPhoto

SMALLEST_FINDING_PERCENT = 0.01  # of the surface; the area of ASTM D610's grade 10
MOST_FINDINGS = 100
PAGE_SIDE, THUMB_SIDE = 640, 96
TINT = 110  # opacity of the layer, 0-255


class Surface(NamedTuple):
    """The pixels that count: what they are ("photo", "steel mask", "region") and bool (h, w), None for
    all."""

    kind: str = "photo"
    pixels: np.ndarray | None = None


def inspect(photo: ReadPhoto, segmenter, threshold: float, surface: Surface) -> tuple[dict, dict[str, bytes]]:
    """Everything the report says about one photo.

    Returns the result, ready for JSON (schema: findings.schema.json, plus the COCO run lengths of each
    finding and of the rest under "segmentations"), and the page's pictures. Areas and boxes are in pixels of
    the full photo even where the model saw it smaller.
    """
    probability = segmenter.probability(photo.pixels)
    mask = probability >= np.float32(threshold)
    if surface.pixels is not None:
        mask &= surface.pixels
    classes, names = _classes(segmenter, photo.pixels, mask)
    share = corroded_share(probability, threshold, surface.pixels)
    labels, regions = find_regions(mask, probability, classes, names)
    surface_pixels = mask.size if surface.pixels is None else int(np.count_nonzero(surface.pixels))
    percents = [100 * region.area / surface_pixels for region in regions]
    grades = grade(share.percent, percents)
    listed = sum(percent >= SMALLEST_FINDING_PERCENT for percent in percents[:MOST_FINDINGS])
    findings, segmentations = [], []
    for number, region in enumerate(regions[:listed], 1):
        x, y, width, height = region.box
        crop = labels[y:y + height, x:x + width] == region.label
        segmentation = _full_size_rle(crop, x, y, labels.shape, photo)
        segmentations.append(segmentation)
        findings.append(_finding(number, region, percents[number - 1], segmentation, mask.shape))
    unlisted = np.zeros(len(regions) + 1, bool)
    unlisted[[region.label for region in regions[listed:]]] = True
    specks = unlisted[labels]
    x, y, width, height = cv2.boundingRect(specks.astype(np.uint8))
    rest = _full_size_rle(specks[y:y + height, x:x + width], x, y, labels.shape, photo)
    result = {
        "width": photo.width, "height": photo.height, "date": photo.date,
        "surface": surface.kind, "surface_percent": round(100 * surface_pixels / mask.size, 4),
        "surface_pixels": round(surface_pixels * photo.width * photo.height / mask.size),
        "corroded_percent": round(share.percent, 6),
        "corroded_low": round(share.low, 6), "corroded_high": round(share.high, 6),
        **grades._asdict(),
        "findings": findings,
        "rest": {"regions": len(regions) - listed, "area_percent": round(sum(percents[listed:]), 6)},
        "segmentations": [*segmentations, rest],
    }
    return result, page_pictures(photo.pixels, classes, names)


def _classes(segmenter, pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class position of each pixel of the mask, and the names; a model of two classes knows only "cor"."""
    if len(segmenter.classes) <= 2:
        return mask.astype(np.uint8), ("background", "cor")
    return segmenter.classify(pixels, mask), tuple(segmenter.classes)


def _finding(number: int, region: Region, percent: float, segmentation: dict, shape: tuple[int, int]) -> dict:
    x, y, width, height = region.box
    full_height, full_width = segmentation["size"]
    left, right = _scaled(x, shape[1], full_width), _scaled(x + width, shape[1], full_width)
    top, bottom = _scaled(y, shape[0], full_height), _scaled(y + height, shape[0], full_height)
    return {
        "finding": number, "class": region.name, "area_pixels": sum(segmentation["counts"][1::2]),
        "area_percent": round(percent, 6), "box": [left, top, right - left, bottom - top],
        "confidence": round(region.confidence, 4),
    }


def _scaled(position: int, working: int, full: int) -> int:
    """First full-size pixel whose nearest working pixel is `position` or a later one: ceil(position
    full/working)."""
    return -(-position * full // working)


def _full_size_rle(crop: np.ndarray, x: int, y: int, shape: tuple[int, int], photo: ReadPhoto) -> dict:
    """COCO run lengths, at the photo's full size and by nearest pixel, of the part of a mask of `shape` at x,
    y."""
    left, right = (_scaled(v, shape[1], photo.width) for v in (x, x + crop.shape[1]))
    top, bottom = (_scaled(v, shape[0], photo.height) for v in (y, y + crop.shape[0]))
    columns = np.arange(left, right) * shape[1] // photo.width - x
    rows = np.arange(top, bottom) * shape[0] // photo.height - y
    return encode_rle(crop[rows[:, None], columns], (photo.height, photo.width), left, top)


def page_pictures(pixels: np.ndarray, classes: np.ndarray, names: Sequence[str]) -> dict[str, bytes]:
    """Small pictures for the page: "photo.jpg", the layer "mask.png" to lay over it, and "thumb.jpg" with
    both.

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
    return {
        "photo.jpg": _encoded(Image.fromarray(small), "JPEG", quality=66),
        "mask.png": _encoded(indexed, "PNG", transparency=alpha, optimize=True),
        "thumb.jpg": _encoded(Image.fromarray(thumb), "JPEG", quality=70),
    }


def _fit(pixels: np.ndarray, side: int, interpolation: int) -> np.ndarray:
    scale = min(1.0, side / max(pixels.shape[:2]))
    size = tuple(max(1, round(length * scale)) for length in pixels.shape[1::-1])
    return cv2.resize(pixels, size, interpolation=interpolation)


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
