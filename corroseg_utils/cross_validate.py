"""Hold out each part of a data set in turn: every photo is scored by a model that never saw it.

    python -m corroseg_utils.cross_validate DATA --out DIR [--folds 0 1 2 3 4 | --by-source] [options of `train`]

DATA is a manifest CSV with a fold column, or, with --by-source, a source column. Run the same command again after an
interruption: it goes on where it stopped. DIR/results.json holds the scores, DIR/<part>/ each training, and
DIR/<part>/photos.csv its pixel counts photo by photo; with --classes damage or condition, DIR/<part>/classes.json holds
its scores class by class. {part} in an option stands for the part's name: with --weights FIRST/{part}/model.npz each
training goes on from that of another cross-validation for the same part.

With --mask-styles each photo is scored in the style of its source, so the model is told who drew the mask; a source
that is held out, in the first style.

A start must not have seen the held-out part either. For the sources from which the shipped model learned
(data/weights/README.md) give --encoder-weights imagenet or none: the default start has seen all of their photos.
"""

import argparse
import json
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from corroseg_utils import cli
from corroseg_utils.dataset import read_data
from corroseg_utils.dataset_checks import checked
from corroseg_utils.errors import STOPPED, CorrosegError, exit_code
from corroseg_utils.evaluation import class_scores, evaluate_classes, photo_counts, pooled_scores
from corroseg_utils.folds import hold_out_fold, hold_out_source
from corroseg_utils.metrics import interval_text
from corroseg_utils.photos import write_whole
from corroseg_utils.reference import without_nan
from corroseg_utils.segmenter import Segmenter, load_segmenter
from corroseg_utils.training import store_or_refuse
from corroseg_utils.weights import styles_of

CLASSES = "classes.json"  # in a part's folder: its scores class by class


def cross_validate(data: Path, out: Path, parts: Sequence[int | str], train_options: Sequence[str] = (),
                   source: str | None = None) -> dict:
    """Hold out each part in turn, train on the rest, and pool the scores of all.

    Args:
        data: a manifest CSV.
        out: folder for the trainings and results.json.
        parts: folds by number, or sources by name.
        train_options: further options of the command `train`.
        source: use only this source of the data.

    Returns:
        The settings: `data` and `checksum` of the manifest, `source`, `train_options`; `parts` as given; `sources`, by
        name, and `all`: the pooled scores of `evaluation.pooled_scores`, `iou_by_part`, and of the photos with
        corrosion, each with its own IoU, the `median_iou` and the share `below_03` whose IoU is below 0.3; `classes`:
        `evaluation.class_scores` over all parts, where the models know more classes than corrosion. The same as in
        results.json.

    Raises:
        CorrosegError: a training failed; what went wrong was printed.
    """
    settings = {**identity(data), "source": source, "train_options": list(train_options)}
    counts = pd.concat([held_out_counts(data, out / name_of(part), part, train_options, source).assign(part=str(part))
                        for part in parts], ignore_index=True)
    results = {**settings, "parts": list(parts), "all": _scores(counts),
               "sources": {name: _scores(rows) for name, rows in counts.groupby("source") if name}}
    by_class = [json.loads(path.read_text()) for part in parts if (path := out / name_of(part) / CLASSES).is_file()]
    if by_class:
        confusion = np.sum([scores["confusion"] for scores in by_class], axis=0)
        results["classes"] = class_scores(confusion, list(by_class[0]["class_iou"]))
    text = json.dumps(without_nan(results), indent=1) + "\n"
    write_whole(out / "results.json", lambda file: file.write(text.encode()))
    return results


def held_out_counts(data: Path, out: Path, part: int | str, train_options: Sequence[str] = (),
                    source: str | None = None) -> pd.DataFrame:
    """Train without one part, unless `out` holds the model, and count its pixels: see `evaluation.photo_counts`.

    Args:
        data: a manifest CSV.
        out: folder for the training and photos.csv.
        part: fold by number, or source by name.
        train_options, source: see `cross_validate`.

    Raises:
        CorrosegError: the training failed.
    """
    table = out / "photos.csv"
    options = [option.replace("{part}", name_of(part)) for option in train_options]
    store_or_refuse(out / "run.json", {**identity(data), "source": source, "part": part, "train_options": options},
                    "another manifest, part or other options of `train`")
    if not table.is_file():
        if not (out / "model.npz").is_file():
            hold_out = ["--fold", str(part)] if isinstance(part, int) else ["--held-out-source", part]
            hold_out += ["--source", source] if source else []
            try:
                failed = cli.main(["train", str(data), "--out", str(out), *hold_out, *options])
            finally:
                if not any((out / name).is_file() for name in ("setup.json", "model.npz")):  # nothing has begun
                    (out / "run.json").unlink(missing_ok=True)
            if failed == STOPPED:
                raise SystemExit(STOPPED)  # it has said so itself
            if failed:
                raise CorrosegError(f"{out}: the training without part {part} failed; see above.")
            keras.utils.clear_session()  # one process trains many models
        manifest = read_data(data)
        manifest = hold_out_fold(manifest, part) if isinstance(part, int) else hold_out_source(manifest, part)
        test = manifest[(manifest["split"] == "test") & (source is None or manifest.get("source") == source)]
        test = checked(test, "--skip-bad" in train_options)
        by_style = _by_style(out / "model.npz", test)
        names = by_style[0][0].classes
        if len(names) > 2:
            confusion = np.sum([evaluate_classes(segmenter, photos, progress=True)["confusion"]
                                for segmenter, photos in by_style], axis=0)
            classes = json.dumps(without_nan(class_scores(confusion, names)), indent=1)
            write_whole(out / CLASSES, lambda file: file.write(classes.encode()))
        counts = pd.concat([photo_counts(segmenter, photos, progress=True).set_index(photos.index)
                            for segmenter, photos in by_style]).sort_index()
        write_whole(table, lambda file: file.write(counts.to_csv(index=False).encode()))
    return pd.read_csv(table, dtype={"photo": str, "group": str, "source": str}, keep_default_na=False)


def _by_style(model: Path, photos: pd.DataFrame) -> list[tuple[Segmenter, pd.DataFrame]]:
    """Who scores which photos: a model draws the masks of each source in its style, and of a new one in its first."""
    styles = styles_of(model)
    if not styles:
        return [(load_segmenter(model), photos)]
    style = photos["source"].where(photos["source"].isin(styles), next(iter(styles)))
    return [(load_segmenter(model, style=name), own) for name, own in photos.groupby(style)]


def identity(data: Path) -> dict:
    """What tells one manifest from another of the same name, so that no scores of the one are taken for the other's."""
    return {"data": data.name, "checksum": zlib.crc32(data.read_bytes())}


def name_of(part: int | str) -> str:
    """Folder name of a part: "fold0", or the source's name."""
    return f"fold{part}" if isinstance(part, int) else part


def _scores(counts: pd.DataFrame) -> dict:
    by_part = {part: pooled_scores(rows)["iou"] for part, rows in counts.groupby("part")}
    corroded = counts[counts["misses"] + counts["hits"] > 0]
    ious = corroded["hits"] / (corroded["hits"] + corroded["misses"] + corroded["false_alarms"])
    return {**pooled_scores(counts), "iou_by_part": by_part, "median_iou": float(ious.median()),
            "below_03": float((ious < 0.3).mean())}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils.cross_validate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="a manifest CSV")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for trainings and scores")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--folds", type=int, nargs="+", metavar="K", help="only these folds (default: all)")
    parts.add_argument("--by-source", action="store_true", help="leave out one source at a time")
    parser.add_argument("--source", metavar="S", help="use only this source")
    options, train_options = parser.parse_known_args(arguments)
    return exit_code(lambda: _run(options, train_options))


def _run(options: argparse.Namespace, train_options: Sequence[str]) -> None:
    found = _parts(options)
    results = cross_validate(options.data, options.out, options.folds or found, train_options, options.source)
    for name, scores in {**results["sources"], "all": results["all"]}.items():
        print(f"{name:<16} IoU {scores['iou']:.3f} ({interval_text(*scores['iou_interval'])})  F1 {scores['f1']:.3f}  "
              f"{scores['photos']} photos")
    print(f"All scores are in {options.out / 'results.json'}")


def _parts(options: argparse.Namespace) -> list[int | str]:
    """All folds of the data, or all its sources."""
    manifest = read_data(options.data)
    column = "source" if options.by_source else "fold"
    if column not in manifest:
        raise CorrosegError(f"{options.data}: there is no column {column!r} in it, which says what to hold out.")
    if manifest[column].isna().any():
        photo = manifest["photo"][manifest[column].isna()].iloc[0]
        raise CorrosegError(f"{options.data}: {photo.name} has no {column}. Fill that cell, or leave the row out.")
    found = sorted(manifest[column].convert_dtypes().unique().tolist())  # folds that were 1.0 become 1
    wrong = [part for part in found if not str(part).removesuffix(".0").isdigit()]
    if wrong and not options.by_source:
        raise CorrosegError(f"{options.data}: a fold is a whole number, but there is {wrong[0]!r}. Number them.")
    return found


if __name__ == "__main__":
    sys.exit(main())
