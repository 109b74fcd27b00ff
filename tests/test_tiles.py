"""Whole photos by tiles: bands are what the whole would be, and tile borders do not show."""

import csv
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from corroseg_utils import DATA
from corroseg_utils.cli import main
from corroseg_utils.photos import OpenPhoto, read_photo, resize_photo, write_jpeg, write_png
from corroseg_utils.segment import segment_photos
from corroseg_utils.segmenter import SHIPPED_LITERT, load_segmenter
from corroseg_utils.tiles import enlarged_bands, scaled_bands, scaled_size, tile_starts, tiled_bands


def blotches(width, height, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (max(2, height // 16), max(2, width // 16), 3))
    return np.asarray(Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC))


def joined(bands):
    tops, rows = zip(*bands, strict=True)
    assert list(tops) == [0, *np.cumsum([len(band) for band in rows])[:-1]]
    return np.concatenate(rows)


@pytest.fixture
def photo_file(tmp_path):
    def write(width, height, orientation=1, name="a.png"):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(blotches(width, height)).save(tmp_path / name, exif=exif)
        return tmp_path / name

    return write


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("scale", [1, 0.5, 0.37])
def test_rows_are_those_of_the_whole_photo(photo_file, orientation, scale):
    path = photo_file(150, 90, orientation)
    opened = OpenPhoto(path)
    size = scaled_size(opened.size, scale)
    whole = resize_photo(read_photo(path), size)
    bands = [opened.rows(top, min(top + 17, size[1]), size) for top in range(0, size[1], 17)]
    # Pillow rounds after each of its two passes, and passes over columns of a sideways photo first.
    assert np.abs(np.concatenate(bands).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "one colour transparent"])
def test_rows_of_photos_that_are_converted(tmp_path, mode):
    image = Image.fromarray(blotches(150, 90))
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "one colour transparent":
        image.putpixel((10, 20), (1, 2, 3))
        image.save(path, transparency=(1, 2, 3))  # the mode stays RGB
        assert (read_photo(path)[20, 10] == 255).all()
    else:
        image.convert(mode).save(path)
    opened = OpenPhoto(path)
    bands = [opened.rows(top, min(top + 17, 90), (150, 90)) for top in range(0, 90, 17)]
    assert (np.concatenate(bands) == read_photo(path)).all()


def test_tiles_cover_a_side_and_overlap_on_the_grid_of_the_network():
    for length in (1, 255, 256, 257, 288, 289, 415, 1000, 4001):
        starts = tile_starts(length, 256)
        assert starts[0] == 0 and max(0, length - 256) <= starts[-1] < max(0, length - 256) + 32
        assert all(start % 32 == 0 for start in starts)
        assert all(0 < b - a <= 160 for a, b in zip(starts, starts[1:], strict=False))
    assert tile_starts(4000, 512) == [0, 352, 704, 1056, 1408, 1728, 2080, 2432, 2784, 3136, 3488]


@pytest.mark.parametrize(("width", "height"), [(300, 210), (96, 96), (50, 200), (97, 20)])
def test_tiles_of_a_pixelwise_model_leave_no_trace(red_segmenter, photo_file, width, height):
    opened = OpenPhoto(photo_file(width, height))
    tiled = joined(tiled_bands(red_segmenter, opened, (width, height)))
    logits = red_segmenter.logits(opened.rows(0, height, (width, height)).astype(np.float32)[None])[0]
    expected = 1 / (1 + np.exp(np.clip(logits[..., 0] - logits[..., 1], -80, 80)))
    assert tiled.shape == (height, width)
    np.testing.assert_allclose(tiled, expected, atol=1e-5)


def test_bands_enlarged_are_the_whole_enlarged():
    small = np.random.default_rng(0).random((100, 37), np.float32)
    bands = [(top, small[top : top + 30]) for top in range(0, 100, 30)]
    for size in ((37, 100), (39, 100), (101, 263), (400, 1021)):
        expected = Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)
        np.testing.assert_allclose(joined(enlarged_bands(bands, (37, 100), size)), np.asarray(expected), atol=1e-5)


@pytest.mark.parametrize("scale", [1, 0.5])
def test_bands_take_a_fraction_of_the_memory_of_the_whole(red_segmenter, scale):
    width, height = 480, 9984
    black = SimpleNamespace(size=(width, height),
                            rows=lambda top, bottom, size: np.zeros((bottom - top, size[0], 3), np.uint8))
    tracemalloc.start()
    try:
        assert sum(len(rows) for _, rows in scaled_bands(red_segmenter, black, scale)) == height
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < width * height  # bytes: a quarter of what the whole answer takes


def test_whole_view_gives_the_mask_that_evaluation_scores(red_segmenter, tmp_path):
    write_jpeg(tmp_path / "big.jpg", blotches(700, 500))
    segment_photos(red_segmenter, [tmp_path / "big.jpg"], tmp_path / "out")
    mask = np.asarray(Image.open(tmp_path / "out" / "big_mask.png")) > 0
    assert (mask == (red_segmenter.read(tmp_path / "big.jpg")[1] >= 0.5)).all()
    assert 0 < mask.mean() < 1


def test_scale_from_the_command_line(exported, tmp_path):
    write_png(tmp_path / "a.png", blotches(200, 150))
    arguments = ["segment", str(tmp_path / "a.png"), "--model", str(exported["none"]), "--out", str(tmp_path / "out")]
    for scale in ("1", "0.5"):
        assert main([*arguments, "--scale", scale]) == 0
        with open(tmp_path / "out" / "summary.csv") as file:
            row, = csv.DictReader(file)
        assert (row["width"], row["height"], row["error"]) == ("200", "150", "")
        assert Image.open(tmp_path / "out" / "a_mask.png").size == (200, 150)
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--scale", "1.5"])
    assert stop.value.code == 2


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "photos").exists(), reason="the embedded data set is not there")
def test_tile_borders_do_not_matter(tmp_path):
    segmenter, equal = load_segmenter(SHIPPED_LITERT), []
    shift, side = segmenter.size // 2, 5 * segmenter.size // 2
    for photo in sorted((DATA / "photos").glob("*.*"))[::40]:
        photo = resize_photo(read_photo(photo), (side, side))
        whole, shifted = (tiled_mask(segmenter, part, tmp_path / "a.png") for part in (photo, photo[shift:, shift:]))
        inner = slice(shift // 2, -shift)  # away from the frame
        equal.append((whole[shift:, shift:] == shifted)[inner, inner].mean())
    assert np.mean(equal) >= 0.99, equal


def tiled_mask(segmenter, photo, file):
    write_png(file, photo)
    return joined(tiled_bands(segmenter, OpenPhoto(file), photo.shape[1::-1])) >= segmenter.threshold
