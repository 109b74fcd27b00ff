import numpy as np
import pytest

from corroseg_utils.metrics import (
    accuracy,
    bootstrap_interval,
    confusion,
    corrosion_iou,
    corrosion_scores,
    f1,
    iou,
    precision,
    recall,
)

TRUTH = np.array([[1, 1, 0], [0, 0, 1]])
PREDICTION = np.array([[1, 0, 0], [1, 0, 1]])  # 2 hits, 1 miss, 1 false alarm, 2 right rejections


def test_counts_by_hand():
    counts = confusion(TRUTH, PREDICTION)
    assert counts.tolist() == [[2, 1], [1, 2]] and counts.dtype == np.int64
    three = confusion(np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1]), 3)
    assert three.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 1]]


def test_scores_by_hand():
    scores = corrosion_scores(confusion(TRUTH, PREDICTION))
    assert scores == pytest.approx({"iou": 2 / 4, "f1": 4 / 6, "precision": 2 / 3, "recall": 2 / 3, "accuracy": 4 / 6})
    assert iou(confusion(TRUTH, PREDICTION)).tolist() == [2 / 4, 2 / 4]


def test_scores_of_each_class_by_hand():
    counts = confusion(np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 0, 0]), 3)
    assert iou(counts) == pytest.approx([1 / 4, 2 / 4, 0])
    assert f1(counts) == pytest.approx([2 / 5, 4 / 6, 0])
    assert precision(counts) == pytest.approx([1 / 3, 2 / 3, np.nan], nan_ok=True)  # class 2 was never predicted
    assert recall(counts) == pytest.approx([1 / 2, 2 / 3, 0])
    assert accuracy(counts) == 3 / 6


def test_empty_masks_leave_the_score_undefined_and_false_alarms_do_not():
    empty = np.zeros((4, 4), int)
    assert np.isnan(corrosion_iou(confusion(empty, empty)))
    assert iou(confusion(empty, empty))[0] == 1
    alarm = empty.copy()
    alarm[0, 0] = 1
    scores = corrosion_scores(confusion(empty, alarm))
    assert scores["iou"] == scores["f1"] == scores["precision"] == 0 and np.isnan(scores["recall"])
    missed = corrosion_scores(confusion(alarm, empty))
    assert missed["iou"] == missed["recall"] == 0 and np.isnan(missed["precision"])
    assert confusion(empty[:0], empty[:0]).sum() == 0


def test_pooled_counts_are_not_the_mean_of_photos():
    perfect, bad = np.ones(90, int), np.array([1] * 10)
    counts = confusion(perfect, perfect) + confusion(bad, bad * 0)
    assert corrosion_iou(counts) == 0.9  # the mean of the two photos' IoU would be 0.5


def test_f1_follows_from_iou_and_scores_lie_in_0_to_1():
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = confusion(rng.integers(0, 4, 50), rng.integers(0, 4, 50), 4)
        assert f1(counts) == pytest.approx(2 * iou(counts) / (1 + iou(counts)))
        for score in (iou, f1, precision, recall):
            assert ((score(counts) >= 0) & (score(counts) <= 1)).all()


def test_bool_and_uint8_masks_count_alike():
    for kind in (bool, np.uint8, np.int64):
        assert confusion(TRUTH.astype(kind), PREDICTION.astype(bool)).tolist() == [[2, 1], [1, 2]]
    large = np.full((300, 300), 1, np.uint8)  # sums leave the range of 8 bits
    assert confusion(large, large)[1, 1] == 90_000


@pytest.mark.parametrize(("truth", "prediction", "words"), [
    ([0, 1], [0, 1, 1], "one shape"),
    ([0, 255], [0, 1], "value 255 is no class index"),
    ([0, 1], [0, 2], "value 2 is no class index"),
    ([0, 1], [0, -1], "value -1 is no class index"),
])
def test_what_is_no_mask_is_refused(truth, prediction, words):
    with pytest.raises(ValueError, match=words):
        confusion(np.array(truth), np.array(prediction))


def photo_counts(hits, misses):
    return np.array([[0, 0], [misses, hits]])


def test_interval_draws_groups_not_photos():
    counts = np.array([photo_counts(10, 0)] * 50 + [photo_counts(0, 10)] * 50)
    two_groups = bootstrap_interval(counts, ["a"] * 50 + ["b"] * 50, corrosion_iou)
    assert two_groups == (0.0, 1.0)  # of two groups, one is drawn twice in half of the draws
    low, high = bootstrap_interval(counts, list(map(str, range(100))), corrosion_iou)
    # With 100 groups the share of good ones is binomial: 0.5 +- 1.96 * 0.05.
    assert (low, high) == pytest.approx((0.4, 0.6), abs=0.03)


def test_interval_is_reproducible_and_contains_the_pooled_score():
    rng = np.random.default_rng(1)
    counts = np.array([photo_counts(*rng.integers(1, 20, 2)) for _ in range(60)])
    groups = rng.integers(0, 12, 60)
    low, high = bootstrap_interval(counts, groups, corrosion_iou)
    assert (low, high) == bootstrap_interval(counts, groups, corrosion_iou)
    assert 0 <= low < corrosion_iou(counts.sum(0)) < high <= 1
    narrow = bootstrap_interval(counts, groups, corrosion_iou, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_interval_of_one_group_and_of_nothing():
    assert bootstrap_interval([photo_counts(3, 1)] * 2, ["a", "b"], corrosion_iou) == (0.75, 0.75)
    assert np.isnan(bootstrap_interval([photo_counts(3, 1)] * 2, ["a", "a"], corrosion_iou)).all()
    # Draws of the photo without corrosion alone are left out.
    assert bootstrap_interval([photo_counts(3, 1), photo_counts(0, 0)], ["a", "b"], corrosion_iou) == (0.75, 0.75)
    assert np.isnan(bootstrap_interval([photo_counts(0, 0)] * 2, ["a", "b"], corrosion_iou)).all()
