"""From a manifest to a model file: what `python -m corroseg_utils train` does."""

import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from corroseg_utils import __version__, models
from corroseg_utils.augment import close_gaps
from corroseg_utils.dataset import CLASS_NAMES, DataError, load_arrays
from corroseg_utils.evaluation import best_threshold
from corroseg_utils.mask_styles import with_styles
from corroseg_utils.segmenter import Segmenter, keras_segmenter, model_path
from corroseg_utils.training import Recipe, TrainingError, store_or_refuse, train
from corroseg_utils.weights import load_weights, same_logits, save_model

CLASSES = {"corrosion": ("background", "corrosion"), "damage": CLASS_NAMES,
           "condition": ("background", "fair", "poor", "severe")}
"""What a model can be trained to tell apart: corrosion of any kind, the damage classes of the rendered set, or the
condition states of `virginia_tech`."""


@dataclass(frozen=True)
class Setup:
    """What a recipe is applied to, stored beside the results as `setup.json`.

    Attributes:
        network: "edge_unet" or "unet_2020".
        alpha: width of edge_unet.
        classes: a name in CLASSES.
        encoder_weights: see `weights.load_encoder`.
        weights: model file to start the whole network from, instead of the encoder alone.
        keep_start: share of the weights to start from in the result, 0-1: the mean of both keeps more of what the model
            knew before than the trained ones alone (Wortsman et al. 2022, arXiv 2109.01903).
        photo_size: training photos are squeezed to this square in pixels before crops are cut from them.
        view: the square at which the model is validated and used; `photo_size` when None. The best one need not show
            damage as large as the training crops do: see data/weights/training/TRIALS.md.
        freeze_encoder: train the decoder alone.
        train_batch_norm: let the encoder's batch norms learn too, see `models.set_encoder_trainable`.
        source_weights: how often to draw a training photo, by its source; 1 for a source that is not named.
        close_gaps: radius of the gaps that are filled in all masks, see `augment.close_gaps`, in pixels of photos of
            `photo_size`; for exact masks when the model shall meet hand-drawn ones.
        mask_styles: sources that shall each have logits of their own (see the module `mask_styles`), with the threshold
            of each. None: `threshold`; without that the one with the highest IoU on the validation photos of the
            source, or 0.5 if there are none. The model draws as the first source does unless another is named. A source
            without a training photo is left out. Empty: one style for all.
        validate: choose the epoch on the validation split, and the threshold if none is given. False for a recipe
            already chosen: the last epoch counts.
        threshold: probability from which the model marks a pixel. None: the one with the highest IoU on the validation
            split, or 0.5 without one.
    """

    network: str = "edge_unet"
    alpha: float = 1.0
    classes: str = "corrosion"
    encoder_weights: str | None = "corroseg"
    weights: str | None = None
    keep_start: float = 0.0
    photo_size: int = 512
    view: int | None = None
    freeze_encoder: bool = False
    train_batch_norm: bool = False
    source_weights: dict[str, float] = field(default_factory=dict)
    close_gaps: int = 0
    mask_styles: dict[str, float | None] = field(default_factory=dict)
    validate: bool = True
    threshold: float | None = None


def train_model(manifest: pd.DataFrame, out: Path | str, recipe: Recipe, setup: Setup) -> dict:
    """Train on a manifest's train split, choose by its validation split, write `out/model.npz`.

    Args:
        manifest: checked, with photos in both splits (`setup.validate` False: in the train split).
        out: folder for the results; see `training.train`.
        recipe: how to train.
        setup: what to train.

    Returns:
        The description stored in the model file.

    Raises:
        DataError: a split is empty, no validation photo shows corrosion, a mask holds a class that the model shall not
            know, a named source is missing, or a photo has no mask style where others have one.
        TrainingError: `out` holds another training, the network of 2020 would be given a width, trained and used at two
            sizes, or in several mask styles, damage shall be pasted across styles, or a share of a model with other
            classes or styles shall be kept.
        ModelError: the weights to start from are missing, cannot be fetched, or belong to another network.
    """
    out, names, view = Path(out), CLASSES[setup.classes], setup.view or setup.photo_size
    if setup.network == "unet_2020" and setup.alpha != 1:
        raise TrainingError("unet_2020 has one width. Leave out --alpha, or --network unet_2020.")
    if setup.network == "unet_2020" and recipe.size != view:
        raise TrainingError(f"unet_2020 is made for one size, but crops are of {recipe.size} pixels and the view of "
                            f"{view}. Give --size and --view the same number, such as 128.")
    styles = _styles(manifest, setup)
    if styles and (setup.network == "unet_2020" or recipe.augmentation.paste):
        raise TrainingError("Mask styles are for edge_unet, and for photos that keep to one style each. Leave out "
                            "--mask-styles, or --network unet_2020 and --paste.")
    same = bool(setup.weights) and same_logits(setup.weights, names, styles)
    if setup.keep_start and not same:
        raise TrainingError(f"{setup.weights} knows other classes or mask styles, so there is no mean of its weights "
                            "and the trained ones. Leave out --keep-start, or give a model of "
                            f"{', '.join(names)}{' in the styles ' + ', '.join(styles) if styles else ''}.")
    splits = ("train", "validation") if setup.validate else ("train",)
    parts = {split: manifest[manifest["split"] == split] for split in splits}
    for split, part in parts.items():
        if part.empty:
            raise DataError(f"The split {split} has no photo. Give more groups, or a split column; or train on "
                            "every photo (--all).")
    photo_weights = _photo_weights(manifest, setup.source_weights)
    keras.utils.set_random_seed(recipe.seed)
    encoder_weights = None if setup.weights else setup.encoder_weights
    if setup.network == "unet_2020":
        model = models.unet_2020(view, len(names), encoder_weights)
    else:
        model = models.edge_unet(None, len(names) * max(1, len(styles)), setup.alpha, encoder_weights)
    if setup.weights:
        load_weights(model, setup.weights, same)
    if setup.weights or encoder_weights or setup.freeze_encoder:  # else batch norms must find their own statistics
        models.set_encoder_trainable(model, not setup.freeze_encoder, setup.train_batch_norm)
    pairs = {split: _load_pairs(part, setup.photo_size if split == "train" else view, setup, styles)
             for split, part in parts.items()}
    if setup.validate and not (pairs["validation"][1] % len(names)).any():
        raise DataError("No validation photo shows corrosion, so none can tell a good epoch from a bad one. Move a "
                        "group that shows some to the split validation, or train on every photo (--all).")
    start_file = model_path(setup.weights or setup.encoder_weights or "")
    checksum = {"start_checksum": zlib.crc32(start_file.read_bytes())} if start_file.is_file() else {}
    store_or_refuse(out / "setup.json", asdict(setup) | checksum,
                    "a training with another setup, or from other weights")
    start = model.get_weights()
    train(model, pairs["train"], pairs.get("validation"), out, recipe, [EpochLine(recipe.epochs)], photo_weights,
          max(1, len(styles)))
    if setup.keep_start:
        model.set_weights([setup.keep_start * before + (1 - setup.keep_start) * after
                           for before, after in zip(start, model.get_weights(), strict=True)])
    about = {"network": setup.network, "alpha": setup.alpha, "classes": list(names), "size": view,
             "threshold": 0.5 if setup.threshold is None else setup.threshold, "version": __version__}
    photos = parts["validation"] if setup.validate and setup.threshold is None else manifest.iloc[:0]
    gaps = setup.close_gaps / setup.photo_size
    if styles:
        about["mask_styles"] = {
            style: setup.mask_styles[style] or _threshold(_one_style(model, about, position),
                                                          photos[photos["source"] == style], gaps)
            for position, style in enumerate(styles)}
    elif len(photos):
        threshold, iou = best_threshold(keras_segmenter(model, about), photos, gaps)
        about |= {"threshold": threshold, "validation_iou": iou}
    save_model(out / "model.npz", model, about)
    return about


def _one_style(model: keras.Model, about: dict, position: int) -> Segmenter:
    """A segmenter that draws in one of the styles of a model in memory."""
    channels = slice(position * len(about["classes"]), (position + 1) * len(about["classes"]))
    return Segmenter(lambda photos: np.asarray(model.predict_on_batch(photos))[..., channels], about)


def _threshold(segmenter: Segmenter, photos: pd.DataFrame, gaps: float) -> float:
    """The best threshold on these photos; without photos the segmenter's own."""
    return best_threshold(segmenter, photos, gaps)[0] if len(photos) else segmenter.threshold


def with_extra(manifest: pd.DataFrame, extra: pd.DataFrame) -> pd.DataFrame:
    """Add the training photos of another data set to a manifest, as the source "extra"."""
    extra = extra[extra["split"] == "train"]
    extra = extra.assign(source="extra", group="extra/" + extra["group"])
    return pd.concat([manifest, extra], ignore_index=True)


def _load_pairs(photos: pd.DataFrame, size: int, setup: Setup, styles: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Photos and masks as `dataset.load_arrays` gives them, with the gaps of the masks closed if the setup says so, and
    with styles labels of `mask_styles.with_styles` instead of masks."""
    binary, classes = setup.classes == "corrosion", len(CLASSES[setup.classes])
    if setup.close_gaps and not binary:
        raise DataError("Gaps can be closed in masks of corrosion alone, not in those of several classes.")
    pixels, masks = load_arrays(photos, size, binary)
    highest = masks.max(axis=(1, 2), initial=0)
    if (highest >= classes).any():
        worst = int(highest.argmax())
        raise DataError(f"The mask of {photos['photo'].iloc[worst]} holds class {highest[worst]}, but "
                        f"{setup.classes!r} ends at {classes - 1}. Train {' or '.join(CLASSES)}, or use one source of "
                        "the data.")
    if radius := round(setup.close_gaps * size / setup.photo_size):
        masks[:] = [close_gaps(mask, radius) for mask in masks]
    if styles:
        masks = with_styles(masks, photos["source"].map(styles.index).to_numpy(), classes)
    return pixels, masks


def _styles(manifest: pd.DataFrame, setup: Setup) -> list[str]:
    """The mask styles that the training photos teach, in the order of the setup."""
    if not setup.mask_styles:
        return []
    sources = manifest["source"] if "source" in manifest else pd.Series("", manifest.index)
    known = sorted(set(sources.dropna()) - {""})
    if not known:
        raise DataError("--mask-styles needs a column source in the data, or --extra. Add it to the manifest CSV.")
    missing = [style for style in setup.mask_styles if style not in known]
    if missing:
        raise DataError(f"No photo has the source {missing[0]!r}, so there is no such mask style. "
                        f"There are {', '.join(known)}.")
    taught = set(sources[manifest["split"] == "train"]) - {s for s, w in setup.source_weights.items() if w == 0}
    styles = [style for style in setup.mask_styles if style in taught]
    used = manifest["split"] != "test"
    other = manifest["photo"][used & ~sources.isin(styles)]
    if len(other):
        raise DataError(f"{other.iloc[0]} has the source {sources[other.index[0]]!r}, and no training photo teaches "
                        "how its mask is drawn. Name all sources with --mask-styles, with training photos of each.")
    return styles


def _photo_weights(manifest: pd.DataFrame, source_weights: dict[str, float]) -> np.ndarray | None:
    """The weight of each training photo. A source that is named and wholly held out is no mistake."""
    if not source_weights:
        return None
    sources = manifest["source"] if "source" in manifest else pd.Series("", manifest.index)
    missing = sorted(set(source_weights) - set(sources))
    if missing:
        known = ", ".join(sorted(set(sources.dropna()) - {""})) or "none"
        raise DataError(f"No photo has the source {missing[0]!r}. There are {known}.")
    weights = np.array([source_weights.get(source, 1.0) for source in sources[manifest["split"] == "train"]])
    if not weights.any():
        raise DataError("All sources of the training photos have weight 0. Give one of them more.")
    return weights


class EpochLine(keras.callbacks.Callback):
    """Prints one line an epoch, with the time left."""

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs, self.durations = epochs, []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.durations.append(time.perf_counter() - self.start)
        left = (self.epochs - epoch - 1) * sum(self.durations) / len(self.durations)
        score = f"validation IoU {logs['val_iou']:.3f}" if "val_iou" in logs else f"training IoU {logs['iou']:.3f}"
        print(f"epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.3f}  {score}  {left / 60:.0f} min left",
              flush=True)
