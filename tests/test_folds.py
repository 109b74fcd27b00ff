from pathlib import Path

import pandas as pd
import pytest

from corroseg_utils.dataset import DataError, read_manifest
from corroseg_utils.folds import hold_out_fold, hold_out_source
from corroseg_utils.scenes import SAME_SCENE, SCENES

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "real" / "manifest.csv"


def test_hold_out_a_fold():
    manifest = pd.DataFrame({"group": [f"g{number // 2}" for number in range(200)],
                             "fold": [number // 40 for number in range(200)]})
    held_out = hold_out_fold(manifest, 2)
    assert (held_out["split"] == "test").tolist() == (manifest["fold"] == 2).tolist()
    assert held_out.groupby("group")["split"].nunique().max() == 1
    assert (held_out["split"] == "validation").sum() in range(4, 40)
    with pytest.raises(DataError, match="no fold 9 in this data set. There are 0, 1, 2, 3, 4."):
        hold_out_fold(manifest, 9)
    with pytest.raises(DataError, match="There are 2, 10."):
        hold_out_fold(pd.DataFrame({"group": ["a", "b", "c"], "fold": [10, 2, None]}), 9)
    with pytest.raises(DataError, match="no column 'fold'"):
        hold_out_fold(manifest.drop(columns="fold"), 0)


def test_two_photos_of_one_scene_stay_together():
    manifest = pd.DataFrame({"group": ["virginia_tech/119", "virginia_tech/120", "web/1"], "fold": [3, 2, 2]})
    assert (hold_out_fold(manifest, 3)["split"] == "test").tolist() == [True, True, False]
    assert (hold_out_fold(manifest, 2)["split"] == "test").tolist() == [False, False, True]
    assert hold_out_fold(manifest, 2)["group"].tolist() == ["virginia_tech/119", "virginia_tech/119", "web/1"]
    alone = manifest.iloc[1:]
    assert (hold_out_fold(alone, 2)["split"] == "test").all()  # its twin is not in the data


def test_a_scene_stays_together_without_its_first_photo():
    manifest = pd.DataFrame({"group": ["cis/0481_jpg", "cis/0482_jpg", "web/1"], "fold": [3, 4, 4]})
    assert (hold_out_fold(manifest, 3)["split"] == "test").tolist() == [True, True, False]


def test_each_group_is_in_one_scene():
    scenes = [line.split() for line in SCENES.strip().splitlines()]
    groups = sum(scenes, [])
    assert len(groups) == len(set(groups)) and min(map(len, scenes)) > 1
    assert SAME_SCENE["cis/0482_jpg"] == SAME_SCENE["cis/0481_jpg"] == "cis/0480_jpg" not in SAME_SCENE
    assert SAME_SCENE["web/img102_jpg"] == "cis/img102_jpg"


def test_a_held_out_source_shares_no_scene_with_the_others():
    manifest = pd.DataFrame({"group": ["cis/img102_jpg", "web/img102_jpg", "cis/img103_jpg", "virginia_tech/1"],
                             "source": ["cis", "web", "cis", "virginia_tech"]})
    held_out = hold_out_source(manifest, "web")
    assert held_out["source"].tolist() == ["web", "cis", "virginia_tech"]  # without the copy that cis holds
    assert (held_out["split"] == "test").tolist() == [True, False, False]
    assert len(hold_out_source(manifest, "virginia_tech")) == 4


def test_hold_out_a_source():
    manifest = pd.DataFrame({"group": [f"g{number}" for number in range(60)], "source": ["web", "cis", "cis"] * 20})
    held_out = hold_out_source(manifest, "web")
    assert (held_out["split"] == "test").tolist() == [True, False, False] * 20
    assert set(held_out["split"]) == {"train", "validation", "test"}
    with pytest.raises(DataError, match="no source 'x' in this data set. There are cis, web."):
        hold_out_source(manifest, "x")
    with pytest.raises(DataError, match="no column 'source'"):
        hold_out_source(manifest.drop(columns="source"), "web")


@pytest.mark.skipif(not REAL.is_file(), reason="the real photos are not here")
def test_the_real_folds_divide_no_scene():
    manifest = read_manifest(REAL)
    assert set(SCENES.split()) <= set(manifest["group"])
    for fold in range(5):
        held_out = hold_out_fold(manifest, fold)
        assert held_out.groupby("group")["split"].nunique().max() == 1
        assert not set(SAME_SCENE) & set(held_out["group"])
        assert (held_out["split"] == "test").mean() == pytest.approx(0.2, abs=0.03)
    for source in manifest["source"].unique():
        held_out = hold_out_source(manifest, source)
        assert held_out.groupby("group")["split"].nunique().max() == 1
        assert (held_out["split"] == "test").sum() == (manifest["source"] == source).sum()
