import json

import cv2
import numpy as np
import pytest
from report_helpers import RUST, ColourSegmenter, photo_with, save

from corroseg_utils import DATA, quality_study
from corroseg_utils.dataset import DataError, read_data
from corroseg_utils.photo_quality import QUALITIES, VIEW_SIDE, photo_quality, poor_photos
from corroseg_utils.photos import read_photo
from corroseg_utils.quality_study import SPOILED, blurred, brightened, hazed


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


def test_a_sound_photo_is_good_and_each_fault_is_named(photo):
    assert photo_quality(photo) == "good"
    faults = [brightened(photo, 1 / 12), brightened(photo, 5), hazed(photo, 0.4), blurred(photo, 4)]
    assert tuple(map(photo_quality, faults)) == QUALITIES[1:]


@pytest.mark.parametrize(("colour", "quality"), [
    ((0, 0, 0), "too dark"), ((255, 255, 255), "overexposed"), ((128, 128, 128), "hazy"), ((160, 60, 30), "blurred")])
def test_a_photo_of_one_colour_shows_nothing(colour, quality):
    assert photo_quality(np.full((30, 40, 3), colour, np.uint8)) == quality


def test_dark_is_judged_by_the_brightest_hundredth():
    night, lamp = (5, 35), (90, 200)
    assert photo_quality(split(night, lamp, 1.0)) == "too dark"
    assert photo_quality(split(night, lamp, 0.97)) == "good"  # 3 % are lit
    assert photo_quality(striped(5, 45)) == "good"


def test_overexposed_is_judged_by_the_middle():
    white, steel = (250, 255), (60, 140)
    assert photo_quality(split(steel, white, 0.4)) == "overexposed"
    assert photo_quality(split(steel, white, 0.6)) == "good"
    assert photo_quality(striped(200, 249)) == "hazy"


def test_hazy_is_judged_by_the_darkest_channel():
    assert photo_quality(striped((180, 140, 100), (230, 200, 120))) == "hazy"
    assert photo_quality(striped((180, 140, 99), (230, 200, 120))) == "good"
    assert photo_quality(striped((250, 200, 10), (180, 140, 20))) == "good"  # bright, but of a strong colour


def test_sharpness_by_hand():
    # Of grey columns a and b in turn the Laplacian is 2(b - a) and -2(b - a): its variance is 4(b - a)^2.
    assert photo_quality(striped(60, 61)) == "blurred"  # 4
    assert photo_quality(striped(60, 62)) == "good"  # 16


def test_it_is_judged_as_small_as_the_model_sees_it(photo):
    large = cv2.resize(photo, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)  # each pixel is blurred over four
    assert max(large.shape) > 4 * VIEW_SIDE and photo_quality(large) == "good"
    assert photo_quality(blurred(large, 4)) == "blurred"


@pytest.mark.parametrize("shape", [(3, 3, 3), (8, 5000, 3), (5000, 8, 3)])
def test_narrow_photos_can_be_judged(shape):
    assert photo_quality(np.full(shape, 128, np.uint8)) == "hazy"


def test_the_sentence_about_poor_photos():
    assert poor_photos({}) == poor_photos({"a.jpg": "good"}) == ""
    one, two = poor_photos({"a.jpg": "good", "b.jpg": "hazy"}), poor_photos({"b.jpg": "hazy", "c.jpg": "too dark"})
    assert one.startswith("careful: b.jpg is hazy (column quality)")
    assert two.startswith("careful: b.jpg is hazy, and 1 more are of poor quality (column quality)")


def test_spoiling_by_hand():
    photo = np.array([[[0, 100, 255]]], np.uint8)
    assert brightened(photo, 2).tolist() == [[[0, 200, 255]]] and brightened(photo, 1 / 4).tolist() == [[[0, 25, 64]]]
    assert hazed(photo, 1 / 2).tolist() == [[[100, 150, 228]]]
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
    found = {name: tuple(row) for name, row in table[["too_good", "told", "silent"]].iterrows()}
    assert found["as it is"] == (0, 0, 0)
    assert found["a quarter of the light"] == (1, 1, 0)  # by 30: nothing is marked; 35 of 255 at most: too dark
    assert found["haze, three quarters of the contrast left"] == (0, 0, 0)  # by 90: marked
    assert found["haze, half of the contrast left"] == (1, 1, 0)  # by 60, and nothing is darker than 115
    assert set(found) == set(SPOILED)


def test_a_harm_that_is_not_told_is_silent(rendered, monkeypatch):
    painted = photo_with((0, 0, 40, 30))
    painted[painted[..., 0] == RUST[0]] = (60, 70, 80)  # unlike STEEL, and no redder
    monkeypatch.setattr(quality_study, "SPOILED", {"painted over": lambda _: painted})
    (row,) = quality_study.quality_study(ColourSegmenter(), read_data(rendered)).to_dict("records")
    assert row == {"too_good": 1, "told": 0, "silent": 1}


def test_the_command_prints_the_study(rendered, monkeypatch, capsys):
    monkeypatch.setattr(quality_study, "load_segmenter", lambda *_, **__: ColourSegmenter())
    monkeypatch.setattr("sys.argv", ["quality_study", str(rendered), "--split", "train"])
    manifest = read_data(rendered).assign(split="train")
    monkeypatch.setattr(quality_study, "read_data", lambda _: manifest)
    quality_study.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["photos"] == 2 and printed["as it is"] == {"too_good": 0, "told": 0, "silent": 0}


def test_a_study_needs_corrosion(rendered):
    manifest = read_data(rendered)
    with pytest.raises(DataError, match="No photo has 0.1 % of corrosion"):
        quality_study.quality_study(ColourSegmenter(), manifest[manifest["photo"].map(lambda path: path.stem) == "c"])
