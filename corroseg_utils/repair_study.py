"""What each repair of the 2020 pipeline is worth: one repair after the other, three seeds each.

`python -m corroseg_utils.repair_study` trains every row that its results file does not hold yet, and prints the table.
Killed, it goes on with the row and seed that was cut off.

All rows are trained alike: on the same photos (those with a finding, of the training jobs) at 128 x 128, with `STEPS`
batches of `BATCH`, by Adam at 1e-3 in the first half and 3e-4 in the second, with the geometry of 2020, and decoder
batch norms as in `training.prepare_batch_norm`. That is shorter than in 2020, and photos are decoded once into memory:
neither is among the repairs.

Scored are IoU and F1 of corrosion against background, pooled over every second photo of each validation and test
job, clean ones included; nothing is chosen on them. The photos in between are left out, except in the row `leak`, which
repairs everything but the split: there they take the place of as many training photos.
"""

import argparse
import json
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import keras
import numpy as np
import pandas as pd

from corroseg_utils import DATA
from corroseg_utils.augment import GEOMETRY_2020, random_affine
from corroseg_utils.dataset import load_mask, load_pair, read_data
from corroseg_utils.errors import CorrosegError, exit_code
from corroseg_utils.losses import CrossEntropyDice
from corroseg_utils.metrics import confusion, corrosion_iou, corrosion_scores
from corroseg_utils.models import edge_unet, set_encoder_trainable, unet_2020
from corroseg_utils.pairs import shuffled_index
from corroseg_utils.photos import resize_mask, resize_photo, write_whole
from corroseg_utils.training import prepare_batch_norm

# In the order in which they are made. Each row of the study holds its own repair and all before it.
REPAIRS = {
    "paired": "photo and mask share one transform",
    "classes": "class-index target, cross-entropy on logits",
    "range": "input in [-1, 1]",
    "exact": "masks by nearest neighbour",
    "findings": "all findings of a photo",
    "dice": "a Dice term in the loss",
    "tuned": "encoder free in the second half",
    "edge": "edge_unet in place of unet_2020",
}
ROWS = {"2020": "2020, as it was", **REPAIRS, "leak": "the same, test jobs in the training set"}
SIZE, BATCH, STEPS, SEEDS = 128, 16, 64, (0, 1, 2)
RESULTS = DATA / "repair_study.json"


class StudyError(CorrosegError):
    """A study that cannot go on. The message names the file and the cure."""


class Pool(NamedTuple):
    """Photos uint8 (N, S, S, 3), and 1 for corrosion in uint8 (N, S, S): of the first finding alone, and of all."""

    photos: np.ndarray
    first: np.ndarray
    full: np.ndarray


def repairs_of(row: str) -> frozenset[str]:
    """The repairs that a row of `ROWS` holds."""
    names = list(REPAIRS)
    return frozenset(names if row == "leak" else names[:list(ROWS).index(row)])


def load_pool(manifest: pd.DataFrame, size: int = SIZE) -> Pool:
    """Decode every photo of a manifest once, squeezed to a square."""
    pool = Pool(np.empty((len(manifest), size, size, 3), np.uint8), *np.zeros((2, len(manifest), size, size), np.uint8))
    for i, row in enumerate(manifest.to_dict("records")):
        photo, full = load_pair(row)
        first = load_mask(row["photo"], row["findings"][:1], photo.shape[1::-1])
        pool.photos[i] = resize_photo(photo, (size, size))
        pool.first[i], pool.full[i] = (resize_mask(mask, (size, size)) > 0 for mask in (first, full))
    return pool


def split_pool(pool: Pool, manifest: pd.DataFrame) -> dict[str, Pool]:
    """The parts of a pool that `load_pool` made of this manifest.

    Returns:
        "train", photos with a finding of the training jobs; of every other job "scored", its first, third, ... photo,
        and "neighbours", those in between that have a finding.
    """
    training, found = manifest["split"] == "train", manifest["findings"].map(len) > 0
    even = manifest.groupby("group").cumcount() % 2 == 0
    parts = {"train": training & found, "scored": ~training & even, "neighbours": ~training & ~even & found}
    return {name: Pool(*(part[rows] for part in pool)) for name, rows in parts.items()}


def leaky_pool(pools: dict[str, Pool], seed: int) -> Pool:
    """As many photos as "train", but the neighbours of the scored photos among them."""
    kept = len(pools["train"].photos) - len(pools["neighbours"].photos)
    order = np.random.default_rng(seed).permutation(len(pools["train"].photos))[:max(kept, 0)]
    return Pool(*(np.concatenate([own[order], other])
                  for own, other in zip(pools["train"], pools["neighbours"], strict=True)))


def batches(pool: Pool, repairs: frozenset[str], seed: int,
            start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless training batches of a pipeline with these repairs, from place `start` of its stream on.

    Yields:
        Photos float32 (B, S, S, 3), 0 to 255, or 0 to 1 without "range"; and targets: class indices uint8 (B, S, S), or
        without "classes" the grey mask three times, float32 (B, S, S, 3) in [0, 1].
    """
    while True:
        pairs = [_pair(pool, repairs, seed, position) for position in range(start, start + BATCH)]
        yield tuple(np.stack(part) for part in zip(*pairs, strict=True))
        start += BATCH


def cross_entropy_2020(target, probabilities):
    """Categorical cross-entropy of targets (..., C), as Keras computed it in October 2020.

    Today it takes the logits before a softmax and calls a TensorFlow function whose gradient is right only for targets
    that add up to 1. Until TensorFlow 2.3 it worked on the probabilities of pictures, as here.
    """
    return -keras.ops.sum(target * keras.ops.log(keras.ops.clip(probabilities, 1e-7, 1)), axis=-1)


def build(repairs: frozenset[str], encoder: str = "imagenet", size: int = SIZE) -> keras.Model:
    """The untrained network of a pipeline with these repairs; without "classes" it ends in a softmax."""
    classes = 2 if "classes" in repairs else 3
    if "edge" in repairs:
        model = edge_unet(size, classes, encoder_weights=encoder)
    else:
        model = unet_2020(size, classes, encoder, rescale="range" in repairs)
    prepare_batch_norm(model)
    if "classes" in repairs:
        return model
    softmax = keras.layers.Activation("softmax", name="logits_softmax")
    return keras.Model(model.input, softmax(model.output), name=model.name)


def train(model: keras.Model, pool: Pool, repairs: frozenset[str], seed: int, steps: int = STEPS) -> None:
    """Train a network from `build` in two halves of `steps` together."""
    loss = CrossEntropyDice(float("dice" in repairs)) if "classes" in repairs else cross_entropy_2020
    half = steps // 2
    for start, stop, rate in ((0, half, 1e-3), (half, steps, 3e-4)):
        set_encoder_trainable(model, "tuned" in repairs and start > 0)
        if start == 0 or "tuned" in repairs:  # compiling again means tracing again, which costs as much as ten steps
            model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False)
        model.optimizer.learning_rate = rate
        model.fit(batches(pool, repairs, seed, start * BATCH), steps_per_epoch=stop - start, shuffle=False, verbose=0)


def answers(model: keras.Model, photos: np.ndarray, repairs: frozenset[str]) -> np.ndarray:
    """The largest channel of each pixel, uint8 (N, S, S)."""
    scaled = photos.astype(np.float32) / (1 if "range" in repairs else 255)
    # Called directly, for so few photos: `predict` would first trace the network anew.
    parts = [np.asarray(model(scaled[i:i + 32], training=False)).argmax(-1) for i in range(0, len(scaled), 32)]
    return np.concatenate(parts).astype(np.uint8)


def corrosion_channel(model: keras.Model, pool: Pool, repairs: frozenset[str]) -> int:
    """The channel that is read as corrosion.

    That is class 1, where there are classes. The three channels of 2020 all have the same target, so none of them
    means corrosion: we read them in the kindest way, and take the one with the highest IoU on 64 training photos.
    """
    if "classes" in repairs:
        return 1
    photos, _, full = (part[:64] for part in pool)
    largest = answers(model, photos, repairs)
    return int(np.nanargmax([corrosion_iou(confusion(full, largest == channel)) for channel in range(3)]))


def run_row(pools: dict[str, Pool], row: str, seed: int, steps: int = STEPS, encoder: str = "imagenet") -> dict:
    """Train and score one row with one seed: row, seed, iou, f1, seconds."""
    began, repairs = time.perf_counter(), repairs_of(row)
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    pool = leaky_pool(pools, seed) if row == "leak" else pools["train"]
    model = build(repairs, encoder, pool.photos.shape[1])
    train(model, pool, repairs, seed, steps)
    scored = pools["scored"]
    prediction = answers(model, scored.photos, repairs) == corrosion_channel(model, pool, repairs)
    scores = corrosion_scores(confusion(scored.full, prediction))
    return {"row": row, "seed": seed, "iou": round(scores["iou"], 4), "f1": round(scores["f1"], 4),
            "seconds": round(time.perf_counter() - began, 1)}


def study(data: Path | str, out: Path | str, rows: tuple[str, ...] = tuple(ROWS), seeds: tuple[int, ...] = SEEDS,
          steps: int = STEPS, encoder: str = "imagenet") -> pd.DataFrame:
    """Run what `out` does not hold yet, storing after each run; the table of `summary`.

    Raises:
        StudyError: `out` holds a study of other photos or other settings.
    """
    manifest, out = read_data(data), Path(out)
    setting = {"photos": len(manifest), "jobs": manifest["group"].nunique(),
               "findings": int(manifest["findings"].map(len).sum()), "checksum": _checksum(manifest),
               "size": SIZE, "batch": BATCH, "steps": steps, "encoder": encoder}
    stored = _read(out) if out.is_file() else {"setting": setting, "runs": []}
    if stored["setting"] != setting:
        raise StudyError(f"{out} holds a study of {stored['setting']}, not of {setting}. Give another file.")
    done = {(run["row"], run["seed"]) for run in stored["runs"]}
    open_runs = [(row, seed) for seed in seeds for row in rows if (row, seed) not in done]
    pools = split_pool(load_pool(manifest), manifest) if open_runs else {}
    for number, (row, seed) in enumerate(open_runs, 1):
        stored["runs"].append(run := run_row(pools, row, seed, steps, encoder))
        lines = json.dumps(stored, indent=1).encode() + b"\n"
        write_whole(out, lambda file, lines=lines: file.write(lines))
        print(f"{number}/{len(open_runs)}  {row:9} seed {seed}  IoU {run['iou']:.3f}  F1 {run['f1']:.3f}  "
              f"{run['seconds']:.0f} s", flush=True)
    return summary(out)


def summary(path: Path | str = RESULTS) -> pd.DataFrame:
    """A row a repair, in order: mean, least and greatest IoU over the seeds, mean F1, number of seeds."""
    runs = pd.DataFrame(_read(Path(path))["runs"]).groupby("row")
    table = runs.agg(iou=("iou", "mean"), low=("iou", "min"), high=("iou", "max"), f1=("f1", "mean"),
                     f1_low=("f1", "min"), f1_high=("f1", "max"), seeds=("seed", "count"))
    return table.reindex([row for row in ROWS if row in table.index])


def _pair(pool: Pool, repairs: frozenset[str], seed: int, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Photo and target at one place of the stream. Without "paired" the mask has a shuffle and transform of its own."""
    photo, matrix = _draw(pool.photos, seed, position)
    masks = pool.full if "findings" in repairs else pool.first
    mask, mask_matrix = _draw(masks, seed if "paired" in repairs else seed + 1_000_003, position)
    photo = _warp(photo, matrix, cv2.INTER_LINEAR).astype(np.float32)
    grey = _warp(mask * np.uint8(255), mask_matrix, cv2.INTER_NEAREST if "exact" in repairs else cv2.INTER_LINEAR)
    if "range" not in repairs:
        photo /= 255
    if "classes" in repairs:
        return photo, (grey > 0).astype(np.uint8)  # whatever is not black: how most code makes classes of a mask
    return photo, np.repeat(grey[..., None].astype(np.float32) / 255, 3, axis=-1)


def _draw(pictures: np.ndarray, seed: int, position: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, position])
    picture = pictures[shuffled_index(position, len(pictures), seed)]
    return picture, random_affine(picture.shape[:2], len(picture), GEOMETRY_2020, rng)


def _warp(picture: np.ndarray, matrix: np.ndarray, interpolation: int) -> np.ndarray:
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], flags=interpolation | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REFLECT_101)


def _checksum(manifest: pd.DataFrame) -> int:
    """CRC-32 of all photo and mask files: another rendering of the same plan has as many of each."""
    files = (path for row in manifest.to_dict("records")
             for path in (row["photo"], *(finding.path for finding in row["findings"])))
    checksum = 0
    for path in files:
        checksum = zlib.crc32(path.read_bytes(), checksum)
    return checksum


def _read(path: Path) -> dict:
    try:
        stored = json.loads(path.read_text("utf-8"))
        return {"setting": stored["setting"], "runs": stored["runs"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: not the results of a repair study ({error}). Give another file.") from error


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.repair_study", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=DATA, help="a data set (default: the embedded one)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE",
                        help="results, read to resume and written after each run (default: the stored ones)")
    options = parser.parse_args()
    table = study(options.data, options.out)
    print()
    for row, scores in table.iterrows():
        print(f"{ROWS[row]:45} IoU {scores['iou']:.3f} ({scores['low']:.3f} to {scores['high']:.3f})  "
              f"F1 {scores['f1']:.3f} ({scores['f1_low']:.3f} to {scores['f1_high']:.3f})")


if __name__ == "__main__":
    sys.exit(exit_code(main))
