"""What rendered pretraining is worth: IoU on fold 0 of real photos after short trainings on few and all others.

    python -m corroseg_utils train data --encoder-weights imagenet --ema 0.99 --out build/transfer
    python data/pretraining_study.py manifest.csv build/transfer/model.npz

Each row of data/pretraining.csv is one training; those already there are not repeated. Draws data/pretraining.png.
"""

import argparse
import sys

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from corroseg_utils import DATA
from corroseg_utils.dataset import load_arrays, read_manifest
from corroseg_utils.errors import exit_code
from corroseg_utils.evaluation import evaluate
from corroseg_utils.folds import hold_out_fold
from corroseg_utils.models import edge_unet
from corroseg_utils.pipeline import make_dataset
from corroseg_utils.segmenter import keras_segmenter
from corroseg_utils.training import Recipe, compile_model, prepare_batch_norm
from corroseg_utils.weights import load_weights

RESULTS = DATA / "pretraining.csv"
SOURCE, FOLD, SIZE = "virginia_tech", 0, 512
COUNTS = (20, 80, None)  # None: all photos of the other folds
SEEDS = (0, 1, 2)
STARTS = ("ImageNet", "rendered")
STEPS = 80
ABOUT = {"classes": ["background", "corrosion"], "size": SIZE, "threshold": 0.5}


def train_once(pairs: tuple[np.ndarray, np.ndarray], rendered: str | None, seed: int) -> keras.Model:
    """One training of STEPS batches of 8; too short to overfit, so there is no epoch to choose."""
    recipe = Recipe(epochs=1, steps=STEPS, batch_size=8, seed=seed)
    keras.utils.set_random_seed(seed)
    model = edge_unet(encoder_weights=None if rendered else "imagenet")
    if rendered:
        load_weights(model, rendered)
    prepare_batch_norm(model)
    compile_model(model, recipe)
    batches = make_dataset(*pairs, recipe.batch_size, recipe.size, recipe.augmentation, seed)
    model.fit(batches, steps_per_epoch=recipe.steps, shuffle=False, verbose=0)
    return model


def draw(results: pd.DataFrame) -> None:
    figure, axes = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
    for start, colour in zip(STARTS, ("0.45", "tab:orange"), strict=True):
        rows = results[results["start"] == start]
        axes.plot(rows["photos"], rows["iou"], "o", color=colour, alpha=0.5)
        axes.plot(rows.groupby("photos")["iou"].mean(), color=colour, label=f"{start} start")
    axes.set(xscale="log", xlabel="real photos trained on", ylabel="IoU on real photos of fold 0")
    axes.set_xticks(sorted(results["photos"].unique()), sorted(results["photos"].unique()))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(DATA / "pretraining.png", dpi=110)


def main(manifest_csv: str, rendered: str) -> None:
    manifest = read_manifest(manifest_csv)
    manifest = hold_out_fold(manifest[manifest["source"] == SOURCE], FOLD)
    held_out, others = manifest[manifest["split"] == "test"], manifest[manifest["split"] != "test"]
    photos, masks = load_arrays(others, SIZE)
    results = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["photos", "start", "seed", "iou"])
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(photos))
        for count in COUNTS:
            chosen = order[:count]
            for start in STARTS:
                key = (len(chosen), start, seed)
                if key in set(results[["photos", "start", "seed"]].itertuples(index=False, name=None)):
                    continue
                model = train_once((photos[chosen], masks[chosen]), rendered if start == "rendered" else None, seed)
                iou = evaluate(keras_segmenter(model, ABOUT), held_out)["iou"]
                results.loc[len(results)] = (*key, round(iou, 4))
                results.to_csv(RESULTS, index=False)
                print(*results.iloc[-1], flush=True)
    draw(results)
    print(results.groupby(["photos", "start"])["iou"].agg(["mean", "min", "max"]).round(3).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", help="manifest CSV of the real photos")
    parser.add_argument("model", help="model file, trained on rendered photos alone")
    options = parser.parse_args()
    sys.exit(exit_code(lambda: main(options.manifest, options.model)))
