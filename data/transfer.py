"""What a model that saw rendered photos alone finds on real ones, beside a colour threshold.

    python -m corroseg_utils train data --encoder-weights imagenet --ema 0.99 --close-gaps 10 --view 384 \\
        --out build/transfer_polygons
    python data/transfer.py manifest.csv build/transfer_polygons/model.npz

Prints IoU on all photos of one source, at thresholds known beforehand and at the one that is best on these very photos.
"""

import argparse
import sys

import numpy as np

from corroseg_utils.baselines import tune_colour_threshold
from corroseg_utils.dataset import load_arrays, read_manifest
from corroseg_utils.errors import exit_code
from corroseg_utils.evaluation import predict, threshold_scores
from corroseg_utils.metrics import confusion, corrosion_iou
from corroseg_utils.segmenter import load_segmenter

SOURCE = "virginia_tech"
COLOUR_SIZE = 128  # side of the photos on which the colour threshold is tuned and scored


def main(manifest_csv: str, model: str) -> None:
    manifest = read_manifest(manifest_csv)
    manifest = manifest[manifest["source"] == SOURCE]
    photos, masks = load_arrays(manifest, COLOUR_SIZE)
    colour = tune_colour_threshold(photos, masks)
    print(f"colour threshold, tuned on these photos: {corrosion_iou(confusion(masks, colour.predict(photos))):.3f}")
    segmenter = load_segmenter(model)
    scores = threshold_scores((truth, probability) for _, truth, probability in predict(segmenter, manifest, True))
    best = scores.loc[scores["iou"].idxmax()]
    print(f"{model}, threshold tuned on these photos ({best['threshold']:.3f}): {best['iou']:.3f}")
    for name, threshold in (("0.5", 0.5), ("the model's own", segmenter.threshold)):
        row = scores.iloc[np.abs(scores["threshold"] - threshold).argmin()]
        print(f"threshold {name}: IoU {row['iou']:.3f}, precision {row['precision']:.3f}, recall {row['recall']:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", help="manifest CSV of the real photos")
    parser.add_argument("model", help="model file, trained on rendered photos alone")
    options = parser.parse_args()
    sys.exit(exit_code(lambda: main(options.manifest, options.model)))
