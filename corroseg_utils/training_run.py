"""From a manifest to a model file: what `python -m corroseg_utils train` does."""

import time
from pathlib import Path

import keras
import pandas as pd

from corroseg_utils import __version__, models
from corroseg_utils.dataset import DataError, load_arrays
from corroseg_utils.evaluation import best_threshold
from corroseg_utils.segmenter import keras_segmenter
from corroseg_utils.training import Recipe, train
from corroseg_utils.weights import save_model


def train_model(manifest: pd.DataFrame, out: Path | str, recipe: Recipe, network: str = "edge_unet",
                encoder_weights: str | None = "corroseg", photo_size: int = 512,
                freeze_encoder: bool = False, alpha: float = 1.0) -> dict:
    """Train on a manifest's train split, choose epoch and threshold on its validation split, write `out/model.npz`.

    Args:
        manifest: checked, with photos in both splits.
        out: folder for the results; see `training.train`.
        recipe: how to train.
        network: "edge_unet" or "unet_2020".
        encoder_weights: see `weights.load_encoder`.
        photo_size: photos are squeezed to this square in pixels, and the model is used at it.
        freeze_encoder: train the decoder alone.
        alpha: width of edge_unet's encoder.

    Returns:
        The description stored in the model file.

    Raises:
        DataError: a split is empty.
    """
    out = Path(out)
    parts = {split: manifest[manifest["split"] == split] for split in ("train", "validation")}
    for split, part in parts.items():
        if part.empty:
            raise DataError(f"The split {split} has no photo. Give more groups, or a split column.")
    keras.utils.set_random_seed(recipe.seed)
    if network == "unet_2020":
        model = models.unet_2020(photo_size, encoder_weights=encoder_weights)
    else:
        model = models.edge_unet(alpha=alpha, encoder_weights=encoder_weights)
    if encoder_weights is not None:  # batch norms without statistics to keep must find their own
        models.set_encoder_trainable(model, not freeze_encoder)
    pairs = {split: load_arrays(part, photo_size) for split, part in parts.items()}
    train(model, pairs["train"], pairs["validation"], out, recipe, [EpochLine(recipe.epochs)])
    about = {"network": network, "alpha": alpha, "classes": ["background", "corrosion"], "size": photo_size,
             "threshold": 0.5, "version": __version__}
    threshold, iou = best_threshold(keras_segmenter(model, about), parts["validation"])
    about |= {"threshold": threshold, "validation_iou": iou}
    save_model(out / "model.npz", model, about)
    return about


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
        print(f"epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.3f}  validation IoU {logs['val_iou']:.3f}  "
              f"{left / 60:.0f} min left", flush=True)
