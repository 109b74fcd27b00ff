"""Each check finds its planted fault and is silent on a clean data set; figures worked by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from corroseg_utils import checks
from corroseg_utils.dataset import load_arrays, read_data
from corroseg_utils.similarity import ALIKE, most_alike

SEEDS = range(5)


def accuracy(truth, prediction):
    return float(np.mean(truth == prediction))


def iou(truth, prediction):
    return float(np.sum((truth == 1) & (prediction == 1)) / np.sum((truth == 1) | (prediction == 1)))


def argmax_accuracy(truth, prediction):
    """Keras's accuracy for targets (..., C)."""
    return float(np.mean(truth.argmax(-1) == prediction.argmax(-1)))


def clean_set(seed, count=24, size=64):
    """Photos uint8 of coloured rectangles on noise, each with one corroded disc, its mask uint8 0/1."""
    rng = np.random.default_rng(seed)
    photos = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    masks = np.zeros((count, size, size), np.uint8)
    row, column = np.mgrid[:size, :size]
    for photo, mask in zip(photos, masks, strict=True):
        for _ in range(12):
            (top, left), (height, width) = rng.integers(0, size - 8, 2), rng.integers(8, size // 2, 2)
            photo[top : top + height, left : left + width] = rng.integers(0, 256, 3)
        centre, radius = rng.integers(12, size - 12, 2), rng.integers(6, 16)
        mask[(row - centre[0]) ** 2 + (column - centre[1]) ** 2 < radius**2] = 1
        photo[mask == 1] = (150, 80, 40)
    return photos, masks


def predict(masks, seed, error=0.05):
    """A good model's answer: the truth with 5 % of the pixels turned over."""
    return masks ^ (np.random.default_rng(seed).random(masks.shape) < error).astype(np.uint8)


def batches(photos, masks, size=8):
    return [(photos[i : i + size], masks[i : i + size]) for i in range(0, len(photos), size)]


def grey_targets(seed):
    """Targets of the 2020 solution: a grey mask in [0, 1], three times."""
    values = np.random.default_rng(seed).random((8, 16, 16, 1)) * (np.arange(16) < 5)[:, None]
    return np.repeat(values, 3, axis=-1)


def stretched(array, rng):
    """Array (N, H, W, ...) mirrored at random and enlarged up to 1.2 times, nearest neighbour."""
    out = np.empty_like(array)
    size = array.shape[1]
    for i, item in enumerate(array):
        item = item[:, ::-1] if rng.random() < 0.5 else item
        place = ((np.arange(size) - size / 2) / rng.uniform(1, 1.2) + size / 2).astype(int)
        out[i] = item[place][:, place]
    return out


# 0 the verdict


def test_verdict_reads_well():
    assert str(checks.Verdict("pairing", False, "3 of 4 agree", 0.75)) == "FAIL  pairing: 3 of 4 agree"
    assert str(checks.Verdict("pairing", True, "4 of 4 agree", 1.0)) == "ok    pairing: 4 of 4 agree"
    assert not checks.Verdict("pairing", False, "", 0.0)


# 1 constant answer


@pytest.mark.parametrize("seed", SEEDS)
def test_constant_answer_clean(seed):
    _, masks = clean_set(seed)
    prediction = predict(masks, seed, error=0.02)
    for metric in (accuracy, iou):
        assert checks.constant_answer(metric, masks, metric(masks, prediction))


def test_constant_answer_is_as_good():
    truth = np.array([[0, 0, 0, 1]])
    verdict = checks.constant_answer(accuracy, truth, score=0.75)
    assert not verdict and verdict.measured == 0.75
    assert "answering 0 everywhere scores 0.750; your 0.750 does not lead" in str(verdict)
    assert checks.constant_answer(accuracy, truth, score=1.0)
    assert checks.constant_answer(iou, truth, score=0.25).measured == 0.25  # all corroded: 1 of 4


@pytest.mark.parametrize("seed", SEEDS)
def test_constant_answer_scores_one_on_rgb_masks(seed):
    verdict = checks.constant_answer(argmax_accuracy, grey_targets(seed), score=0.82, answers=np.eye(3))
    assert not verdict and verdict.measured == 1.0


def test_constant_answer_where_the_metric_is_undefined():
    truth = np.array([[0, 1]])

    def dice(truth, prediction):
        return float("nan") if not prediction.any() else 2 / 3

    assert checks.constant_answer(dice, truth, 0.9).measured == pytest.approx(2 / 3)
    assert not checks.constant_answer(dice, truth, float("nan"))


# 2 shuffled pairs


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_pairs_clean(seed):
    _, masks = clean_set(seed)
    verdict = checks.shuffled_pairs(iou, masks, predict(masks, seed), seed)
    assert verdict and verdict.measured > 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_pairs_finds_predictions_that_ignore_the_photo(seed):
    _, masks = clean_set(seed)
    where_it_usually_is = np.broadcast_to(masks.mean(axis=0) > 0.1, masks.shape)
    nothing = np.zeros_like(masks)
    strangers = predict(clean_set(seed + 100)[1], seed)
    for prediction in (where_it_usually_is, nothing, strangers):
        assert not checks.shuffled_pairs(accuracy, masks, prediction, seed)


def test_shuffled_pairs_by_hand():
    truth = np.eye(4)  # four photos, each the only one with its pixel corroded: strangers share none
    verdict = checks.shuffled_pairs(iou, truth, truth)
    assert verdict and verdict.measured == 1.0
    with pytest.raises(ValueError, match="4 or more pairs"):
        checks.shuffled_pairs(iou, truth[:3], truth[:3])


# 3 pairing


@pytest.mark.parametrize("seed", SEEDS)
def test_pairing_clean(seed):
    photos, masks = checks.encoded_pairs(seed=seed)
    order = np.random.default_rng(seed).permutation(len(photos))
    rng = [np.random.default_rng(seed) for _ in range(2)]  # the same random state for both
    photos, masks = stretched(photos[order], rng[0]), stretched(masks[order], rng[1])
    blurred = sum(np.roll(photos.astype(float), shift, axis=2) for shift in (-1, 0, 1)) / 3 + 20
    for mask in (masks, masks[..., None], np.eye(2)[masks], np.repeat(masks[..., None] * 255, 3, axis=-1)):
        verdict = checks.pairing(batches(blurred / 127.5 - 1, mask))
        assert verdict and verdict.message == "32 of 32 photos show their own mask"
    assert checks.pairing((blurred, masks)) and checks.pairing(zip(photos, masks, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_pairing_finds_two_generators(seed):
    photos, masks = checks.encoded_pairs(seed=seed)
    rng = np.random.default_rng(seed)
    unpaired = stretched(photos, rng), stretched(masks, rng)
    shuffled = photos[rng.permutation(len(photos))], masks
    one_swapped = photos, masks[[1, 0, *range(2, len(masks))]]
    empty = photos, masks // 255
    for pairs in (unpaired, shuffled, one_swapped, empty):
        assert not checks.pairing(batches(*pairs))
    assert checks.pairing(one_swapped).measured == 30 / 32
    assert checks.pairing(empty).measured == 0


def test_pairing_of_wrong_input():
    photos, masks = checks.encoded_pairs(4)
    with pytest.raises(ValueError, match="differ in size"):
        checks.pairing((photos, masks[:, ::2, ::2]))
    with pytest.raises(ValueError, match="empty"):
        checks.pairing([])
    with pytest.raises(ValueError, match="too small"):
        checks.encoded_pairs(size=4)


# 4 mask values


@pytest.mark.parametrize("seed", SEEDS)
def test_mask_values_clean(seed):
    photos, masks = clean_set(seed)
    assert checks.mask_values(masks, 2) and checks.mask_values(batches(photos, masks.astype(float)), 2)
    assert checks.mask_values(np.array([0, 1, 255]), {0, 1, 255})


@pytest.mark.parametrize("seed", SEEDS)
def test_mask_values_finds_other_values(seed):
    photos, masks = clean_set(seed)
    interpolated = (masks + np.roll(masks, 1, axis=1)) / 2
    for faulty in (interpolated, masks * 255, masks // 255, masks * np.nan):
        assert not checks.mask_values(batches(photos, faulty), 2)


def test_mask_values_by_hand():
    verdict = checks.mask_values(np.array([0, 0.5, 1, 1]), 2)
    assert verdict.measured == 0.25
    assert str(verdict) == "FAIL  mask values: 25.00% of the values are no class of [0, 1]; found 0, 0.5, 1"
    assert "leaves nothing to learn" in str(checks.mask_values(np.zeros(4), 2))


# 5 loss floor


@pytest.mark.parametrize("seed", SEEDS)
def test_loss_floor_clean(seed):
    photos, masks = clean_set(seed)
    targets = np.eye(2)[masks]
    probability = np.where(predict(targets.astype(np.uint8), seed), 0.95, 0.05)
    for given in (targets, 0.9 * targets + 0.05):  # one-hot, and with label smoothing
        loss = -np.mean(np.sum(given * np.log(probability), axis=-1))
        assert checks.loss_floor(loss, given) and checks.loss_floor(loss, batches(photos, given))


@pytest.mark.parametrize("seed", SEEDS)
def test_loss_floor_of_rgb_masks_is_3_log_3_times_the_mean(seed):
    targets = grey_targets(seed)
    floor = 3 * np.log(3) * targets.mean()
    verdict = checks.loss_floor(floor * 1.004, targets)
    assert not verdict and verdict.measured == pytest.approx(floor)
    assert "1.004 x floor" in str(verdict) and "nothing to learn" in str(verdict)
    # No answer costs less, and the uniform one costs just that.
    answers = np.random.default_rng(seed).dirichlet([1, 1, 1], 100)
    costs = [-np.mean(np.sum(targets * np.log(answer), axis=-1)) for answer in answers]
    assert min(costs) >= floor
    assert -np.mean(np.sum(targets * np.log([1 / 3] * 3), axis=-1)) == pytest.approx(floor)


def test_loss_floor_by_hand():
    # The published log ends at 0.5185: 15.73 % of the mask is white.
    targets = np.zeros((1, 100, 100, 3))
    targets.reshape(-1, 3)[:1573] = 1
    assert checks.loss_floor(0.5185, targets).measured == pytest.approx(0.5185, abs=2e-4)
    # One-hot, a quarter of class 1: floor 0, best constant answer the entropy of (3/4, 1/4), 0.5623.
    targets = np.eye(2)[[[0, 0, 0, 1]]]
    assert checks.cross_entropy_bounds(targets) == pytest.approx((0, 0.5623), abs=1e-4)
    # Label smoothing 0.9 / 0.1: the floor is the entropy of (0.9, 0.1), 0.3251.
    assert checks.cross_entropy_bounds(0.8 * targets + 0.1)[0] == pytest.approx(0.3251, abs=1e-4)


def test_loss_floor_finds_a_loss_that_learned_nothing():
    targets = np.eye(2)[[[0, 0, 0, 1]]]
    assert "no better than a constant answer" in str(checks.loss_floor(0.5623, targets))
    assert "below the floor" in str(checks.loss_floor(0.1, 0.8 * targets + 0.1))
    assert not checks.loss_floor(float("nan"), targets)
    assert not checks.loss_floor(0.1, np.eye(2)[[[0, 0]]])  # one class only


def test_loss_floor_of_one_pair_with_a_class_axis():
    one_hot = np.eye(2, dtype=np.uint8)[np.arange(16).reshape(4, 4) % 2]
    assert checks.loss_floor(0.1, one_hot).passed == checks.loss_floor(0.1, one_hot.astype(float)).passed


def test_loss_floor_of_wrong_input():
    for targets in (np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 1))):
        with pytest.raises(ValueError, match=r"np\.eye"):
            checks.loss_floor(0.1, targets)
    with pytest.raises(ValueError, match="negative"):
        checks.loss_floor(0.1, np.full((2, 3), -1.0))


# 6 validation


class History:
    def __init__(self, log):
        self.history = log


def test_validation():
    log = {"loss": [0.6, 0.5], "val_loss": [0.7, 0.6]}
    assert checks.validation_ran(log) and checks.validation_ran(History(log), steps=3)
    assert not checks.validation_ran(log, steps=213 // 64 // 5)
    for faulty in ({"loss": [0.6]}, {"loss": [0.6], "val_loss": []}, {"loss": [0.6], "val_loss": [np.nan]}):
        assert not checks.validation_ran(History(faulty))


# 7 input range


@pytest.mark.parametrize("seed", SEEDS)
def test_input_range(seed):
    photos, masks = clean_set(seed)
    photos = photos * 0.8 + 20  # no pure black or white
    expected = {(-1, 1): photos / 127.5 - 1, (0, 1): photos / 255, (0, 255): photos}
    for limits in expected:
        for given, array in expected.items():
            verdict = checks.input_range(batches(array, masks), limits)
            assert bool(verdict) == (given == limits), str(verdict)
    assert not checks.input_range(photos * np.nan, (0, 255))
    assert checks.input_range(np.array([0.0, 1.0])).measured == 0.5


# 8 group leak


@pytest.mark.parametrize("seed", SEEDS)
def test_group_leak(seed):
    groups = np.sort(np.random.default_rng(seed).integers(0, 20, 200))
    train = groups < 14
    assert checks.group_leak(groups[train], groups[~train])
    cut = int(np.argmax(groups == 14)) + 1  # file order, cut inside job 14
    verdict = checks.group_leak(groups[:cut], groups[cut:])
    assert not verdict and verdict.message.startswith("1 of 6 test groups")


def test_group_leak_by_hand():
    verdict = checks.group_leak(["CDM_1", "CDM_2"], ["CDM_2", "CDM_2", "CDM_3", "CDM_4"])
    assert verdict.message == "1 of 3 test groups are in the training set (CDM_2): 50.0% of the test photos"
    with pytest.raises(ValueError, match="no group"):
        checks.group_leak([], ["CDM_1"])


# 9 near-duplicates


@pytest.mark.parametrize("seed", range(2))
def test_near_duplicates(seed):
    photos, masks = clean_set(seed, count=40, size=96)
    train, test = photos[:30], photos[30:].copy()
    assert checks.near_duplicates(train, test), "false alarm"
    assert checks.near_duplicates(batches(train, masks[:30]), list(test))
    # The same scene again: moved by two pixels, darker, noisy.
    again = np.roll(train[7], 2, axis=1) * 0.7 + np.random.default_rng(seed).normal(0, 5, train[7].shape)
    test[3] = np.clip(again, 0, 255)
    verdict = checks.near_duplicates(train, test)
    assert not verdict and verdict.message.startswith("test photo 3 and training photo 7"), str(verdict)


@pytest.mark.parametrize("change", ["moved", "jpeg", "dark", "mirrored", "cropped", "range"])
def test_near_duplicates_finds_a_changed_copy(change):
    photos, _ = clean_set(1, count=12, size=96)
    copy = {"moved": np.roll(photos[7], (4, -4), axis=(0, 1)),
            "jpeg": cv2.imdecode(cv2.imencode(".jpg", photos[7], [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR),
            "dark": (0.3 * photos[7]).astype(np.uint8), "mirrored": photos[7, :, ::-1],
            "cropped": photos[7, 6:-6, 8:-4], "range": photos[7] / 127.5 - 1}[change]
    verdict = checks.near_duplicates(photos, [copy])
    assert not verdict and verdict.message.startswith("test photo 0 and training photo 7"), str(verdict)


def test_near_duplicates_by_hand():
    photos, _ = clean_set(0)
    assert checks.near_duplicates(photos[:12], photos[11:]).measured > 150  # a copy
    plain = checks.near_duplicates(photos[:1], np.full_like(photos[:1], 7))
    assert plain and plain.measured == 0 and "no test photo shares" in plain.message
    with pytest.raises(ValueError, match="16 x 16"):
        checks.near_duplicates(photos[:, :8], photos)


@pytest.mark.slow
def test_near_duplicates_tells_rendered_jobs_apart():
    manifest = read_data(Path(__file__).parent.parent / "data")
    photos, _ = load_arrays(manifest, 256)
    test = (manifest["split"] == "test").to_numpy()
    assert checks.near_duplicates(photos[~test], photos[test])
    moved = [np.roll(photo, (2, 3), axis=(0, 1)) for photo in photos[~test][::20]]
    assert (most_alike(photos[~test], moved)[1] >= ALIKE).all()


# 10 dropped findings


@pytest.mark.parametrize("seed", SEEDS)
def test_dropped_findings(seed):
    first, second = clean_set(seed)[1], clean_set(seed + 100)[1]
    merged = np.where(second, 2, first)
    assert checks.dropped_findings(merged, np.where(first, 1, second * 2))  # precedence drops nothing
    assert checks.dropped_findings(list(merged), [mask > 0 for mask in merged])
    assert not checks.dropped_findings(merged, first)


def test_dropped_findings_by_hand():
    assert checks.dropped_findings(np.array([1, 1, 2, 0]), np.array([1, 1, 0, 0])).measured == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="one photo and size"):
        checks.dropped_findings(np.zeros((2, 4)), np.zeros((2, 2)))


# data sets


def test_tf_data_in():
    tf = pytest.importorskip("tensorflow")
    photos, masks = checks.encoded_pairs(8, 32)
    data = tf.data.Dataset.from_tensor_slices((photos, masks)).batch(4)
    assert checks.pairing(data) and checks.mask_values(data, 2) and checks.input_range(data, (0, 255))
    for check in (checks.pairing, lambda data: checks.mask_values(data, 2)):
        with pytest.raises(ValueError, match=r"take\(10\)"):
            check(data.repeat())


def test_empty_sets_are_named():
    with pytest.raises(ValueError, match="empty"):
        checks.mask_values([], 2)
    with pytest.raises(ValueError, match="empty"):
        checks.input_range(np.zeros((0, 4, 4, 3)))
