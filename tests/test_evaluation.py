"""Segmenter, scores and threshold."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from conftest import HEIGHT, WIDTH

from corroseg_utils import evaluation
from corroseg_utils.dataset import DataError, read_data
from corroseg_utils.evaluation import (
    COUNTS,
    best_threshold,
    border_band,
    evaluate,
    evaluate_classes,
    found_regions,
    photo_counts,
    pooled_scores,
    predict,
    share_error,
    threshold_scores,
)
from corroseg_utils.metrics import confusion, corrosion_scores
from corroseg_utils.photos import write_jpeg
from corroseg_utils.segmenter import Segmenter, fit_square, load_segmenter, softmax


def constant_segmenter(corrosion, size=32, threshold=0.5):
    """Says the same probability of corrosion everywhere, and counts the shapes that it is asked for."""
    shapes = Counter()

    def logits(photos):
        shapes[photos.shape, photos.dtype.name] += 1
        return np.broadcast_to(np.log(np.float32([1 - corrosion, corrosion])), (*photos.shape[:3], 2))

    segmenter = Segmenter(logits, {"size": size, "classes": ["background", "corrosion"], "threshold": threshold})
    segmenter.shapes = shapes
    return segmenter


def test_softmax_by_hand():
    assert softmax(np.array([[0.0, np.log(3)]])) == pytest.approx(np.array([[0.25, 0.75]]))
    assert softmax(np.array([1000.0, 1000.0, -1000.0])).tolist() == [0.5, 0.5, 0]  # no overflow
    assert softmax(np.zeros((2, 2), np.float32)).dtype == np.float32


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (96, 64), (5, 200), (200, 5), (1, 1), (33, 31)])
def test_probability_has_the_photos_size(height, width):
    segmenter = constant_segmenter(0.3)
    probability = segmenter.probability(np.zeros((height, width, 3), np.uint8))
    assert probability.shape == (height, width) and probability.dtype == np.float32
    assert probability == pytest.approx(0.3, abs=1e-5)
    assert segmenter.shapes == {((1, 32, 32, 3), "uint8"): 1}
    assert segmenter.class_probabilities(np.zeros((height, width, 3), np.uint8)).shape[-1] == 2


def test_the_square_is_filled_up_by_mirroring():
    wide = np.arange(8, dtype=np.uint8).reshape(2, 4, 1).repeat(3, -1)
    square, size = fit_square(wide, 4)
    assert size == (4, 2) and square[..., 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [4, 5, 6, 7], [0, 1, 2, 3]]
    square, size = fit_square(wide.transpose(1, 0, 2), 4)
    assert size == (2, 4) and square[..., 0].tolist() == [[0, 4, 4, 0], [1, 5, 5, 1], [2, 6, 6, 2], [3, 7, 7, 3]]


def test_a_probability_equal_to_the_threshold_is_marked():
    photo = np.zeros((4, 4, 3), np.uint8)
    segmenter = constant_segmenter(0.5)
    for threshold, marked in ((0.5, True), (np.nextafter(np.float32(0.5), np.float32(1)), False), (0.0, True)):
        segmenter.threshold = threshold
        assert (segmenter.mask(photo) == marked).all()


def test_the_mask_lies_where_the_photo_is_red(red_segmenter):
    photo = np.full((48, 96, 3), 128, np.uint8)
    photo[10:20, 30:50] = (200, 50, 20)
    expected = np.zeros((48, 96), bool)
    expected[10:20, 30:50] = True
    assert np.array_equal(red_segmenter.mask(photo), expected)
    for turn in range(4):
        assert np.array_equal(red_segmenter.mask(np.rot90(photo, turn)), np.rot90(expected, turn))


def test_a_large_photo_is_read_small_and_answered_at_full_size(red_segmenter, tmp_path):
    photo = np.full((1700, 3400, 3), 128, np.uint8)
    photo[:, :1700] = (200, 50, 20)
    write_jpeg(tmp_path / "large.jpg", photo)
    small, probability = red_segmenter.read(tmp_path / "large.jpg")
    assert small.shape == (850, 1700, 3) and probability.shape == (1700, 3400)
    assert probability[:, :1600].min() > 0.9 and probability[:, 1800:].max() < 0.1


def test_a_model_file_becomes_a_segmenter(model_file):
    segmenter = load_segmenter(model_file)
    assert (segmenter.size, segmenter.classes, segmenter.threshold) == (64, ("background", "corrosion"), 0.5)
    assert segmenter.about["version"] == "test"
    probability = segmenter.probability(np.zeros((40, 60, 3), np.uint8))
    assert probability.shape == (40, 60) and ((probability >= 0) & (probability <= 1)).all()


def test_scores_at_each_threshold_by_hand():
    truth = np.array([[True, True, False, False]])
    scores = threshold_scores([(truth, np.array([[0.9, 0.4, 0.6, 0.1]]))]).set_index("threshold")
    assert len(scores) == 1001
    assert scores.loc[0.0].tolist() == [2 / 4, 2 / 4, 1]
    assert scores.loc[0.3].tolist() == pytest.approx([2 / 3, 2 / 3, 1])
    assert scores.loc[0.5].tolist() == pytest.approx([1 / 3, 1 / 2, 1 / 2])
    assert scores.loc[0.7].tolist() == [1 / 2, 1, 1 / 2]
    assert scores.loc[1.0, "iou"] == 0


def test_scores_at_a_threshold_are_those_of_the_masks_at_it():
    rng = np.random.default_rng(0)
    pairs = [(rng.random((30, 40)) < 0.3, rng.random((30, 40), dtype=np.float32)) for _ in range(3)]
    scores = threshold_scores(pairs)
    for row in scores.iloc[[1, 123, 500, 877, 999]].itertuples():
        counts = sum(confusion(truth, probability >= row.threshold) for truth, probability in pairs)
        by_masks = corrosion_scores(counts)
        assert (row.iou, row.precision, row.recall) == pytest.approx(
            (by_masks["iou"], by_masks["precision"], by_masks["recall"]), abs=1e-3)


def test_evaluation_by_hand(shared_data_2020, red_segmenter):
    manifest = read_data(shared_data_2020)
    marked = manifest[[bool(findings) for findings in manifest["findings"]]]
    scores = evaluate(red_segmenter, marked)
    assert scores["photos"] == 4 and scores["groups"] == 4
    assert scores["iou"] > 0.9  # red is what the masks mark, but for JPEG's blurred edges
    low, high = scores["iou_interval"]
    assert low <= scores["iou"] <= high
    clean = manifest[[not findings for findings in manifest["findings"]]]
    # The clean photos show red that no mask marks: all false alarms.
    scores = evaluate(red_segmenter, manifest)
    hits = sum((truth & (p >= 0.5)).sum() for _, truth, p in predict(red_segmenter, marked))
    misses = sum((truth & (p < 0.5)).sum() for _, truth, p in predict(red_segmenter, marked))
    alarms = sum((~truth & (p >= 0.5)).sum() for _, truth, p in predict(red_segmenter, manifest))
    assert alarms > 4 * 28 * 40 * 0.9 and len(clean) == 4
    assert scores["iou"] == pytest.approx(hits / (hits + misses + alarms))
    assert scores["precision"] == pytest.approx(hits / (hits + alarms))
    assert scores["recall"] == pytest.approx(hits / (hits + misses))


def test_predictions_come_row_by_row(shared_data_2020, red_segmenter):
    manifest = read_data(shared_data_2020)
    for (row, truth, probability), photo in zip(predict(red_segmenter, manifest), manifest["photo"], strict=True):
        assert row["photo"] == photo
        assert truth.dtype == bool and truth.shape == probability.shape == (HEIGHT, WIDTH)
        assert truth.any() == bool(row["findings"])


def test_the_best_threshold_is_the_middle_of_the_best(shared_data_2020):
    manifest = read_data(shared_data_2020)
    # 0.3 everywhere: all thresholds up to 0.3 mark everything, all above nothing.
    threshold, iou = best_threshold(constant_segmenter(0.3), manifest)
    assert threshold == pytest.approx(0.15, abs=0.01)
    assert iou == pytest.approx(4 * 28 * 40 / (8 * HEIGHT * WIDTH))


def test_the_threshold_is_chosen_on_closed_masks_where_the_model_learned_from_such(monkeypatch):
    truth = np.zeros((40, 80), bool)
    truth[10:30, 10:20] = truth[10:30, 24:34] = True
    probability = np.where(truth, 0.9, 0.1)
    probability[10:30, 20:24] = 0.4  # the gap, which the model half believes
    monkeypatch.setattr(evaluation, "predict", lambda *arguments: [({}, truth, probability)])
    assert best_threshold(None, None) == (pytest.approx(0.65, abs=0.01), 1.0)
    threshold, iou = best_threshold(None, None, gaps=4 / 80)
    assert threshold == pytest.approx(0.25, abs=0.01) and iou > 0.98  # a disc leaves the ends of the gap rounded
    assert best_threshold(None, None, gaps=0.001) == best_threshold(None, None)  # less than a pixel


def test_without_corrosion_the_threshold_stays_in_the_middle(shared_data_2020):
    manifest = read_data(shared_data_2020)
    clean = manifest[[not findings for findings in manifest["findings"]]]
    assert best_threshold(constant_segmenter(0.3), clean) == (0.5, 0.0)  # 0 would mark every pixel of every photo
    scores = evaluate(constant_segmenter(0.3), clean)
    assert np.isnan(scores["iou"]) and np.isnan(scores["iou_interval"]).all() and scores["accuracy"] == 1


def counts_table(*rows):
    return pd.DataFrame([{"photo": f"{n}.jpg", "group": f"g{n}", **dict(zip(COUNTS, row, strict=True))}
                         for n, row in enumerate(rows)])


def test_pooled_scores_by_hand():
    # 200 pixels each: two corroded photos, one almost clean, two clean.
    scores = pooled_scores(counts_table((150, 0, 10, 40), (100, 20, 0, 80), (199, 0, 1, 0), (200, 0, 0, 0),
                                        (190, 10, 0, 0)))
    assert scores["iou"] == pytest.approx(120 / (120 + 11 + 30)) and scores["photos"] == scores["groups"] == 5
    assert scores["clean_marked"] == pytest.approx(10 / 400) and scores["clean_photos"] == 2
    assert scores["share_error"] == pytest.approx((10 / 50 + 20 / 80) / 2)  # 0.5 % is too little to count
    low, high = scores["f1_interval"]
    assert low <= scores["f1"] <= high


def test_without_corrosion_or_without_clean_photos_there_is_nan():
    assert np.isnan(share_error(np.array([[[99, 1], [0, 0]]])))
    assert np.isnan(pooled_scores(counts_table((1, 1, 1, 1)))["clean_marked"])


def test_one_percent_is_enough_for_a_relative_error():
    assert share_error(np.array([[[98, 1], [0, 1]]])) == 1  # 1 of 100 pixels, and 2 are marked


def test_photo_counts_name_the_photos(shared_data_2020, red_segmenter):
    manifest = read_data(shared_data_2020)
    table = photo_counts(red_segmenter, manifest)
    assert table["photo"].tolist() == [photo.name for photo in manifest["photo"]]
    assert table["group"].tolist() == manifest["group"].tolist()
    assert (table[COUNTS].sum(axis=1) == HEIGHT * WIDTH).all()
    assert evaluate(red_segmenter, manifest) == {**pooled_scores(table), "threshold": 0.5}


def test_classes_are_scored_one_by_one(shared_data_2020):
    """Red is damage, in the left half of a photo pit (as in the masks), elsewhere rus, where cor would be right."""
    def logits(photos):
        red = photos[..., :1].astype(np.float32) - photos[..., 2:] - 60
        left = np.broadcast_to(np.where(np.arange(96) < 48, 1.0, -1.0)[:, None], red.shape)
        return np.concatenate([-red, red - 90, red - left, red + left, red - 90], -1)

    segmenter = Segmenter(logits, {"size": 96, "classes": ["background", "cor", "rus", "pit", "lom"], "threshold": 0.5})
    manifest = read_data(shared_data_2020)
    scores = evaluate_classes(segmenter, manifest[[bool(findings) for findings in manifest["findings"]]])
    counts = np.array(scores["confusion"])
    assert counts.sum() == 4 * HEIGHT * WIDTH
    assert scores["class_recall"]["pit"] > 0.9 and scores["class_iou"]["pit"] > 0.9
    assert counts[1, 2] > 0.9 * counts[1].sum()  # cor was called rus
    assert scores["class_iou"]["cor"] == 0 and np.isnan(scores["class_iou"]["lom"])
    fewer = Segmenter(logits, {"size": 96, "classes": ["background", "cor", "rus"], "threshold": 0.5})
    with pytest.raises(DataError, match="holds class 3, but the model knows background, cor, rus"):
        evaluate_classes(fewer, manifest)
    defined = [scores["class_iou"][name] for name in ("background", "cor", "rus", "pit")]
    assert scores["mean_iou"] == pytest.approx(np.mean(defined))


def test_tiles_say_where_damage_is_and_the_whole_view_of_which_kind(shared_data_2020):
    squares = []
    segmenter = Segmenter(lambda photos: squares.append(photos) or np.zeros((*photos.shape[:3], 5), np.float32),
                          {"size": 32, "classes": ["background", "cor", "rus", "pit", "lom"], "threshold": 0.5})
    for scale, expected in ((None, 1 + 1), (1.0, 3 * 2 + 1)):  # a photo of 96 x 64 pixels
        squares.clear()
        evaluate_classes(segmenter, read_data(shared_data_2020).head(1), scale=scale)
        assert len(squares) == expected


def test_the_band_at_a_border_by_hand():
    truth = np.zeros((5, 8), bool)
    truth[:, 4:] = True
    for width, columns in ((0, []), (1, [3, 4]), (2, [2, 3, 4, 5])):
        assert np.flatnonzero(border_band(truth, width).all(0)).tolist() == columns
        assert border_band(truth, width).any(0).sum() == len(columns)
    for whole in (np.zeros((4, 4), bool), np.ones((4, 4), bool)):
        assert not border_band(whole, 3).any()


def test_found_regions_by_hand():
    truth, prediction = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    truth[0:2, 0:4] = truth[5:7, 5:7] = True
    prediction[0:2, 0:3] = True
    found = found_regions(truth, prediction)
    assert found["area"].tolist() == [8, 4] and found["found"].tolist() == pytest.approx([0.75, 0])
    assert len(found_regions(np.zeros((4, 4), bool), prediction[:4, :4])) == 0
