"""Compare training recipes: each variant on some folds and seeds, and a table of what helped.

    python -m corroseg_utils.study DATA --out DIR [--variants short ...] [--folds 0] [--seeds 0] [train options]
    python -m corroseg_utils.study --table

DATA is a manifest CSV with a fold column. Trainings lie in DIR/<variant>/fold<k>_seed<s>/, and each adds its row to
DIR/study.json when it is done; --table prints the study of the course. Run the same command again after an
interruption: rows that are there are not made again, trainings go on where they stopped, and a folder that holds a
model.npz is only scored. Further options, such as --epochs 12 for a quick look, apply to every variant; give them a
DIR of their own.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from corroseg_utils import DATA, option_values
from corroseg_utils.cross_validate import held_out_counts, identity
from corroseg_utils.errors import exit_code
from corroseg_utils.evaluation import pooled_scores
from corroseg_utils.photos import write_whole
from corroseg_utils.reference import without_nan
from corroseg_utils.training import store_or_refuse

RESULTS = DATA / "weights" / "training" / "study.json"
START = ("--weights", "build/transfer/model.npz")
WEIGHTED = ("--source-weights", "virginia_tech=3", "web=2", "cis=1", "extra=2")
SHORT = ("--size", "256", "--crop", "0.4", "0.72", "--view", "384", "--batch-size", "12", "--epochs", "4",
         "--steps", "100", "--ema", "0.99")
"""Four minutes on two cores: enough to see what changes much."""
SHORT_MIXED = (*SHORT, *START, "--train-batch-norm", "--extra", str(DATA), *WEIGHTED)
LONG = (*START, "--size", "320", "--batch-size", "12", "--steps", "100", "--ema", "0.99", "--train-batch-norm",
        "--extra", str(DATA))
CHOSEN = ("--crop", "0.5", "0.9", "--view", "384", "--all", "--threshold", "0.45")

VARIANTS = {
    "short": SHORT_MIXED,
    "short, twice as long": (*SHORT_MIXED, "--epochs", "8"),
    "short, learning rate 0.0003": (*SHORT_MIXED, "--learning-rate", "0.0003"),
    "short, lovasz": (*SHORT_MIXED, "--loss", "lovasz"),
    "short, copy-paste": (*SHORT_MIXED, "--paste", "0.5"),
    "short, batch norms frozen": (*SHORT, *START, "--extra", str(DATA), *WEIGHTED),
    "short, gaps of masks closed": (*SHORT_MIXED, "--close-gaps", "10"),
    "short, encoder frozen": (*SHORT, *START, "--extra", str(DATA), *WEIGHTED, "--freeze-encoder"),
    "short, from ImageNet": (*SHORT, "--encoder-weights", "imagenet", "--train-batch-norm", "--extra", str(DATA),
                             *WEIGHTED),
    "short, sources alike": (*SHORT, *START, "--train-batch-norm", "--extra", str(DATA)),
    "short, no rendered photos": (*SHORT, *START, "--train-batch-norm", *WEIGHTED[:-1]),
    "short, virginia_tech alone": (*SHORT, *START, "--train-batch-norm", "--source", "virginia_tech"),
    "short, whole photos": (*SHORT_MIXED, "--crop", "1", "1", "--view", "256"),
    "long": (*LONG, *WEIGHTED, *CHOSEN, "--epochs", "15"),
    "mean over three cycles": (*LONG, *WEIGHTED, *CHOSEN, "--epochs", "30", "--cycles", "3"),
    "long, older recipe": (*LONG, "--source-weights", "virginia_tech=2", "web=2", "cis=0.5", "extra=1",
                           "--crop", "0.5", "0.9", "--epochs", "20"),
    "more rendered, fewer steps": (*LONG, "--source-weights", "virginia_tech=3", "web=2", "cis=0.5", "extra=2",
                                   "--crop", "0.5", "0.9", "--epochs", "14"),
    "crops as large as the view": (*LONG, "--source-weights", "virginia_tech=3", "web=3", "cis=0.5", "extra=2",
                                   "--crop", "0.7", "1.0", "--photo-size", "384", "--epochs", "14"),
}
"""Options of `train`; of an option given twice the later one counts. START is the training on the rendered photos alone
in data/weights/training/README.md. The short ones differ from "short" in one thing each."""


def run_study(data: Path, out: Path, variants: Sequence[str], folds: Sequence[int], seeds: Sequence[int],
              further: Sequence[str] = (), results: Path | None = None) -> pd.DataFrame:
    """Train and score what is missing; the table of all rows, as `read_rows` gives it.

    Args:
        data: a manifest CSV with a fold column.
        out: folder for the trainings.
        variants: names in VARIANTS.
        folds, seeds: each variant is trained for every pair of them.
        further: options of `train` for all variants.
        results: JSON file to add the rows to, `out`/study.json when None.

    Raises:
        CorrosegError: a training failed, or `out` holds the trainings of other data.
    """
    results = results or out / "study.json"
    store_or_refuse(out / "settings.json", identity(data), "another manifest")
    rows = json.loads(results.read_text()) if results.is_file() else []
    for seed in seeds:  # all variants once before any a second time: the table is useful early
        for fold in folds:
            for variant in variants:
                train_options = [*VARIANTS[variant], *further]
                run = {"variant": variant, "options": " ".join(train_options).replace(str(DATA), "data"),
                       "fold": fold, "seed": seed}
                if any(run.items() <= row.items() for row in rows):
                    continue
                counts = held_out_counts(data, out / variant.replace(" ", "_") / f"fold{fold}_seed{seed}", fold,
                                         [*train_options, "--seed", str(seed)])
                scores = {name: pooled_scores(photos) for name, photos in counts.groupby("source")}
                rows.append({**run, "scores": without_nan(scores)})
                text = json.dumps(rows, indent=1) + "\n"
                write_whole(results, lambda file, text=text: file.write(text.encode()))
    return read_rows(results)


def read_rows(results: Path = RESULTS) -> pd.DataFrame:
    """One row a training and source: variant, options, fold, seed, source, iou, f1, share_error, photos."""
    rows = [{**{name: run[name] for name in ("variant", "options", "fold", "seed")}, "source": source,
             **{name: scores[name] for name in ("iou", "f1", "share_error", "photos")}}
            for run in json.loads(results.read_text()) for source, scores in run["scores"].items()]
    return pd.DataFrame(rows)


def study_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU of each variant by source, its spread (standard deviation; NaN for one run), and the number of runs.

    Only variants that ran on the same folds and seeds can be compared: look at `runs` first.
    """
    groups = rows.groupby(["variant", "options", "source"], sort=False)
    return groups["iou"].agg(mean="mean", spread="std", runs="size").reset_index()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.study", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the trainings")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="V",
                        help=f"of {'; '.join(map(repr, VARIANTS))} (default: all)")
    parser.add_argument("--folds", type=int, nargs="+", default=[0], metavar="K", help="folds to hold out (default: 0)")
    parser.add_argument("--seeds", type=option_values.seed, nargs="+", default=[0], metavar="N",
                        help="seeds to use (default: 0)")
    parser.add_argument("--results", type=Path, metavar="PATH",
                        help="JSON file of all rows (default: DIR/study.json; with --table: the study of the course)")
    parser.add_argument("--table", action="store_true", help="only print the table of the stored rows")
    options, further = parser.parse_known_args(arguments)
    if not options.table and (options.data is None or options.out is None):
        parser.error("give DATA and --out, or --table")
    return exit_code(lambda: _print_table(
        read_rows(options.results or RESULTS) if options.table else run_study(
            options.data, options.out, options.variants, options.folds, options.seeds, further, options.results)))


def _print_table(rows: pd.DataFrame) -> None:
    print(study_table(rows).drop(columns="options").round(3).to_string(index=False))


if __name__ == "__main__":
    sys.exit(main())
