"""Corrosion on photos of any size in bounded memory: overlapping tiles, blended, one row of tiles at a time.

Everything here passes on bands: (top, rows) with rows float32 (h, width) of corrosion probability, from the first
row of the photo to its last. NumPy and Pillow only.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from corroseg_utils.photo_quality import VIEW_SIDE, tones
from corroseg_utils.photos import OpenPhoto, photo_size
from corroseg_utils.segmenter import Segmenter, softmax

Bands = Iterable[tuple[int, np.ndarray]]
_ROWS = 256  # rows that are enlarged at a time
_STRIDE = 32  # pixels between two places where the network sees the same thing the same way


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(width, height) times `scale`, at least one pixel."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def tiled_bands(segmenter: Segmenter, photo: OpenPhoto, size: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """Probability of corrosion of a photo scaled to `size`, by tiles of the model's size.

    Tiles overlap by at least five sixteenths, and count less towards their borders, where the network sees less of
    what is around. The photo is filled up by mirroring, and gets its contrast back if it is too dark or hazy, as the
    whole-photo view does both.

    Args:
        segmenter: the model.
        photo: decoded at `size` or above.
        size: (width, height) at which the network sees the photo.

    Returns:
        Bands of `size`.
    """
    (width, height), tile = size, segmenter.size
    lefts, tops = tile_starts(width, tile), tile_starts(height, tile)
    table = tones(photo.scaled(scaled_size(photo.size, min(1, VIEW_SIDE / max(photo.size)))))
    window = _window(tile)
    across = np.zeros(lefts[-1] + tile, np.float32)
    for left in lefts:
        across[left : left + tile] += window
    total, down = np.zeros((tile, len(across)), np.float32), np.zeros(tile, np.float32)
    for top, next_top in zip(tops, [*tops[1:], height], strict=True):
        rows = table[photo.rows(top, min(top + tile, height), size)]
        rows = np.pad(rows, ((0, tile - len(rows)), (0, len(across) - width), (0, 0)), "symmetric")
        for left in lefts:
            logits = segmenter.logits(rows[None, :, left : left + tile])[0]
            total[:, left : left + tile] += (1 - softmax(logits)[..., 0]) * window * window[:, None]
        down += window
        done = next_top - top  # no later tile reaches these rows
        band = total[:done, :width] / across[:width]
        band /= down[:done, None]
        yield top, band
        _shift_up(total, done)
        _shift_up(down, done)


def whole_bands(segmenter: Segmenter, photo: np.ndarray) -> Bands:
    """Probability of corrosion by the view of the whole photo: one band, at the model's scale."""
    return [(0, 1 - segmenter.class_probabilities(photo)[..., 0])]


def enlarged_bands(bands: Bands, small: tuple[int, int], size: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """Scale bands up, with the same result as scaling all of them at once.

    Args:
        bands: of a smaller photo.
        small: its (width, height).
        size: (width, height) to reach.

    Returns:
        Bands of `size`.
    """
    if small == size:
        yield from bands
        return
    height = small[1]
    kept, first, done, factor = None, 0, 0, size[1] / height
    for top, rows in bands:
        kept = rows if kept is None else np.concatenate([kept, rows])
        end = top + len(rows)
        # A row needs its neighbour below, which the next band has.
        ready = size[1] if end == height else int((end - 1) * factor)
        picture = Image.fromarray(kept)
        while done < ready:
            stop = min(done + _ROWS, ready)
            box = (0, done / factor - first, kept.shape[1], stop / factor - first)
            yield done, np.asarray(picture.resize((size[0], stop - done), Image.Resampling.BILINEAR, box))
            done = stop
        keep = max(0, int(done / factor) - 2 - first)
        kept, first = kept[keep:], first + keep


def scaled_bands(segmenter: Segmenter, photo: OpenPhoto, scale: float) -> Bands:
    """Probability of corrosion of a photo, by tiles at `scale` (0-1], enlarged to bands of the photo's own size."""
    size = scaled_size(photo.size, scale)
    return enlarged_bands(tiled_bands(segmenter, photo, size), size, photo.size)


def open_at(path: Path | str, scale: float) -> OpenPhoto:
    """A photo decoded for a view at `scale` (0-1]. Raises PhotoError."""
    return OpenPhoto(path, max(scaled_size(photo_size(path), scale)))


def tile_starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along a side: evenly spread, each overlapping the next by at least five sixteenths.

    They begin at multiples of 32, the stride of the network's encoder: a shift by less changes what it says at the
    borders of damage. The last may reach up to 31 pixels beyond the photo.
    """
    step, last = max(1, tile * 11 // 16 // _STRIDE), max(0, -(-(length - tile) // _STRIDE))
    return (np.linspace(0, last, 1 - (-last // step)).round().astype(int) * _STRIDE).tolist()


def _window(tile: int) -> np.ndarray:
    """Weight of a tile's pixels along a side: 1 inside, falling over a quarter of it towards both borders, and next to
    none on the outer sixteenth, where the network's zero padding tells."""
    border = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5
    return np.clip((border / tile - 1 / 16) * 4, 1e-4, 1).astype(np.float32)  # not 0: a photo's frame has no other tile


def _shift_up(values: np.ndarray, rows: int) -> None:
    values[:-rows] = values[rows:]
    values[-rows:] = 0
