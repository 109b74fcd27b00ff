"""How often the grade from a model's mask is the grade from the drawn mask.

    python -m corroseg_utils.grade_agreement DATA [--split test] [--model PATH]
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from corroseg_utils.dataset import read_data
from corroseg_utils.evaluation import predict
from corroseg_utils.findings import corroded_share
from corroseg_utils.grades import d610_grade, imo_condition
from corroseg_utils.segmenter import Segmenter, load_segmenter


def grade_agreement(segmenter: Segmenter, manifest: pd.DataFrame, progress: bool = False) -> dict:
    """Compare the grades of the whole photos, model against drawn masks.

    Args:
        segmenter: the model; its own threshold applies.
        manifest: photos with masks.
        progress: show a progress bar.

    Returns:
        `photos`; shares in 0..1 of photos whose D610 grade is `d610_exact` or `d610_within_one`, whose IMO condition
        is `imo_exact`, and whose true share lies in the report's interval, `in_interval`.
    """
    rows = []
    for _, truth, probability in predict(segmenter, manifest, progress):
        true = 100 * int(np.count_nonzero(truth)) / truth.size
        share = corroded_share(probability, segmenter.threshold)
        apart = abs(d610_grade(share.percent) - d610_grade(true))
        rows.append((apart == 0, apart <= 1, imo_condition(share.percent) == imo_condition(true),
                     share.low <= true <= share.high))
    names = ("d610_exact", "d610_within_one", "imo_exact", "in_interval")
    return {"photos": len(rows), **dict(zip(names, np.mean(rows, axis=0).round(4).tolist(), strict=True))}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.grade_agreement", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    manifest = read_data(options.data)
    manifest = manifest[manifest["split"] == options.split]
    print(json.dumps(grade_agreement(load_segmenter(options.model), manifest, progress=True), indent=1))


if __name__ == "__main__":
    main()
