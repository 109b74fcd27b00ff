import math

import keras
import numpy as np
import pytest

from corroseg_utils.losses import CrossEntropyDice, dice_loss

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
