"""The two baselines of lesson 04."""

import numpy as np
import pytest

from corroseg_utils.baselines import ColourThreshold, predict_nothing, tune_colour_threshold, turned_hsv
from corroseg_utils.metrics import confusion, corrosion_iou

RUST, GREEN, PALE_RUST, BRIGHT_RUST = (120, 60, 30), (40, 120, 60), (120, 105, 98), (240, 120, 60)


def photo_of(*colours):
    """One photo of a row of colours: uint8 (1, 1, N, 3)."""
    return np.array([[colours]], np.uint8)


@pytest.fixture
def scene():
    """Photos of random colours whose corrosion is exactly what one threshold marks."""
    photos = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    return photos, ColourThreshold(hue=35, saturation=64, brightness=191)


def test_nothing_marks_nothing():
    masks = predict_nothing(photo_of(RUST, GREEN))
    assert masks.shape == (1, 1, 2) and masks.dtype == np.uint8 and not masks.any()


def test_threshold_wants_the_hue_the_strength_and_the_darkness_of_rust():
    colours = photo_of(RUST, GREEN, PALE_RUST, BRIGHT_RUST)
    masks = ColourThreshold(hue=35, saturation=64, brightness=191).predict(colours)
    assert masks.tolist() == [[[1, 0, 0, 0]]]


def test_hue_is_continuous_around_red():
    purplish, red, orange = turned_hsv(photo_of((200, 0, 10), (200, 0, 0), (200, 10, 0)))[0, 0, :, 0].astype(int)
    assert purplish < red == 20 < orange < 30


def test_tuning_finds_the_threshold_that_made_the_masks(scene):
    photos, truth = scene
    assert tune_colour_threshold(photos, truth.predict(photos)) == truth


def test_tuning_is_as_good_as_trying_by_hand(scene):
    photos, truth = scene
    masks = truth.predict(photos)
    masks[0] = 1  # no threshold fits any more

    def score(threshold):
        return corrosion_iou(confusion(masks, threshold.predict(photos)))

    tried = [ColourThreshold(hue, saturation, brightness) for hue in range(0, 180, 30)
             for saturation in (0, 64, 128) for brightness in (63, 191, 255)]
    assert score(tune_colour_threshold(photos, masks)) >= max(map(score, tried))


def test_any_class_counts_as_corrosion(scene):
    photos, truth = scene
    assert tune_colour_threshold(photos, truth.predict(photos) * 3) == truth


def test_tuning_without_corrosion_says_so():
    with pytest.raises(ValueError, match="No pixel"):
        tune_colour_threshold(photo_of(RUST), np.zeros((1, 1, 1), np.uint8))
