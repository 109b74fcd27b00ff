"""The figures that several lessons draw."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from corroseg_utils.dataset import CLASS_NAMES
from corroseg_utils.overlay import COLOURS, FALSE_ALARM, HIT, MISS, error_map, overlay

DPI = 80  # keeps a lesson's file small


def show_pictures(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], side: float = 2.2) -> Figure:
    """Draw a table of pictures.

    Args:
        rows: each a sequence of pictures: uint8 (H, W, 3), masks (H, W) of class indices or bool, or float (H, W) in
            [0, 1], which is drawn as a probability from dark to bright.
        titles: one a column.
        side: width of a picture in inches.
    """
    tall = side * max(row[0].shape[0] / row[0].shape[1] for row in rows)
    figure, axes = plt.subplots(len(rows), len(titles), figsize=(side * len(titles), tall * len(rows) + 0.3),
                                squeeze=False, dpi=DPI, layout="constrained")
    for row, pictures in zip(axes, rows, strict=True):
        for axis, picture in zip(row, pictures, strict=True):
            axis.set_axis_off()
            if picture.ndim == 3:
                axis.imshow(picture)
            elif np.issubdtype(picture.dtype, np.floating):
                # Limits are fixed: scaled to its own range, an empty map would look like a finding.
                axis.imshow(picture, vmin=0, vmax=1, cmap="magma")
            else:
                axis.imshow(colour_mask(picture))
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    return figure


def show_predictions(photos: np.ndarray, truths: np.ndarray, predictions: np.ndarray) -> Figure:
    """Photo, true mask, predicted mask and error map side by side, one row a photo.

    Args:
        photos: uint8 (N, H, W, 3).
        truths, predictions: class indices (N, H, W).
    """
    rows = [(photo, truth.astype(np.uint8), prediction.astype(np.uint8), error_map(photo, truth, prediction))
            for photo, truth, prediction in zip(photos, truths, predictions, strict=True)]
    figure = show_pictures(rows, ("photo", "truth", "prediction", "errors"))
    _legend(figure, {"found": HIT, "missed": MISS, "false alarm": FALSE_ALARM})
    return figure


def show_overlays(photos: Sequence[np.ndarray], masks: Sequence[np.ndarray], titles: Sequence[str]) -> Figure:
    """Overlays in one row, with the fixed legend of the classes that occur.

    Args:
        photos: uint8 (H, W, 3) each.
        masks: class indices (H, W) each, or bool for the binary view.
        titles: one a photo.
    """
    figure = show_pictures([[overlay(photo, mask.astype(np.uint8)) for photo, mask in zip(photos, masks, strict=True)]],
                           titles, side=2.8)
    present = sorted({int(index) for mask in masks for index in np.unique(mask)} - {0})
    binary = all(mask.dtype == bool for mask in masks)
    _legend(figure, {"corrosion" if binary else CLASS_NAMES[index]: COLOURS[index] for index in present})
    return figure


def plot_history(history: pd.DataFrame) -> Figure:
    """Training curves: loss and IoU, for training and validation, from the table that `training.train` returns after a
    training with validation pairs."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), dpi=DPI, layout="constrained")
    for axis, name in zip(axes, ("loss", "iou"), strict=True):
        axis.plot(history["epoch"], history[name], "o-", label="training")
        axis.plot(history["epoch"], history[f"val_{name}"], "o-", label="validation")
        axis.set(xlabel="epoch", ylabel={"loss": "loss", "iou": "IoU of corrosion"}[name])
        axis.grid(alpha=0.3)
        axis.legend()
    axes[1].set_ylim(0, 1)
    return figure


def save_gif(path: Path | str, frames: Sequence[np.ndarray], milliseconds: int = 400) -> None:
    """Write pictures uint8 (H, W, 3) of one size as an endless GIF, such as predictions epoch by epoch."""
    # One palette for all: then pixels that stay the same cost nothing, and the file is a quarter of the size.
    palette = Image.fromarray(np.concatenate(frames)).quantize(64)
    first, *others = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0)


def colour_mask(mask: np.ndarray) -> np.ndarray:
    """Class indices or bool (H, W) in the fixed colours of the legend, uint8 (H, W, 3); background is black."""
    return COLOURS[mask.astype(np.uint8)]


def _legend(figure: Figure, colours: dict[str, Sequence[int]]) -> None:
    patches = [Patch(facecolor=np.array(colour) / 255, label=label) for label, colour in colours.items()]
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
