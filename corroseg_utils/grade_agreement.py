"""How often the grade from a model's mask is the grade from the drawn mask.

    python -m corroseg_utils.grade_agreement DATA [--model PATH] [--split test] [--tune]

With --tune, the threshold and how sure a region must be are first chosen on the validation photos; the same two
numbers are options of the command `report`.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from corroseg_utils.dataset import SPLITS, DataError, read_data
from corroseg_utils.dataset_checks import checked
from corroseg_utils.errors import exit_code
from corroseg_utils.evaluation import predict
from corroseg_utils.findings import corroded_share, mark, marked_percent
from corroseg_utils.grades import d610_grade, imo_condition
from corroseg_utils.segmenter import Segmenter, load_segmenter

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SURE = (None, 0.8, 0.9, 0.95, 0.98)


def grade_agreement(segmenter: Segmenter, manifest: pd.DataFrame, threshold: float | None = None,
                    sure: float | None = None, progress: bool = False) -> dict:
    """Compare the grades of the whole photos, model against drawn masks.

    Args:
        segmenter: the model.
        manifest: photos with masks.
        threshold: the model's own when None.
        sure: see `findings.mark`.
        progress: show a progress bar.

    Returns:
        `photos`; shares in 0..1 of photos whose D610 grade is `d610_exact` or `d610_within_one`, or better than the
        true one, `d610_too_good`, or worse, `d610_too_bad`, whose IMO condition is `imo_exact`, and whose true share
        lies in the report's interval, `in_interval`; `clean`, how many photos show no corrosion, and `clean_exact`, the
        share of these that get grade 10, None without such a photo.
    """
    threshold = segmenter.threshold if threshold is None else threshold
    rows = []
    for _, truth, probability in predict(segmenter, manifest, progress):
        true = marked_percent(truth)
        share = corroded_share(probability, threshold, sure=sure)
        better = d610_grade(share.percent) - d610_grade(true)
        rows.append((better == 0, abs(better) <= 1, better > 0, better < 0,
                     imo_condition(share.percent) == imo_condition(true),
                     share.low <= true <= share.high, true == 0))
    table = pd.DataFrame(rows, columns=["d610_exact", "d610_within_one", "d610_too_good", "d610_too_bad", "imo_exact",
                                        "in_interval", "clean"])
    means = table.drop(columns="clean").mean().round(4).to_dict()
    clean = table["d610_exact"][table["clean"]]
    return {"photos": len(table), **means, "clean": len(clean),
            "clean_exact": round(float(clean.mean()), 4) if len(clean) else None}


def tune(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float | None]:
    """Choose threshold and sureness so that the D610 grades miss the true ones least.

    More than these two did not pay. With an earlier model of the rendered photos, a least size of regions, the sum of
    calibrated probabilities, and means with the mirrored photo or over sizes were no better; photos larger than 512
    pixels were worse. A miss counts by how many grades it is off: with misses capped at 3, a later model got a high
    sureness, which called a fifth of rust grade 10; where each job's two numbers were chosen on the other validation
    jobs, 0.67 of the grades were exact, with a threshold alone 0.74. What was left then was that model's own: most
    validation grades that were two or more too bad showed two jobs, with orange paint and primer that it took for
    rust. So the choice can be worse than the model's own threshold, as it was for an earlier model of `report` on
    the test jobs.

    Args:
        pairs: true mask bool (H, W) and probability float32 (H, W), of photos on which no result will be reported.

    Returns:
        Of `THRESHOLDS` and `SURE` the pair with the smallest sum of misses, in grades. Of equal ones the first.
    """
    choices = [(t, s) for s, t in itertools.product(SURE, THRESHOLDS) if s is None or s > t]
    misses = np.zeros(len(choices))
    for truth, probability in pairs:
        true = d610_grade(marked_percent(truth))
        misses += [abs(d610_grade(marked_percent(mark(probability, *choice))) - true) for choice in choices]
    return choices[int(misses.argmin())]


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.grade_agreement", description=__doc__,
                                     formatter_class=raw)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", choices=SPLITS, default="test", help="which photos (default: %(default)s)")
    parser.add_argument("--model", type=Path, metavar="PATH", help="a model file; that of `report` by default")
    parser.add_argument("--tune", action="store_true", help="choose threshold and sureness on the validation photos")
    options = parser.parse_args()
    manifest, segmenter = checked(read_data(options.data)), load_segmenter(options.model, exact=True)
    parts = dict(list(manifest.groupby("split")))
    missing = {options.split, *(["validation"] if options.tune else [])} - set(parts)
    if missing:
        raise DataError(f"{options.data}: the split {min(missing)} has no photo. Give data that has some.")
    threshold, sure = segmenter.threshold, None
    if options.tune:
        threshold, sure = tune((t, p) for _, t, p in predict(segmenter, parts["validation"], progress=True))
    agreement = grade_agreement(segmenter, parts[options.split], threshold, sure, True)
    print(json.dumps({"threshold": threshold, "sure": sure, **agreement}, indent=1))


if __name__ == "__main__":
    sys.exit(exit_code(main))
