"""Scores of a model on photos it has not seen, by the same steps that `segment` takes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from tqdm import tqdm

from corroseg_utils.dataset import load_mask
from corroseg_utils.metrics import bootstrap_interval, confusion, corrosion_iou, corrosion_scores
from corroseg_utils.segmenter import Segmenter

_LEVELS = 1000  # resolution of the threshold


def predict(segmenter: Segmenter, manifest: pd.DataFrame,
            progress: bool = False) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """For each photo its manifest row, true mask bool (H, W) and corrosion probability float32 (H, W)."""
    for row in tqdm(manifest.to_dict("records"), "evaluating", disable=not progress):
        _, probability = segmenter.read(row["photo"])
        yield row, load_mask(row["photo"], row["findings"], probability.shape[::-1]) > 0, probability


def evaluate(segmenter: Segmenter, manifest: pd.DataFrame, progress: bool = False) -> dict:
    """Pooled scores of corrosion against background, at the photos' own size.

    Args:
        segmenter: the model; its own threshold applies.
        manifest: the photos to score, usually those of one split.
        progress: show a progress bar.

    Returns:
        iou, f1, precision, recall, accuracy; `iou_interval`, 95 % by bootstrap over groups; threshold; numbers of
        photos and groups.
    """
    counts = np.array([confusion(truth, probability >= segmenter.threshold)
                       for _, truth, probability in predict(segmenter, manifest, progress)])
    return {**corrosion_scores(counts.sum(0)),
            "iou_interval": bootstrap_interval(counts, manifest["group"], corrosion_iou),
            "threshold": segmenter.threshold, "photos": len(manifest), "groups": manifest["group"].nunique()}


def best_threshold(segmenter: Segmenter, manifest: pd.DataFrame, progress: bool = False) -> tuple[float, float]:
    """The probability threshold with the highest pooled IoU on these photos, and that IoU.

    Where several thresholds are best, it is the middle one: the farthest from doing worse, and 0.5 when no photo
    shows corrosion, so that all are as bad.

    Choose it on validation photos only: the IoU at a threshold chosen on the test photos is no test result.
    """
    scores = threshold_scores((truth, probability) for _, truth, probability in predict(segmenter, manifest, progress))
    equal = scores.index[scores["iou"] == scores["iou"].max()]
    best = equal[len(equal) // 2]
    return float(scores["threshold"][best]), float(scores["iou"][best])


def threshold_scores(pairs) -> pd.DataFrame:
    """Pooled scores at every threshold from 0 to 1.

    Args:
        pairs: iterable of true mask bool (H, W) and probability float (H, W) in [0, 1].

    Returns:
        Columns threshold, iou, precision, recall; a thousandth apart.
    """
    histogram = np.zeros((2, _LEVELS + 1))  # pixels by truth and by probability, so that one pass serves all
    for truth, probability in pairs:
        level = (probability * _LEVELS).astype(int)
        for value in (0, 1):
            histogram[value] += np.bincount(level[truth == value].ravel(), minlength=_LEVELS + 1)
    # Marked at threshold t is what lies at t or above.
    false_alarms, hits = histogram[:, ::-1].cumsum(1)[:, ::-1]
    corroded = histogram[1].sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame({"threshold": np.arange(_LEVELS + 1) / _LEVELS,
                             "iou": np.nan_to_num(hits / (corroded + false_alarms)),
                             "precision": hits / (hits + false_alarms), "recall": hits / corroded})
