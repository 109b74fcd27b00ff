import json

import cv2
import numpy as np
import pytest
from report_helpers import RUST, ColourSegmenter, photo_with, save

from corroseg_utils import DATA, quality_study
from corroseg_utils.augment import hazed
from corroseg_utils.dataset import DataError, read_data
from corroseg_utils.inspection import tiled_probability
from corroseg_utils.photo_quality import QUALITIES, VIEW_SIDE, photo_quality, tones, unclear_photos
from corroseg_utils.photos import read_photo, write_png
from corroseg_utils.quality_study import SPOILED, blurred, brightened
from corroseg_utils.segmenter import Segmenter
from corroseg_utils.tiles import open_at, scaled_bands


@pytest.fixture(scope="module")
def photo():
    return read_photo(DATA / "photos" / "CDM_28801_IMG_0558.JPG")


def striped(low, high, size=(60, 80)):
    """Columns of two colours in turn, uint8 (H, W, 3)."""
    photo = np.empty((*size, 3), np.uint8)
    photo[:, ::2], photo[:, 1::2] = low, high
    return photo


def split(first, second, share):
    """Stripes of `second` on the right, from `share` of the width on, and of `first` on the left: 100 columns."""
    left, right = (striped(*colours, size=(40, 100)) for colours in (first, second))
    return np.where(np.arange(100)[:, None] < round(100 * share), left, right)


def test_a_sound_photo_is_clear_and_each_fault_is_named(photo):
    assert photo_quality(photo) == "clear"
    faults = [brightened(photo, 1 / 12), brightened(photo, 5), hazed(photo, 0.4), blurred(photo, 4)]
    assert tuple(map(photo_quality, faults)) == QUALITIES[1:]


@pytest.mark.parametrize(("colour", "quality"), [
    ((0, 0, 0), "too dark"), ((255, 255, 255), "overexposed"), ((128, 128, 128), "hazy"), ((160, 60, 30), "blurred")])
def test_a_photo_of_one_colour_shows_nothing(colour, quality):
    assert photo_quality(np.full((30, 40, 3), colour, np.uint8)) == quality


def test_dark_is_judged_by_the_brightest_hundredth():
    night, lamp = (5, 35), (90, 200)
    assert photo_quality(split(night, lamp, 1.0)) == "too dark"
    assert photo_quality(split(night, lamp, 0.97)) == "clear"  # 3 % are lit
    assert photo_quality(striped(5, 79)) == "too dark" and photo_quality(striped(5, 80)) == "clear"
    assert photo_quality(striped((5, 5, 5), (20, 20, 90))) == "clear"  # a dark photo, but of a strong colour


def test_overexposed_is_judged_by_the_middle():
    white, steel = (250, 255), (60, 140)
    assert photo_quality(split(steel, white, 0.4)) == "overexposed"
    assert photo_quality(split(steel, white, 0.6)) == "clear"
    assert photo_quality(striped(200, 249)) == "hazy"


def test_hazy_is_judged_by_the_darkest_channel():
    assert photo_quality(striped((180, 140, 100), (230, 200, 120))) == "hazy"
    assert photo_quality(striped((180, 140, 99), (230, 200, 120))) == "clear"
    assert photo_quality(striped((250, 200, 10), (180, 140, 20))) == "clear"  # bright, but of a strong colour


def test_sharpness_by_hand():
    # Of grey columns a and b in turn the Laplacian is 2(b - a) and -2(b - a): its variance is 4(b - a)^2.
    assert photo_quality(striped(81, 82)) == "blurred"  # 4
    assert photo_quality(striped(81, 83)) == "clear"  # 16


def test_it_is_judged_as_small_as_the_model_sees_it(photo):
    large = cv2.resize(photo, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)  # each pixel is blurred over four
    assert max(large.shape) > 4 * VIEW_SIDE and photo_quality(large) == "clear"
    assert photo_quality(blurred(large, 4)) == "blurred"


@pytest.mark.parametrize("shape", [(3, 3, 3), (8, 5000, 3), (5000, 8, 3)])
def test_narrow_photos_can_be_judged(shape):
    assert photo_quality(np.full(shape, 128, np.uint8)) == "hazy"


def test_a_sound_photo_keeps_its_values(photo):
    for sound in (photo, blurred(photo, 4), brightened(photo, 5)):  # and what is gone cannot be brought back
        assert np.array_equal(tones(sound), np.arange(256))


def test_what_is_named_otherwise_is_not_restored():
    pale = split((110, 140), (250, 255), 0.4)  # overexposed, and nothing in it is dark
    assert photo_quality(pale) == "overexposed" and np.array_equal(tones(pale), np.arange(256))


def test_dark_photos_get_brighter_by_hand():
    table = tones(striped(0, 50))
    assert table.dtype == np.uint8 and table[[0, 10, 50, 60]].tolist() == [0, 50, 250, 255]  # 50 becomes 250: times 5
    assert tones(striped(0, 20))[[10, 20]].tolist() == [80, 160]  # not more than times 8
    assert tones(np.zeros((9, 9, 3), np.uint8))[0] == 0


def test_haze_is_taken_away_by_hand():
    table = tones(striped(100, 195))
    assert table[[0, 90, 100, 150, 195, 255]].tolist() == [0, 40, 60, 160, 250, 255]  # 100 to 195 becomes 60 to 250
    assert tones(striped(100, 110))[[100, 110]].tolist() == [60, 140]  # not more than times 8
    assert tones(np.full((9, 9, 3), 200, np.uint8))[200] == 60


def test_tones_bring_a_spoiled_photo_near_to_what_it_was(photo):
    for spoiled in (brightened(photo, 1 / 6), hazed(photo, 0.4)):
        restored = tones(spoiled)[spoiled].astype(float)
        assert photo_quality(tones(spoiled)[spoiled]) == "clear"
        assert np.abs(restored - photo).mean() < 30 < 50 < np.abs(spoiled.astype(float) - photo).mean()


def rust_or_not(photos):
    """Logits by colour: corroded is what is redder than blue by 100."""
    redder = photos[..., 0].astype(np.float32) - photos[..., 2] - 100
    return np.stack([-redder, redder], -1)


@pytest.mark.parametrize("look", [
    lambda segmenter, photo, _: segmenter.mask(photo),
    lambda segmenter, photo, _: tiled_probability(segmenter, photo) >= 0.5,
    lambda segmenter, _, file: np.concatenate([rows for _, rows in scaled_bands(segmenter, open_at(file, 1), 1)]) >= 0.5
], ids=["whole", "tiles of the report", "tiles of segment"])
def test_the_model_sees_the_photo_with_its_contrast(look, tmp_path):
    segmenter = Segmenter(rust_or_not, {"size": 64, "classes": ["background", "corrosion"], "threshold": 0.5})
    clear = photo_with((0, 0, 40, 30), (60, 40, 70, 50), size=(96, 64))
    clear[::8, ::8] = 0
    for spoiled in (clear, brightened(clear, 1 / 4), hazed(clear, 0.4)):
        write_png(tmp_path / "a.png", spoiled)
        marked = look(segmenter, spoiled, tmp_path / "a.png")
        assert 0.8 < (marked & (clear == RUST).all(-1)).sum() / marked.sum() and marked.sum() > 1000


def test_the_sentence_about_photos_that_are_not_clear():
    assert unclear_photos({}, "t.csv") == unclear_photos({"a.jpg": "clear"}, "t.csv") == ""
    rest = " (column quality of t.csv). Corrosion may be missed: look yourself, or take such photos again."
    photos = {"a.jpg": "clear", "b.jpg": "hazy"}
    assert unclear_photos(photos, "t.csv") == "careful: b.jpg is hazy" + rest
    photos["c.jpg"] = "too dark"
    assert unclear_photos(photos, "t.csv") == "careful: b.jpg is hazy, and 1 more photo is not clear" + rest
    photos["d.jpg"] = "blurred"
    assert unclear_photos(photos, "t.csv") == "careful: b.jpg is hazy, and 2 more photos are not clear" + rest


def test_spoiling_by_hand():
    photo = np.array([[[0, 100, 255]]], np.uint8)
    assert brightened(photo, 2).tolist() == [[[0, 200, 255]]] and brightened(photo, 1 / 4).tolist() == [[[0, 25, 64]]]
    assert hazed(photo, 1 / 2).tolist() == [[[100, 150, 228]]] and hazed(photo, 1 / 2, 180)[0, 0, 0] == 90
    assert list(SPOILED)[0] == "as it is" and SPOILED["as it is"](photo) is photo


@pytest.fixture
def rendered(tmp_path):
    """Two photos with rust on a quarter of them, and a clean one that the study leaves out."""
    for name in "ab":
        save(tmp_path / "images" / f"{name}.png", photo_with((0, 0, 40, 30)))
        save(tmp_path / "masks" / f"{name}.png", (photo_with((0, 0, 40, 30)) == RUST)[..., 0].astype(np.uint8))
    save(tmp_path / "images" / "c.png", photo_with())
    save(tmp_path / "masks" / "c.png", np.zeros((60, 80), np.uint8))
    return tmp_path


def test_the_study_by_hand(rendered):
    """The stand-in marks what is redder than blue by 67 at least; RUST is by 120, and STEEL is bluer than red."""
    table = quality_study.quality_study(ColourSegmenter(), read_data(rendered))
    assert table.attrs["photos"] == 2
    found = {name: tuple(row) for name, row in table[["too_good", "named", "silent"]].iterrows()}
    assert found["as it is"] == (0, 0, 0)
    assert found["a quarter of the light"] == (1, 1, 0)  # by 30: nothing is marked; 37 of 255 at most: too dark
    assert found["haze, three quarters of the contrast left"] == (0, 0, 0)  # by 90: marked
    assert found["haze, half left"] == (1, 1, 0)  # by 60, and nothing is darker than 115
    assert set(found) == set(SPOILED)


def test_a_harm_that_is_not_told_is_silent(rendered, monkeypatch):
    painted = photo_with((0, 0, 40, 30))
    painted[painted[..., 0] == RUST[0]] = (60, 70, 80)  # unlike STEEL, and no redder
    monkeypatch.setattr(quality_study, "SPOILED", {"painted over": lambda _: painted})
    (row,) = quality_study.quality_study(ColourSegmenter(), read_data(rendered)).to_dict("records")
    assert row == {"without_tones": 1, "too_good": 1, "named": 0, "silent": 1}


def test_the_command_prints_the_study(rendered, monkeypatch, capsys):
    monkeypatch.setattr(quality_study, "load_segmenter", lambda *_, **__: ColourSegmenter())
    monkeypatch.setattr("sys.argv", ["quality_study", str(rendered), "--split", "train"])
    manifest = read_data(rendered).assign(split="train")
    monkeypatch.setattr(quality_study, "read_data", lambda _: manifest)
    quality_study.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["photos"] == 2
    assert printed["as it is"] == {"without_tones": 0, "too_good": 0, "named": 0, "silent": 0}


def test_a_study_needs_corrosion(rendered):
    manifest = read_data(rendered)
    with pytest.raises(DataError, match="No photo has 0.1 % of corrosion"):
        quality_study.quality_study(ColourSegmenter(), manifest[manifest["photo"].map(lambda path: path.stem) == "c"])
