"""Does a probability mean what it says? Of all pixels given 0.8, about 80 % should be corroded."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

_NEAREST = 1e-6  # to 0 and 1: beyond it float32 holds too little for a logit


def reliability(pairs: Iterable[tuple[np.ndarray, np.ndarray]], bins: int = 10) -> pd.DataFrame:
    """Sort pixels by their probability into bins, and count how many of each bin are corroded.

    Args:
        pairs: true mask bool and probability float in [0, 1], of one shape each.
        bins: number of bins of equal width.

    Returns:
        One row a bin: `probability`, the mean one in it; `corroded`, the share 0-1 that is; `pixels`. The first two are
        NaN in an empty bin.
    """
    sums = np.zeros((3, bins))
    for truth, probability in pairs:
        place = np.minimum((probability * bins).astype(int), bins - 1).ravel()
        for total, weights in zip(sums, (probability, truth, np.ones(truth.shape)), strict=True):
            total += np.bincount(place, weights.ravel(), bins)
    probability, corroded, pixels = sums
    with np.errstate(invalid="ignore"):
        return pd.DataFrame({"probability": probability / pixels, "corroded": corroded / pixels,
                             "pixels": pixels.astype(int)})


def calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error: mean gap between probability and corroded share, weighted by pixels (Guo et al. 2017,
    arXiv 1706.04599, equation 3), from the table of `reliability`."""
    gaps = (table["probability"] - table["corroded"]).abs()
    return float((gaps.fillna(0) * table["pixels"]).sum() / table["pixels"].sum())


def fit_temperature(truth: np.ndarray, probability: np.ndarray) -> float:
    """The temperature with the lowest cross-entropy on these pixels (Guo et al. 2017, arXiv 1706.04599, section 4.2).

    Fit it on validation photos: it is a choice, as a threshold is.

    Args:
        truth: bool, any shape.
        probability: float in [0, 1], the same shape.

    Returns:
        A number above 0: above 1 the model was too sure, below 1 not sure enough.

    Raises:
        ValueError: all pixels are of one class, so that no temperature is best.
    """
    if truth.all() or not truth.any():
        raise ValueError("All pixels are of one class. Fit the temperature on photos with and without corrosion.")
    logits = np.where(truth, 1, -1) * _logit(probability)  # of the true class

    def cross_entropy(log_temperature: float) -> float:
        return float(np.logaddexp(0, -logits / np.exp(log_temperature)).mean())

    return float(np.exp(minimize_scalar(cross_entropy, bounds=(-3, 3), method="bounded").x))


def with_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities with their log-odds divided by the temperature, float32 of the same shape.

    The order of the pixels stays, so masks stay the same when the threshold is changed alike.
    """
    return (1 / (1 + np.exp(-_logit(probability) / temperature))).astype(np.float32)


def _logit(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(probability, float), _NEAREST, 1 - _NEAREST)
    return np.log(clipped / (1 - clipped))
