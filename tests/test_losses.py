import math

import keras
import numpy as np
import pytest

from corroseg_utils.losses import CrossEntropyDice, CrossEntropyLovasz, dice_loss, lovasz_loss

MASK = np.array([[[0, 1], [1, 1]]], np.uint8)


def sure(mask, classes, strength=30.0):
    """Logits that are sure of a mask."""
    return strength * np.eye(classes, dtype=np.float32)[mask]


def test_undecided_logits_by_hand():
    logits = np.zeros((1, 2, 2, 2), np.float32)
    # Probability 0.5 everywhere: overlap 1.5, predicted area 2, true area 3.
    assert float(dice_loss(MASK, logits)) == pytest.approx(1 - 2 * 1.5 / (2 + 3))
    assert float(CrossEntropyDice()(MASK, logits)) == pytest.approx(math.log(2) + 0.4)
    assert float(CrossEntropyDice(dice_weight=0)(MASK, logits)) == pytest.approx(math.log(2))
    assert float(CrossEntropyDice(dice_weight=3)(MASK, logits)) == pytest.approx(math.log(2) + 1.2)


def test_three_classes_by_hand():
    mask = np.array([[[0, 1], [2, 2]]], np.uint8)
    # Each class has probability 1/3 in 4 pixels: Dice 2 * 1/3 / (4/3 + 1) and 2 * 2/3 / (4/3 + 2), background out.
    dice = (1 - (2 / 3) / (7 / 3) + 1 - (4 / 3) / (10 / 3)) / 2
    assert float(CrossEntropyDice()(mask, np.zeros((1, 2, 2, 3), np.float32))) == pytest.approx(math.log(3) + dice)


def test_cross_entropy_of_one_pixel_by_hand():
    logits = np.array([[[[2.0, 0.5]]]], np.float32)
    expected = -math.log(math.exp(0.5) / (math.exp(2) + math.exp(0.5)))
    assert float(CrossEntropyDice(0)(np.array([[[1]]]), logits)) == pytest.approx(expected)


def test_a_sure_and_right_answer_costs_nothing_and_a_wrong_one_much():
    assert float(CrossEntropyDice()(MASK, sure(MASK, 2))) == pytest.approx(0, abs=1e-5)
    assert float(CrossEntropyDice()(MASK, sure(1 - MASK, 2))) == pytest.approx(30 + 1, abs=1e-3)


def test_a_batch_without_damage_has_cross_entropy_alone():
    empty = np.zeros((2, 4, 4), np.uint8)
    logits = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    assert float(dice_loss(empty, logits)) == 0
    assert np.isfinite(float(CrossEntropyDice()(empty, logits)))


def test_an_absent_class_is_left_out():
    assert float(dice_loss(MASK, sure(MASK, 3))) == pytest.approx(0, abs=1e-5)


def test_dice_is_pooled_over_the_batch():
    masks = np.array([[[1, 1]], [[0, 0]]], np.uint8)
    answer = np.array([[[1, 1]], [[1, 1]]])
    assert float(dice_loss(masks, sure(answer, 2))) == pytest.approx(1 - 2 * 2 / (4 + 2), abs=1e-5)


def test_the_loss_survives_being_saved():
    loss = keras.losses.deserialize(keras.losses.serialize(CrossEntropyDice(0.5)))
    assert isinstance(loss, CrossEntropyDice) and loss.dice_weight == 0.5


def test_lovasz_is_1_minus_iou_for_sure_answers():
    mask = np.array([[[0, 1, 1, 1], [0, 0, 0, 0]]], np.uint8)
    answer = np.array([[[1, 1, 1, 0], [0, 0, 1, 0]]])  # 2 found, 1 missed, 2 false alarms
    assert float(lovasz_loss(mask, sure(answer, 2))) == pytest.approx(1 - 2 / 5, abs=1e-5)
    assert float(lovasz_loss(mask, sure(mask, 2))) == pytest.approx(0, abs=1e-5)
    assert float(lovasz_loss(np.zeros((1, 2, 2), np.uint8), sure(np.ones((1, 2, 2), int), 2))) == 0


def test_lovasz_of_two_pixels_by_hand():
    # Errors 0.8 (a missed pixel) and 0.6 (a false alarm). With the first wrong alone 1 - IoU is 1, with both it is 1:
    # so all the weight lies on the first.
    logits = np.log(np.array([[[[0.8, 0.2], [0.4, 0.6]]]], np.float32))
    assert float(lovasz_loss(np.array([[[1, 0]]]), logits)) == pytest.approx(0.8)
    # Errors 0.6 (false alarm: 1 - IoU is 1/2) and 0.1 (then a miss: 1).
    logits = np.log(np.array([[[[0.1, 0.9], [0.4, 0.6]]]], np.float32))
    assert float(lovasz_loss(np.array([[[1, 0]]]), logits)) == pytest.approx(0.6 / 2 + 0.1 / 2)
    assert float(CrossEntropyLovasz()(np.array([[[1, 0]]]), logits)) == pytest.approx(
        0.35 - (math.log(0.9) + math.log(0.4)) / 2)


def test_lovasz_averages_the_classes_that_are_there():
    mask = np.array([[[0, 1], [2, 2]]], np.uint8)
    answer = np.array([[[0, 1], [2, 0]]])
    assert float(lovasz_loss(mask, sure(answer, 4))) == pytest.approx((0 + 1 / 2) / 2, abs=1e-5)
