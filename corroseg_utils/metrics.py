"""Scores of masks, from pixel counts. NumPy only.

Everything starts from a confusion matrix: counts of pixels, rows the true class, columns the predicted one. Counts
of many photos are summed first and divided once ("pooled"), so a photo without corrosion cannot score 1 by luck, nor
drag a mean to 0 for one stray pixel.

A score whose denominator is 0 is undefined and given as NaN: IoU of a class that neither mask holds says nothing.
"""

from collections.abc import Callable, Sequence

import numpy as np


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int = 2) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        truth, prediction: class indices of one shape, any number of photos together.
        classes: number of classes.

    Returns:
        int64 (classes, classes), rows the truth.

    Raises:
        ValueError: the shapes differ, or a value is no class index.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {prediction.shape}: they must be of one shape.")
    for value in (truth.min(initial=0), prediction.min(initial=0), truth.max(initial=0), prediction.max(initial=0)):
        if not 0 <= value < classes:
            raise ValueError(f"value {value} is no class index of {classes} classes; masks of 0 and 255 need "
                             "(mask > 0) first.")
    pairs = truth.astype(np.int64) * classes + prediction
    return np.bincount(pairs.ravel(), minlength=classes * classes).reshape(classes, classes)


def iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, float (classes,): TP / (TP + FP + FN)."""
    hits = np.diag(counts)
    return _ratio(hits, counts.sum(0) + counts.sum(1) - hits)


def f1(counts: np.ndarray) -> np.ndarray:
    """F1 (= Dice) of each class, float (classes,): 2 TP / (2 TP + FP + FN)."""
    return _ratio(2 * np.diag(counts), counts.sum(0) + counts.sum(1))


def precision(counts: np.ndarray) -> np.ndarray:
    """Share of the predicted pixels of each class that are right, float (classes,)."""
    return _ratio(np.diag(counts), counts.sum(0))


def recall(counts: np.ndarray) -> np.ndarray:
    """Share of the true pixels of each class that were found, float (classes,)."""
    return _ratio(np.diag(counts), counts.sum(1))


def accuracy(counts: np.ndarray) -> float:
    """Share of all pixels that are right. Flatters when a class is rare; see lesson 04."""
    return float(_ratio(np.trace(counts), counts.sum()))


def corrosion_scores(counts: np.ndarray) -> dict[str, float]:
    """IoU, F1, precision, recall of corrosion against background, and accuracy, of 2x2 counts."""
    scores = {score.__name__: float(score(counts)[1]) for score in (iou, f1, precision, recall)}
    return {**scores, "accuracy": accuracy(counts)}


def corrosion_iou(counts: np.ndarray) -> float:
    """IoU of corrosion from 2x2 counts."""
    return float(iou(counts)[1])


def bootstrap_interval(counts: np.ndarray, groups: Sequence[str], statistic: Callable[[np.ndarray], float],
                       level: float = 0.95, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval over groups (Efron and Tibshirani 1993, chapter 13).

    Photos of a group resemble each other, so whole groups are drawn with replacement, not photos.

    Args:
        counts: int (N, C, C), one confusion matrix a photo.
        groups: the group of each photo.
        statistic: from summed counts (C, C) to a number, such as `corrosion_iou`.
        level: share of the draws inside the interval.
        draws: how many times to draw.
        seed: of the draws.

    Returns:
        Lower and upper bound; NaN for fewer than two groups, of which every draw would be the same, and when the
        statistic is undefined in every draw.
    """
    _, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    by_group = np.zeros((index.max() + 1, *np.shape(counts)[1:]), np.int64)
    np.add.at(by_group, index, counts)
    rng = np.random.default_rng(seed)
    drawn = [statistic(by_group[rng.integers(0, len(by_group), len(by_group))].sum(0)) for _ in range(draws)]
    if len(by_group) < 2 or np.isnan(drawn).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def interval_text(low: float, high: float) -> str:
    """The bounds of `bootstrap_interval` as a person reads them: "0.684 to 0.719", or "none" where they are NaN."""
    return "none" if np.isnan(low) else f"{low:.3f} to {high:.3f}"


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
