"""Masks of one scene, laid over each other: photos whose geometry is known, and the command on a small manifest."""

import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from corroseg_utils import DATA, mask_agreement
from corroseg_utils.dataset import load_pair, read_data
from corroseg_utils.evaluation import COUNTS
from corroseg_utils.mask_agreement import agreement, lead, main, pair_counts
from corroseg_utils.metrics import corrosion_iou
from corroseg_utils.photos import write_jpeg, write_png

WARP = np.array([[0.9, 0.1, 20], [-0.05, 0.95, 30], [1e-4, 5e-5, 1]])  # a view from a little farther to the side


@pytest.fixture(scope="module")
def pair():
    """A rendered photo full of detail, and its mask."""
    rows = read_data(DATA).to_dict("records")
    return load_pair(max(rows[:60], key=lambda row: load_pair(row)[1].astype(bool).mean()))


def seen_from_elsewhere(picture: np.ndarray) -> np.ndarray:
    return cv2.warpPerspective(picture, WARP, picture.shape[1::-1], flags=cv2.INTER_NEAREST)


@pytest.mark.parametrize("view", [seen_from_elsewhere, lambda picture: picture[:, ::-1],
                                  lambda picture: picture[40:, 60:]], ids=["elsewhere", "mirrored", "cropped"])
def test_one_mask_agrees_with_itself_from_another_view(pair, view):
    photo, mask = pair
    # Not 1: the homography is off by a pixel or two, and this mask has many small parts.
    assert corrosion_iou(pair_counts(photo, mask, view(photo), view(mask))) > 0.85


def test_pixels_are_counted_where_both_photos_look(pair):
    photo, mask = pair
    left = np.zeros_like(mask)
    left[:, : mask.shape[1] // 2] = 1
    everywhere = np.ones_like(mask)
    counts = pair_counts(photo, left, photo, everywhere)
    assert counts[0].sum() == 0  # the other mask has no background
    assert counts[1, 1] / counts[1].sum() == pytest.approx(0.5, abs=0.01)
    half = photo.shape[1] // 2
    assert pair_counts(photo[:, :half], left[:, :half], photo, left)[1, 1] / 512**2 == pytest.approx(0.5, abs=0.03)


def test_strangers_have_no_counts(pair):
    stranger = load_pair(read_data(DATA).drop_duplicates("group").to_dict("records")[-1])
    assert pair_counts(*pair, *stranger) is None


@pytest.fixture
def manifest(pair, tmp_path):
    """Two sources that share a photo; the second has half of the first's mask. And a stranger."""
    photo, mask = pair
    half = mask.astype(bool)
    half[:, int(np.median(np.nonzero(half)[1])) :] = False  # half of the corroded pixels
    stranger = load_pair(read_data(DATA).drop_duplicates("group").to_dict("records")[-1])
    rows = []
    for name, source, (picture, truth) in (("a", "one", pair), ("b", "two", (photo, half)), ("c", "two", stranger)):
        write_jpeg(tmp_path / f"{name}.jpg", picture)
        write_png(tmp_path / f"{name}.png", (truth > 0).astype(np.uint8))
        rows.append({"image": f"{name}.jpg", "mask": f"{name}.png", "group": name, "source": source})
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path / "manifest.csv"


def test_pairs_are_named_by_their_sources(manifest):
    pairs = agreement(read_data(manifest), [["one/a", "two/b", "two/c"], ["one/a", "elsewhere/x"]])
    assert pairs[["photo", "group", "source"]].to_numpy().tolist() == [["one/a two/b", "one/a", "one and two"]]


def test_lead_is_of_the_same_scenes():
    def drawn(rows):
        return pd.DataFrame([(f"{scene} again", scene, *counts) for scene, counts in rows],
                            columns=["photo", "group", *COUNTS])

    # In each scene people lead by a tenth, however hard the scene is: so any draw of scenes lies near a tenth.
    people = drawn([("easy", (0, 5, 5, 90)), ("hard", (0, 40, 40, 20))])
    model = drawn([("hard", (0, 45, 45, 10)), ("easy", (0, 10, 10, 80))])
    value, low, high = lead(people, model)
    assert COUNTS == ["clean", "false_alarms", "misses", "hits"]
    assert value == pytest.approx(110 / 200 - 90 / 200)
    assert (low, high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert np.isnan(lead(people[:1], model)[1:]).all()


class LeftHalf:
    """A model that marks the left half of every photo."""

    def mask(self, photo: np.ndarray) -> np.ndarray:
        return np.repeat(np.arange(photo.shape[1])[None] < photo.shape[1] // 2, len(photo), axis=0).astype(np.uint8)


def test_command(manifest, monkeypatch, model_file, capsys):
    monkeypatch.setattr(mask_agreement, "SCENES", "one/a two/b\n")
    assert main([str(manifest), "--model", str(model_file), "--json"]) == 0  # whatever that model marks
    assert json.loads(capsys.readouterr().out)["model"]["one and two"]["photos"] == 1
    monkeypatch.setattr(mask_agreement, "load_segmenter", lambda path: LeftHalf())
    assert main([str(manifest), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["people"]["one and two"]["iou"] == pytest.approx(0.5, abs=0.04)
    assert results["model"]["one and two"]["iou"] == pytest.approx(1, abs=0.04)  # one photo, twice
    assert results["lead"]["one and two"]["iou"] == pytest.approx(
        results["people"]["one and two"]["iou"] - results["model"]["one and two"]["iou"])
    assert main([str(manifest)]) == 0
    out = capsys.readouterr().out
    assert "1 pairs of 1 scenes" in out
    assert re.search(r"people minus model, one and two: IoU -0\.\d{3} \(none\)", out)
    monkeypatch.setattr(mask_agreement, "SCENES", "x/1 x/2\n")
    assert main([str(manifest)]) == 2
    assert "no two of its photos show one scene" in capsys.readouterr().err
