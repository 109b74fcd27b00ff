"""Is my segmentation number real? Ten checks for any segmentation project, each with a verdict. NumPy and OpenCV.

    from corroseg_utils.checks import constant_answer, group_leak
    print(group_leak(train_jobs, test_jobs))    # ok    group leak: none of 131 test groups is in the training set
    assert constant_answer(accuracy, truth, score=0.82)

`data` is an array, a (photos, masks) tuple, or an iterable such as a tf.data set whose items are (photo, mask) pairs
or batches; arrays have their channels last. Cut an endless set to a few batches first: `data.take(10)`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .similarity import ALIKE, most_alike, shows_mask

Metric = Callable[[np.ndarray, np.ndarray], float]  # metric(truth, prediction), higher is better
Data = np.ndarray | tuple | Iterable
ON_FLOOR = 0.02  # a loss within 2 % of a bound sits on it
PATTERN_CELLS = 8  # cells along each side of the patterns of `encoded_pairs`


@dataclass(frozen=True)
class Verdict:
    """Result of a check; true in an `if` or `assert` when it passed. `measured` is the figure that decided."""

    name: str
    passed: bool
    message: str
    measured: float

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return f"{'ok' if self.passed else 'FAIL':<6}{self.name}: {self.message}"


def constant_answer(metric: Metric, truth: np.ndarray, score: float, answers: Sequence | None = None) -> Verdict:
    """Does the score beat every answer that ignores the photo? It must lead by more than 0.01.

    `truth` is what the metric takes, for example class indices (N, H, W). `answers` are the constant pixels to try,
    by default each class in `truth`; for targets (N, H, W, C) pass one-hot pixels: `answers=np.eye(C)`. A metric that
    is undefined (nan) for an answer counts as no score. `measured` is the best constant answer's score.
    """
    truth = np.asarray(truth)
    answers = np.unique(truth) if answers is None else answers
    scores = [float(metric(truth, np.broadcast_to(answer, truth.shape))) for answer in answers]
    scores = np.nan_to_num(scores, nan=-np.inf)
    best = int(np.argmax(scores))
    passed = bool(score > scores[best] + 0.01)
    relation = "leads" if passed else "does not lead"
    return Verdict("constant answer", passed, f"answering {answers[best]} everywhere scores {scores[best]:.3f}; "
                   f"your {score:.3f} {relation} by more than 0.01", float(scores[best]))


def shuffled_pairs(metric: Metric, truth: np.ndarray, prediction: np.ndarray, seed: int = 0) -> Verdict:
    """Does the score need the right photo? Predictions are handed to other photos' truth, in 99 shuffles.

    The score must exceed all 99 (a permutation test at the 1 % level), or the model has at best learned where
    corrosion usually lies. First axis: photos, 4 or more. `measured` is the score lost on average.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if not 4 <= len(truth) == len(prediction):
        raise ValueError(f"{len(truth)} truths and {len(prediction)} predictions: pass 4 or more pairs, photos first")
    rng = np.random.default_rng(seed)
    score, shuffled = float(metric(truth, prediction)), []
    for _ in range(99):
        order = rng.permutation(len(truth))
        stranger = np.empty_like(order)
        stranger[order] = np.roll(order, 1)  # one cycle through all photos: nobody keeps its own prediction
        shuffled.append(float(metric(truth, prediction[stranger])))
    # Sums in another order differ in the last digits; that is no lead.
    passed = bool(score > np.nanmax(shuffled) + 1e-9)
    return Verdict("shuffled pairs", passed, f"{score:.3f} with the right photos, {np.nanmean(shuffled):.3f} (at most "
                   f"{np.nanmax(shuffled):.3f}) with strangers'", score - float(np.nanmean(shuffled)))


def encoded_pairs(count: int = 32, size: int = 128, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Photos that show their own mask, to send through a pipeline and then to `pairing`.

    Returns uint8 photos (count, size, size, 3), 0 or 255, and uint8 masks (count, size, size), 0 or 1: random
    patterns of 8 x 8 cells, alike in no two pairs and under no mirroring.
    """
    if size < PATTERN_CELLS:
        raise ValueError(f"size {size} is too small for a pattern of {PATTERN_CELLS} x {PATTERN_CELLS} cells")
    cells = np.random.default_rng(seed).integers(0, 2, (count, PATTERN_CELLS, PATTERN_CELLS), dtype=np.uint8)
    place = np.arange(size) * PATTERN_CELLS // size
    masks = cells[:, place[:, None], place]
    return np.repeat(masks[..., None] * np.uint8(255), 3, axis=-1), masks


def pairing(data: Data) -> Verdict:
    """Do photo and mask still belong together after loading and augmentation?

    `data` is what your pipeline makes of `encoded_pairs`: `pairing(my_pipeline(*encoded_pairs()))`. Masks may be
    class indices, one-hot, or RGB, photos in any value range. `measured` is the share of pairs that agree.
    """
    agree = [shows_mask(photo, mask) for photo, mask in _pairs(data)]
    if not agree:
        raise ValueError("no pair came out of the pipeline: the data set is empty")
    share = float(np.mean(agree))
    return Verdict("pairing", share == 1, f"{sum(agree)} of {len(agree)} photos show their own mask", share)


def mask_values(data: Data, classes: int | Collection[int]) -> Verdict:
    """Do masks hold class indices only? Not 0 and 255, no grey from interpolation, and more than one class.

    `classes` is their number, or the values themselves where one is not a class: `{0, 1, 255}` with 255 for void.
    Interpolated values that were rounded to a class are not seen. `measured` is the share of other values.
    """
    allowed = range(classes) if isinstance(classes, int) else sorted(classes)
    values, counts = _count_values(_arrays(data, 1))
    lawful = np.isin(values, list(allowed))
    share = float(counts[~lawful].sum() / counts.sum())
    found = ", ".join(f"{value:.3g}" for value in values[:6]) + (", ..." if len(values) > 6 else "")
    if share:
        message = f"{share:.2%} of the values are no class of {list(allowed)}; found {found}"
    else:
        message = f"all values are classes; found {found}"
    if lone := len(values) == 1:
        message += "; a single value everywhere leaves nothing to learn"
    return Verdict("mask values", not share and not lone, message, share)


def cross_entropy_bounds(data: Data) -> tuple[float, float]:
    """Smallest possible categorical cross-entropy, and that of the best constant answer, for targets (..., C).

    A pixel with target t, of sum S, costs -sum(t log p). Over all distributions p this is least at p = t / S, where
    it is S log S - sum(t log t): 0 for one-hot t, 3 log 3 for (1, 1, 1). The floor is its mean over the pixels.
    One p for all pixels meets the mean target instead, so the same formula of the mean target is its bound.
    """
    floor, total, pixels = 0.0, 0.0, 0
    for target in _targets(data):
        floor += _least_cost(target).sum()
        total = total + target.sum(axis=0)
        pixels += len(target)
    return float(floor / pixels), float(_least_cost(total / pixels))


def loss_floor(loss: float, data: Data) -> Verdict:
    """Can these targets (..., C) be learned from, and does the categorical cross-entropy show that they were?

    Fails if a target is no distribution (sum not 1), if a constant answer already reaches the floor, if the loss is
    no better than a constant answer, or if it is impossibly small. For class indices pass `np.eye(C)[masks]`.
    `measured` is the floor. See `cross_entropy_bounds`.
    """
    targets = list(_targets(data))
    floor, constant = cross_entropy_bounds(targets)
    odd = np.mean(np.concatenate([np.abs(target.sum(axis=-1) - 1) > 1e-3 for target in targets]))
    faults = []
    if odd:
        faults.append(f"{odd:.0%} of the targets do not add up to 1")
    if constant - floor <= ON_FLOOR * constant:
        faults.append("a constant answer reaches the floor, so there is nothing to learn")
    elif not loss < constant * (1 - ON_FLOOR):
        faults.append("no better than a constant answer")
    if not loss >= floor * (1 - ON_FLOOR):
        faults.append("below the floor, so it is another loss or other targets")
    ratio = f" = {loss / floor:.3f} x floor" if floor else ""
    message = f"loss {loss:.4f}{ratio}, floor {floor:.4f}, best constant answer {constant:.4f}"
    return Verdict("loss floor", not faults, "; ".join([message, *faults]), floor)


def validation_ran(history: Mapping | object, steps: int | None = None) -> Verdict:
    """Did validation run? At least one step and one finite `val_` figure.

    `history` is a dictionary of name -> figures or Keras's History. `measured` counts the finite `val_` figures.
    """
    log = getattr(history, "history", history)
    figures = [float(value) for name, values in log.items() if name.startswith("val_") for value in values]
    finite = int(np.isfinite(figures).sum())
    message = f"{finite} finite val_ figures of {len(figures)}" if figures else "the log has no val_ figure"
    if steps is not None:
        message += f", {steps} validation steps"
    return Verdict("validation", finite > 0 and (steps is None or steps > 0), message, finite)


def input_range(data: Data, expected: tuple[float, float] = (-1, 1)) -> Verdict:
    """Do the photos fill the range that the first convolution expects, and no more?

    Pass what that layer receives, so after any rescaling layer inside the model. Several photos together must cover
    60 % of `expected`: [0, 1] is half of [-1, 1]. `measured` is the covered share.
    """
    extremes = [(photos.min(), photos.max()) for photos in _arrays(data, 0)]
    low, high = (float(pick(ends)) for pick, ends in zip((np.min, np.max), zip(*extremes, strict=True), strict=True))
    first, last = expected
    share, slack = (high - low) / (last - first), 0.01 * (last - first)
    passed = first - slack <= low and high <= last + slack and share >= 0.6
    message = f"values {low:.3g} to {high:.3g}, expected {first:g} to {last:g}"
    return Verdict("input range", bool(passed), message, share)


def group_leak(train_groups: Iterable, test_groups: Iterable) -> Verdict:
    """Is a group (inspection job, patient, video) on both sides of the split? One group name a photo.

    `measured` is the share of test photos whose group is in the training set.
    """
    known, test = set(train_groups), list(test_groups)
    if not known or not test:
        raise ValueError("no group to compare: pass one group name a photo for both sides")
    shared = sorted(known & set(test), key=str)
    share = sum(group in known for group in test) / len(test)
    examples = ", ".join(map(str, shared[:3])) + (", ..." if len(shared) > 3 else "")
    message = f"{len(shared)} of {len(set(test))} test groups are in the training set"
    message += f" ({examples}): {share:.1%} of the test photos" if shared else ""
    return Verdict("group leak", not shared, message, share)


def near_duplicates(train: Data, test: Data) -> Verdict:
    """Does a test photo show the scene of a training photo? By keypoints, see `corroseg_utils.similarity`.

    Fails from 15 agreeing keypoints up, in the photo or its mirror image. Passing is no proof: other photos of one
    scene may share fewer, and a photo of almost one colour has none. Nor is failing: a pattern such as tread plate
    resembles itself elsewhere, so look at the pair. Photos as `data` or as a list of (H, W, 3) arrays of any size.
    `measured` is the most keypoints that agree, some 200 for a copy.
    """
    nearest, counts = most_alike(_photos(train), _photos(test))
    first, affected = int(np.argmax(counts)), int((counts >= ALIKE).sum())
    if not counts[first]:
        message = "no test photo shares keypoints with a training photo"
    else:
        message = (f"test photo {first} and training photo {nearest[first]} are most similar, {counts[first]} "
                   f"keypoints agree; {affected} of {len(counts)} test photos reach {ALIKE}")
    return Verdict("near-duplicates", not affected, message, float(counts[first]))


def dropped_findings(available: Data, used: Data) -> Verdict:
    """Does training see all that was annotated? Compares masks with all findings and the masks used.

    Both in the same form and order, any value above 0 is annotated. Fails from 0.1 % up. `measured` is the share of
    annotated pixels that became background.
    """
    annotated = dropped = 0
    for full, part in zip(_arrays(available, 1), _arrays(used, 1), strict=True):
        if full.shape != part.shape:
            raise ValueError(f"masks of shapes {full.shape} and {part.shape}: pass masks of one photo and size")
        annotated += int(np.count_nonzero(full))
        dropped += int(np.count_nonzero((full > 0) & (part == 0)))
    share = dropped / annotated if annotated else 0.0
    return Verdict("dropped findings", share < 0.001, f"{share:.1%} of {annotated} annotated pixels are background "
                   "in the masks used", share)


def _items(data: Data) -> Iterable:
    """What `data` holds: arrays, or (photo, mask) pairs or batches."""
    cardinality = getattr(data, "cardinality", None)
    if cardinality is not None and int(cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        raise ValueError("the data set is endless: pass a few batches of it, data.take(10)")
    return [data] if hasattr(data, "shape") or isinstance(data, tuple) else data


def _arrays(data: Data, part: int) -> Iterator[np.ndarray]:
    """The arrays of `data`, item by item; of pairs the photos (part 0) or the masks (part 1)."""
    empty = True
    for item in _items(data):
        array = np.asarray(item[part] if isinstance(item, tuple | list) else item)
        if array.size:
            empty = False
            yield array
    if empty:
        raise ValueError("nothing to check: the data set is empty")


def _photos(data: Data) -> Iterator[np.ndarray]:
    """Single photos (H, W, C) of photos or batches."""
    for array in _arrays(data, 0):
        yield from array if array.ndim == 4 else [array]


def _pairs(data: Data) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Single (photo, mask) pairs, float, photo (H, W, C) and mask (H, W) or (H, W, C)."""
    for photos, masks in _items(data):
        photos, masks = np.asarray(photos, dtype=float), np.asarray(masks, dtype=float)
        yield from zip(photos, masks, strict=True) if photos.ndim == 4 else [(photos, masks)]


def _count_values(arrays: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values of all arrays as float, ascending, and how often each occurs."""
    values, counts = zip(*(np.unique(array.astype(float), return_counts=True) for array in arrays), strict=True)
    values, place = np.unique(np.concatenate(values), return_inverse=True)
    return values, np.bincount(place, weights=np.concatenate(counts))


def _targets(data: Data) -> Iterator[np.ndarray]:
    """Targets of `data` as float (pixels, C), C at least 2."""
    for target in _arrays(data, 1):
        is_indices = target.ndim == 3 and target.dtype.kind in "iub" and (target.sum(-1) != 1).any()
        if target.ndim < 2 or target.shape[-1] < 2 or is_indices:
            raise ValueError(f"targets of shape {target.shape} have no class axis: pass np.eye(classes)[masks]")
        yield target.reshape(-1, target.shape[-1]).astype(float)


def _least_cost(target: np.ndarray) -> np.ndarray:
    """S log S - sum(t log t) along the last axis, with 0 log 0 = 0."""
    total = target.sum(axis=-1)
    return _xlogx(total) - _xlogx(target).sum(axis=-1)


def _xlogx(x: np.ndarray) -> np.ndarray:
    if not np.all(x >= 0):
        raise ValueError("targets hold negative or undefined values: pass probabilities")
    return x * np.log(np.where(x > 0, x, 1))
