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
from corroseg_utils.segmenter import SHIPPED_LITERT, Segmenter, load_segmenter
from corroseg_utils.tiles import enlarged_bands, open_at, scaled_bands, scaled_size, tile_starts, tiled_bands


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


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_rows_of_converted_photos_made_smaller_do_not_show_where_a_band_ends(tmp_path, mode):
    """Averaging reaches beyond a band: in noise, the worst case, rows that are left out there would tell."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 150, 3)).astype(np.uint8)
    Image.fromarray(noise).convert(mode).save(tmp_path / "a.png")
    opened, size = OpenPhoto(tmp_path / "a.png"), (75, 45)
    bands = [opened.rows(top, min(top + 17, 45), size) for top in range(0, 45, 17)]
    whole = resize_photo(read_photo(tmp_path / "a.png"), size)
    assert np.abs(np.concatenate(bands).astype(int) - whole).max() <= 1


def test_how_bright_16_bits_are_is_decided_for_the_whole_photo(tmp_path):
    """The dark upper half by itself would pass for one of 8 bits."""
    values = np.full((60, 40), 65535, np.uint16)
    values[:30] = 200
    Image.fromarray(values).save(tmp_path / "a.png")
    opened = OpenPhoto(tmp_path / "a.png")
    assert (opened.rows(0, 10, (40, 60)) == 1).all() and (opened.rows(50, 60, (40, 60)) == 255).all()


def test_a_long_photo_keeps_its_detail(tmp_path):
    """A JPEG is decoded at the scale that its long side asks for; at that of its short one these stripes turn grey."""
    photo = np.zeros((64, 1600, 3), np.uint8)
    photo[:, np.arange(1600) % 8 < 4] = 255
    write_jpeg(tmp_path / "long.jpg", photo)
    rows = open_at(tmp_path / "long.jpg", 0.5).rows(0, 32, (800, 32))
    assert np.ptp(rows[16, 100:200, 0]) > 200


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


def test_the_border_of_a_tile_has_no_say_where_another_tile_looks(photo_file):
    """Zero padding misleads a network there: this one finds corrosion on the outer sixteenth of every tile, 4 pixels,
    and nowhere else."""
    def logits(photos):
        outer = np.ones(photos.shape[:3], np.float32)
        outer[:, 4:-4, 4:-4] = -1
        return 9 * np.stack([-outer, outer], -1)

    segmenter = Segmenter(logits, {"size": 64, "classes": ["background", "corrosion"], "threshold": 0.5})
    found = joined(tiled_bands(segmenter, OpenPhoto(photo_file(224, 160)), (224, 160)))
    assert found[4:-4, 4:-4].max() < 0.01 and found[:4].min() > 0.99  # the photo's own frame has no other tile


def test_a_photo_smaller_than_a_tile_is_filled_up_by_mirroring(photo_file):
    seen = []
    about = {"size": 64, "classes": ["background", "corrosion"], "threshold": 0.5}
    segmenter = Segmenter(lambda photos: seen.append(photos) or np.zeros((*photos.shape[:3], 2), np.float32), about)
    path = photo_file(50, 40)
    joined(tiled_bands(segmenter, OpenPhoto(path), (50, 40)))
    (tile,), photo = seen[0], read_photo(path)
    assert (tile[:40, :50] == photo).all()
    assert (tile[40:, :50] == photo[:15:-1]).all()  # 24 rows, from the last one back
    assert (tile[:40, 50:] == photo[:, :35:-1]).all()  # 14 columns


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
                            rows=lambda top, bottom, size: np.zeros((bottom - top, size[0], 3), np.uint8),
                            scaled=lambda size: np.zeros((*size[::-1], 3), np.uint8))
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
