"""Scores of a model on photos it has not seen, by the same steps that `segment` takes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from corroseg_utils import metrics
from corroseg_utils.augment import close_gaps
from corroseg_utils.dataset import DataError, load_mask
from corroseg_utils.findings import find_regions
from corroseg_utils.metrics import bootstrap_interval, confusion, corrosion_iou, corrosion_scores
from corroseg_utils.photos import photo_size, read_photo
from corroseg_utils.segmenter import READ_SIDE, Segmenter
from corroseg_utils.tiles import open_at, scaled_bands

COUNTS = ["clean", "false_alarms", "misses", "hits"]  # pixels: a 2x2 confusion matrix row by row
LEAST_SHARE = 0.01  # photos with less corrosion have no relative error worth the name
_LEVELS = 1000  # resolution of the threshold


def predict(segmenter: Segmenter, manifest: pd.DataFrame, progress: bool = False,
            scale: float | None = None) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
    """For each photo its manifest row, true mask bool (H, W) and corrosion probability float32 (H, W).

    The network sees each photo whole, or tile by tile at `scale` (0-1], as in `segment`.
    """
    for row in tqdm(manifest.to_dict("records"), "evaluating", disable=not progress):
        probability = segmenter.read(row["photo"])[1] if scale is None else _by_tiles(segmenter, row["photo"], scale)
        yield row, load_mask(row["photo"], row["findings"], probability.shape[::-1]) > 0, probability


def _by_tiles(segmenter: Segmenter, path: Path, scale: float) -> np.ndarray:
    """The probability at the photo's full size, float32 (H, W), made tile by tile at `scale`."""
    return np.concatenate([rows for _, rows in scaled_bands(segmenter, open_at(path, scale), scale)])


def photo_counts(segmenter: Segmenter, manifest: pd.DataFrame, progress: bool = False,
                 scale: float | None = None) -> pd.DataFrame:
    """Count pixels photo by photo, at the photos' own size.

    Args:
        segmenter: the model; its own threshold applies.
        manifest: the photos to score, usually those of one split.
        progress: show a progress bar.
        scale: see `predict`.

    Returns:
        One row a photo: its name, group and, if the manifest has it, source; then the pixels of COUNTS.
    """
    rows = []
    for row, truth, probability in predict(segmenter, manifest, progress, scale):
        counts = confusion(truth, probability >= segmenter.threshold)
        rows.append({"photo": row["photo"].name, "group": row["group"], "source": row.get("source", ""),
                     **dict(zip(COUNTS, counts.ravel().tolist(), strict=True))})
    return pd.DataFrame(rows, columns=["photo", "group", "source", *COUNTS])


def pooled_scores(table: pd.DataFrame) -> dict:
    """Scores of many photos together, from the table of `photo_counts`.

    Returns:
        iou, f1, precision, recall, accuracy; `iou_interval` and `f1_interval`, 95 % by bootstrap over groups;
        `share_error`, see `share_error`; `clean_marked`, the share of pixels that is marked on photos without any
        corrosion, 0-1; numbers of photos, groups and clean photos. NaN where there is nothing to count.
    """
    counts = table[COUNTS].to_numpy().reshape(-1, 2, 2)
    clean = counts[counts[:, 1].sum(1) == 0]
    return {**corrosion_scores(counts.sum(0)),
            "iou_interval": bootstrap_interval(counts, table["group"], corrosion_iou),
            "f1_interval": bootstrap_interval(counts, table["group"], lambda pooled: float(metrics.f1(pooled)[1])),
            "share_error": share_error(counts),
            "clean_marked": float(clean[:, 0, 1].sum() / clean.sum()) if len(clean) else float("nan"),
            "photos": len(table), "groups": table["group"].nunique(), "clean_photos": len(clean)}


def share_error(counts: np.ndarray) -> float:
    """Median relative error of the corroded share, over the photos of which at least LEAST_SHARE is corroded.

    Args:
        counts: int (N, 2, 2), one confusion matrix a photo.

    Returns:
        Median of |marked - true| / true; NaN without such a photo.
    """
    true, marked = counts[:, 1].sum(1), counts[:, :, 1].sum(1)
    enough = true >= LEAST_SHARE * counts.sum((1, 2))
    return float(np.median(np.abs(marked - true)[enough] / true[enough])) if enough.any() else float("nan")


def evaluate(segmenter: Segmenter, manifest: pd.DataFrame, progress: bool = False,
             scale: float | None = None) -> dict:
    """Pooled scores of corrosion against background, and the threshold: see `photo_counts` and `pooled_scores`."""
    counts = photo_counts(segmenter, manifest, progress, scale)
    return {**pooled_scores(counts), "threshold": segmenter.threshold}


def evaluate_classes(segmenter: Segmenter, manifest: pd.DataFrame, progress: bool = False,
                     scale: float | None = None) -> dict:
    """Scores class by class, of a model that tells kinds of damage apart: see `class_scores`.

    With `scale` tiles say where damage is, and the view of the whole photo says of which kind, as in `report`.

    Raises:
        DataError: a mask holds a class that the model does not know.
    """
    counts = np.zeros((len(segmenter.classes), len(segmenter.classes)), np.int64)
    for row in tqdm(manifest.to_dict("records"), "evaluating classes", disable=not progress):
        photo, probability = segmenter.read(row["photo"]) if scale is None else \
            (read_photo(row["photo"], READ_SIDE), _by_tiles(segmenter, row["photo"], scale))
        truth = load_mask(row["photo"], row["findings"], photo_size(row["photo"]))
        if truth.max(initial=0) >= len(segmenter.classes):
            raise DataError(f"The mask of {row['photo']} holds class {truth.max()}, but the model knows "
                            f"{', '.join(segmenter.classes)}. Use data of these classes.")
        answer = segmenter.classify(photo, probability >= segmenter.threshold)
        counts += confusion(truth, answer, len(segmenter.classes))
    return class_scores(counts, segmenter.classes)


def class_scores(counts: np.ndarray, names: Sequence[str]) -> dict:
    """Scores class by class.

    Args:
        counts: int (C, C), pixels with rows the true class.
        names: of the C classes.

    Returns:
        `confusion`, the counts; `class_iou` and `class_recall` by class name; `mean_iou` and `mean_recall` over all
        classes, background included, as published figures count. An absent class is NaN and left out of the means.
    """
    ious, recalls = metrics.iou(counts), metrics.recall(counts)
    return {"confusion": counts.tolist(), "class_iou": dict(zip(names, ious.tolist(), strict=True)),
            "class_recall": dict(zip(names, recalls.tolist(), strict=True)),
            "mean_iou": float(np.nanmean(ious)), "mean_recall": float(np.nanmean(recalls))}


def best_threshold(segmenter: Segmenter, manifest: pd.DataFrame, gaps: float = 0.0) -> tuple[float, float]:
    """The probability threshold with the highest pooled IoU on these photos, and that IoU.

    For a model that learned from masks whose gaps were closed, the true masks are closed too (`augment.close_gaps`):
    `gaps` is the radius of these gaps as a share of the photo's longer side.

    Where several thresholds are best, it is the middle one: the farthest from doing worse, and 0.5 when no photo
    shows corrosion, so that all are as bad.

    Choose it on validation photos only: the IoU at a threshold chosen on the test photos is no test result.
    """
    scores = threshold_scores((_close(truth, gaps), probability)
                              for _, truth, probability in predict(segmenter, manifest))
    equal = scores.index[scores["iou"] == scores["iou"].max()]
    best = equal[len(equal) // 2]
    return float(scores["threshold"][best]), float(scores["iou"][best])


def _close(truth: np.ndarray, gaps: float) -> np.ndarray:
    radius = round(gaps * max(truth.shape))
    return close_gaps(truth.astype(np.uint8), radius) > 0 if radius else truth


def threshold_scores(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Pooled scores at every threshold from 0 to 1.

    Args:
        pairs: true mask bool (H, W) and probability float (H, W) in [0, 1] each.

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


def border_band(truth: np.ndarray, width: int) -> np.ndarray:
    """Pixels near the border of a mask, where even two people would not draw the same line.

    Args:
        truth: bool (H, W).
        width: largest distance to a pixel of the other kind, in pixels; 0 for an empty band.

    Returns:
        bool (H, W), both sides of the border alike. Leave these pixels out to score with a tolerance.
    """
    near = np.zeros(truth.shape, bool)
    for side in (truth, ~truth):
        if width and not side.all():  # without the other kind there is no border
            near |= side & (cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= width)
    return near


def found_regions(truth: np.ndarray, prediction: np.ndarray) -> pd.DataFrame:
    """How much of each connected region of the true mask was found.

    Args:
        truth, prediction: bool (H, W).

    Returns:
        One row a region: `area` in pixels, and `found`, the share of it that is marked, 0-1.
    """
    _, regions = find_regions(truth, prediction.astype(np.float32))
    return pd.DataFrame([(region.area, region.confidence) for region in regions], columns=["area", "found"])
