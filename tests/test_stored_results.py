"""The figures of real photos, which CI cannot measure again, against what is stored beside the trainings."""

import json

import pandas as pd
import pytest

from corroseg_utils import DATA
from corroseg_utils.evaluation import pooled_scores
from corroseg_utils.reference import reference

TRAINING = DATA / "weights" / "training"
WRONG_MASKS = ["img127_jpg.jpg", "img130_jpg.jpg", "img136_jpg.jpg", "img175_jpg.jpg", "img176_jpg.jpg"]


@pytest.fixture(scope="module")
def photos():
    return pd.read_csv(TRAINING / "photos.csv")


@pytest.mark.parametrize("source", ["virginia_tech", "cis", "web"])
def test_cross_validation_follows_from_its_photos(photos, source):
    scores = pooled_scores(photos[photos["source"] == source])
    assert reference(f"cv_{source}_iou") == pytest.approx(scores["iou"], abs=0.0006)
    assert reference(f"cv_{source}_share_error") == pytest.approx(scores["share_error"], abs=0.0006)


def test_hardest_fold_follows_from_its_photos(photos):
    bridges = photos[photos["source"] == "virginia_tech"]
    by_fold = {fold: pooled_scores(part)["iou"] for fold, part in bridges.groupby("fold")}
    assert reference("cv_virginia_tech_fold0_iou") == pytest.approx(by_fold[0], abs=0.0006)
    assert by_fold[0] == min(by_fold.values())


def test_web_without_its_plainly_wrong_masks(photos):
    web = photos[photos["source"] == "web"]
    wrong = web["photo"].isin(WRONG_MASKS)
    errors = web["misses"] + web["false_alarms"]
    assert wrong.sum() == len(WRONG_MASKS)
    assert reference("cv_web_wrong_masks_errors") == pytest.approx(errors[wrong].sum() / errors.sum(), abs=0.0006)
    assert reference("cv_web_without_wrong_masks_iou") == pytest.approx(pooled_scores(web[~wrong])["iou"], abs=0.0006)


@pytest.mark.parametrize(("name", "source"), [("two_teams", "cis and web"), ("virginia_tech", "virginia_tech"),
                                              ("cis", "cis")])
def test_agreement_is_as_its_stored_result(name, source):
    stored = json.loads((TRAINING / "mask_agreement.json").read_text())
    for who in ("people", "model"):
        assert reference(f"agreement_{name}_{who}_iou") == pytest.approx(stored[who][source]["iou"], abs=0.0006)
    low, high = stored["lead"][source]["iou_interval"]
    assert reference(f"agreement_{name}_lead_low") == pytest.approx(low, abs=0.0006)
    assert reference(f"agreement_{name}_lead_high") == pytest.approx(high, abs=0.0006)
