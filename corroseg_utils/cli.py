"""The command line: python -m corroseg_utils COMMAND.

Commands import what they need when they run, so that `segment` also works where training tools are not installed.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from corroseg_utils import __version__, benchmark, export, option_values
from corroseg_utils.errors import EXIT_CODES, STOPPED, CorrosegError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported, or its start-up notes drown ours

REPORT_COMMANDS = ("report", "corrections", "trends")
DATA_EXIT_CODES = "Exit codes: 0 all done (--skip-bad lists what it leaves out), 2 wrong usage or bad photos."
DATA_HELP = ("a folder in the 2020 layout (support_dataset.csv, photos/, masks/), a folder with images/ and masks/, "
             "or a manifest CSV with the columns image and mask; photos of one asset stay together by the manifest's "
             "column group, or by a name CDM_<number>... or CDS_<number>...")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m corroseg_utils", epilog=EXIT_CODES,
                                     description="Find corrosion in photos. Every command explains itself: "
                                                 "python -m corroseg_utils segment --help")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for add_parser in (_add_segment, _add_train, _add_evaluate, export.add_parser, benchmark.add_parser):
        add_parser(commands)
    if not arguments or arguments[0] not in commands.choices:
        try:
            for add_parser in _report_parsers():
                add_parser(commands)
        except ImportError as error:
            if arguments and arguments[0] in REPORT_COMMANDS:
                return _not_installed(arguments[0], error)
            for name in REPORT_COMMANDS:
                commands.add_parser(name, help="not installed here: needs requirements.txt")
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except ImportError as error:
        return _not_installed(arguments[0], error)
    except (FileExistsError, NotADirectoryError) as error:
        print(f"error: {error.filename}: a folder is needed here, and there is a file. Give another name.",
              file=sys.stderr)
        return 2
    except PermissionError as error:
        print(f"error: {error.filename}: you have no right to read or write this. Give another name, or ask for the "
              "right.", file=sys.stderr)
        return 2
    except (CorrosegError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Photos and epochs that were finished are kept; `report` and `train` go on when called again.",
              file=sys.stderr)
        return STOPPED


def _report_parsers():
    """The commands around reports. They need OpenCV and pandas, which the other commands shall not wait for, and which
    a small computer that only segments has not."""
    from corroseg_utils import corrections, report, trends

    return report.add_parser, corrections.add_parser, trends.add_parser


def _not_installed(command: str, error: ImportError) -> int:
    print(f"error: {command} needs more than is installed here ({error}). Install it, in the folder of the "
          f"repository: {sys.executable} -m pip install -r requirements.txt", file=sys.stderr)
    return 2


def _add_segment(commands) -> None:
    parser = commands.add_parser(
        "segment", help="mark corrosion in photos", epilog=EXIT_CODES,
        description="For each photo write OUT/<stem>_mask.png (0 background, 255 corrosion), OUT/<stem>_overlay.jpg, "
                    "and one OUT/summary.csv.")
    parser.add_argument("photos", nargs="+", metavar="PHOTO_OR_FOLDER", help="photos, or folders of them")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--model", type=Path, metavar="PATH",
                        help="a model file, or the name of a shipped one, such as corroseg_exact; corroseg by default")
    parser.add_argument("--threshold", type=option_values.probability, metavar="T",
                        help="probability 0-1 from which a pixel is marked; the model's own by default")
    _add_style(parser)
    parser.add_argument("--scale", type=option_values.scale, metavar="S",
                        help="look at the photo tile by tile at this scale (0-1; 1 is full size), which finds smaller "
                             "damage on large photos, but misses damage that then looks larger than in the training "
                             "photos; by default the model sees the whole photo at once")
    parser.set_defaults(run=_segment)


def _segment(options: argparse.Namespace) -> int:
    from corroseg_utils.photo_quality import unclear_photos
    from corroseg_utils.segment import find_photos, segment_photos
    from corroseg_utils.segmenter import load_segmenter

    photos = find_photos(options.photos)
    segmenter = load_segmenter(options.model, style=options.style)
    if options.threshold is not None:
        segmenter.threshold = options.threshold
    rows = segment_photos(segmenter, photos, options.out, options.scale)
    failed = [row for row in rows if row["error"]]
    for row in failed:
        print(f"failed: {row['error']}", file=sys.stderr)
    warning = unclear_photos({row["photo"]: row["quality"] for row in rows if not row["error"]}, "summary.csv")
    if warning:
        print(warning, file=sys.stderr)
    print(f"{len(photos) - len(failed)} of {len(photos)} photos done, results in {options.out}")
    return 1 if failed else 0


class _DefaultsFormatter(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str:
        """The help with its default, unless there is none."""
        none = action.default is None or action.default is False or action.default == []
        return action.help if none else super()._get_help_string(action)


def _add_train(commands) -> None:
    parser = commands.add_parser(
        "train", help="train a model on your own data", formatter_class=_DefaultsFormatter,
        description="Train a model. Run the same command again after an interruption: it goes on where it stopped. "
                    "OUT/model.npz is the result; OUT/log.csv, OUT/recipe.json and OUT/tensorboard say how it came "
                    "to be.", epilog=DATA_EXIT_CODES)
    parser.add_argument("data", metavar="DATA", type=Path, help=DATA_HELP)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--network", choices=("edge_unet", "unet_2020"), default="edge_unet", help="see lesson 03")
    parser.add_argument("--alpha", type=float, choices=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4), default=1.0,
                        help="width of edge_unet")
    parser.add_argument("--encoder-weights", metavar="W",
                        help="start of the encoder: corroseg (default: of the shipped model, which has seen all photos "
                             "that its card names), imagenet (downloaded once), none, or a model file")
    parser.add_argument("--photo-size", type=option_values.side, default=512, metavar="PX",
                        help="training photos are squeezed to this square before crops are cut from them")
    parser.add_argument("--view", type=option_values.side, metavar="PX",
                        help="side of the square at which the model is validated and used; without it --photo-size")
    parser.add_argument("--size", type=option_values.side, default=256, metavar="PX", help="side of the training crops")
    parser.add_argument("--epochs", type=option_values.count, default=35, metavar="N", help="passes of --steps batches")
    parser.add_argument("--cycles", type=option_values.count, default=1, metavar="N",
                        help="let the learning rate fall to 0 so many times over the epochs, and take the mean of the "
                             "weights at these ends")
    parser.add_argument("--steps", type=option_values.count, default=24, metavar="N", help="batches an epoch")
    parser.add_argument("--batch-size", type=option_values.count, default=16, metavar="N", help="photos a batch")
    parser.add_argument("--learning-rate", type=option_values.inner_probability, default=1e-3, metavar="R",
                        help="at the start; falls to 0")
    parser.add_argument("--weights", metavar="PATH", help="start the whole network from this model file")
    parser.add_argument("--keep-start", type=option_values.probability, default=0.0, metavar="S",
                        help="with --weights: the result is the mean of these weights and the trained ones, and this "
                             "the share of the former; keeps more of what the model knew before")
    parser.add_argument("--classes", choices=("corrosion", "damage", "condition"), default="corrosion",
                        help="what to tell apart: corrosion from background, the damage classes cor, rus, pit and lom, "
                             "or the conditions fair, poor and severe (mask values 1, 2 and 3)")
    parser.add_argument("--loss", choices=("dice", "lovasz"), default="dice",
                        help="what is added to the cross-entropy")
    parser.add_argument("--ema", type=option_values.probability, metavar="M",
                        help="use a moving average of the weights with this momentum, such as 0.998")
    parser.add_argument("--crop", type=option_values.crop_side, nargs=2, default=(0.5, 1.0), metavar=("LOW", "HIGH"),
                        help="smallest and largest side of the training crops, as a share of the photo's")
    parser.add_argument("--haze", type=option_values.probability, default=0.0, metavar="P",
                        help="probability that a training crop is seen through haze")
    parser.add_argument("--paste", type=option_values.probability, default=0.0, metavar="P",
                        help="probability that damage of another photo is pasted in")
    parser.add_argument("--source-weights", nargs="+", type=option_values.weight, default=[], metavar="SOURCE=W",
                        help="how often to draw each photo of a source, against 1 for each of those not named; 0 for "
                             "never; of a large source more is drawn all the same")
    parser.add_argument("--extra", type=Path, nargs="+", default=[], metavar="DATA",
                        help="train also on the training photos of these data sets, as the source extra")
    parser.add_argument("--close-gaps", type=option_values.count, metavar="PX",
                        help="fill gaps up to 2 PX wide in all masks, in pixels of --photo-size, for exact masks where "
                             "the model shall meet hand-drawn ones; none unless given")
    parser.add_argument("--mask-styles", nargs="+", type=option_values.style, default=[], metavar="SOURCE[=T]",
                        help="learn how each of these sources draws its masks, with logits and a threshold T of its "
                             "own for each (without T: --threshold; without that the best one on validation photos of "
                             "the source, or 0.5 if there are none); `segment --style` then names a source, and by "
                             "default draws as the first one does. Name all sources; one style unless given")
    batch_norm = parser.add_mutually_exclusive_group()
    batch_norm.add_argument("--freeze-encoder", action="store_true", help="train the decoder alone: faster, less exact")
    batch_norm.add_argument("--train-batch-norm", action="store_true",
                            help="let the encoder's batch norms learn too: better from a few hundred batches on")
    parser.add_argument("--patience", type=option_values.count, metavar="N",
                        help="stop after N epochs without a better IoU")
    _add_parts(parser, "hold out")
    parser.add_argument("--all", action="store_true",
                        help="train on every photo that is not held out, whatever its split: for a recipe already "
                             "chosen; the last epoch counts")
    parser.add_argument("--threshold", type=option_values.inner_probability, metavar="T",
                        help="probability from which the model marks a pixel (default: the one with the highest IoU on "
                             "the validation photos, or 0.5 with --all)")
    parser.add_argument("--seed", type=option_values.seed, default=0, metavar="N",
                        help="of weights, shuffling and augmentation")
    parser.add_argument("--skip-bad", action="store_true", help="leave out photos with problems, and list them")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from dataclasses import replace

    if options.all and options.patience is not None:
        raise CorrosegError("--patience needs validation photos, and --all trains on them. Leave one of the two out.")
    if options.cycles > 1 and options.patience is not None:
        raise CorrosegError("--patience stops before the last of the --cycles. Leave one of the two out.")
    if options.crop[0] > options.crop[1]:
        raise CorrosegError(f"--crop {options.crop[0]:g} {options.crop[1]:g}: give the smaller side first.")
    if options.keep_start and not options.weights:
        raise CorrosegError("--keep-start keeps a share of the --weights that the training starts from. Give both.")
    if options.weights and options.encoder_weights:
        raise CorrosegError("--weights starts the whole network, encoder included, and --encoder-weights the encoder "
                            "alone. Give one of them.")
    from corroseg_utils.segmenter import import_keras_quietly

    import_keras_quietly()
    from corroseg_utils.augment import INSPECTION
    from corroseg_utils.dataset import DataError, read_data
    from corroseg_utils.training import Recipe
    from corroseg_utils.training_run import Setup, train_model, with_extra

    recipe = Recipe(size=options.size, epochs=options.epochs, cycles=options.cycles, steps=options.steps,
                    batch_size=options.batch_size, learning_rate=options.learning_rate, loss=options.loss,
                    ema=options.ema, patience=options.patience, seed=options.seed,
                    augmentation=replace(INSPECTION, crop=tuple(options.crop), haze=options.haze,
                                         paste=options.paste))
    setup = Setup(network=options.network, alpha=options.alpha, classes=options.classes, weights=options.weights,
                  keep_start=options.keep_start,
                  encoder_weights=None if options.encoder_weights == "none" else options.encoder_weights or "corroseg",
                  photo_size=options.photo_size, view=options.view, freeze_encoder=options.freeze_encoder,
                  train_batch_norm=options.train_batch_norm, source_weights=dict(options.source_weights),
                  close_gaps=options.close_gaps or 0, mask_styles=dict(options.mask_styles), validate=not options.all,
                  threshold=options.threshold)
    manifest = _manifest(options)
    if options.all:
        held_out = options.fold is not None or options.held_out_source is not None
        manifest = manifest.assign(split=manifest["split"].where(held_out & (manifest["split"] == "test"), "train"))
    for extra in options.extra:
        manifest = with_extra(manifest, _checked(read_data(extra), options.skip_bad))
    try:
        about = train_model(manifest, options.out, recipe, setup)
    except DataError as error:
        raise DataError(f"{options.data}: {error}") from error
    if "validation_iou" in about:
        print(f"Validation IoU at the photos' own size: {about['validation_iou']:.3f}, at threshold "
              f"{about['threshold']:.3f}.")
    for style, threshold in about.get("mask_styles", {}).items():
        print(f"Masks of {style}: threshold {threshold:.3f}.")
    print(f"The model is {options.out / 'model.npz'}")
    return 0


def _add_evaluate(commands) -> None:
    parser = commands.add_parser(
        "evaluate", help="score a model on photos with masks", epilog=DATA_EXIT_CODES,
        description="Pooled IoU, F1, precision and recall of corrosion at the photos' own size, with a 95 % interval "
                    "by bootstrap over groups.")
    parser.add_argument("data", metavar="DATA", type=Path, help=DATA_HELP)
    parser.add_argument("--model", type=Path, metavar="PATH",
                        help="a model file, or the name of a shipped one, such as corroseg_exact; corroseg by default")
    _add_style(parser)
    parser.add_argument("--split", choices=("train", "validation", "test", "all"), default="test",
                        help="which photos (default: test)")
    parser.add_argument("--scale", type=option_values.scale, metavar="S",
                        help="look at the photos tile by tile at this scale (0-1), as `segment --scale` does; by "
                             "default the model sees each photo at once")
    _add_parts(parser, "score")
    parser.add_argument("--skip-bad", action="store_true", help="leave out photos with problems, and list them")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from corroseg_utils.dataset import DataError
    from corroseg_utils.evaluation import evaluate, evaluate_classes
    from corroseg_utils.reference import without_nan
    from corroseg_utils.segmenter import load_segmenter

    manifest = _manifest(options)
    if options.split != "all":
        manifest = manifest[manifest["split"] == options.split]
    if manifest.empty:
        raise DataError(f"{options.data}: the split {options.split} has no photo. Add a column split, "
                        "or score all photos (--split all), if the model learned from none of them.")
    segmenter = load_segmenter(options.model, style=options.style)
    scores = evaluate(segmenter, manifest, progress=True, scale=options.scale)
    if len(segmenter.classes) > 2:
        scores |= evaluate_classes(segmenter, manifest, progress=True, scale=options.scale)
    if options.json:
        print(json.dumps(without_nan(scores), indent=2))
    else:
        _print_scores(scores)
    return 0


def _print_scores(scores: dict) -> None:
    from corroseg_utils.metrics import interval_text

    for name in ("iou", "f1"):
        print(f"{name:<12} {scores[name]:.3f}  (95 % interval: {interval_text(*scores[f'{name}_interval'])})")
    for name in ("precision", "recall", "accuracy"):
        print(f"{name:<12} {scores[name]:.3f}")
    print(f"{scores['photos']} photos of {scores['groups']} groups, threshold {scores['threshold']:.3f}")
    print(f"corroded share: median relative error {scores['share_error']:.1%} (photos with 1 % and more)")
    if scores["clean_photos"]:
        print(f"{scores['clean_photos']} photos without corrosion: {scores['clean_marked']:.2%} of their pixels marked")
    if "confusion" in scores:
        print(f"mean IoU {scores['mean_iou']:.3f}, mean recall {scores['mean_recall']:.3f}\n"
              f"{'true class':<12} {'IoU':>6} {'recall':>6}  pixels by predicted class")
        for name, row in zip(scores["class_iou"], scores["confusion"], strict=True):
            print(f"{name:<12} {scores['class_iou'][name]:6.3f} {scores['class_recall'][name]:6.3f}  {row}")


def _add_style(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--style", metavar="S", help="draw masks as this source does, if the model was trained with "
                                                     "--mask-styles; as its first one by default")


def _add_parts(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument("--source", metavar="S", help="use only this source of a manifest CSV")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--fold", type=int, metavar="K", help=f"{verb} this fold of a manifest CSV")
    part.add_argument("--held-out-source", metavar="S", help=f"{verb} this source of a manifest CSV")


def _manifest(options: argparse.Namespace):
    """The part of a data set that the options name, checked, with what they hold out as test split."""
    from corroseg_utils.dataset import DataError, read_data
    from corroseg_utils.dataset_checks import check_groups
    from corroseg_utils.folds import hold_out_fold, hold_out_source, only_source

    manifest = read_data(options.data)
    is_split = options.fold is None and options.held_out_source is None
    if is_split and not getattr(options, "all", False) and getattr(options, "split", None) != "all":
        check_groups(manifest, options.data)
    # Held out before anything is left away: a scene goes to the fold of its first photo, which must stay the same one.
    try:
        if options.fold is not None:
            manifest = hold_out_fold(manifest, options.fold)
        elif options.held_out_source is not None:
            manifest = hold_out_source(manifest, options.held_out_source)
        if options.source is not None:
            manifest = only_source(manifest, options.source)
    except DataError as error:
        raise DataError(f"{options.data}: {error}") from error
    return _checked(manifest, options.skip_bad)


def _checked(manifest, skip_bad: bool):
    from corroseg_utils.dataset_checks import checked

    manifest = checked(manifest, skip_bad, progress=True)
    for problem in manifest.attrs["skipped"]:
        print(f"skipped: {problem}", file=sys.stderr)
    return manifest
