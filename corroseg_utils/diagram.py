"""A U-Net drawn as a U, from the model itself: nothing in the picture is typed in by hand."""

import keras
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from corroseg_utils.figures import DPI
from corroseg_utils.models import BOTTOM, SKIPS

ENCODER, DECODER, END = "#4477aa", "#ee7733", "#bbbbbb"


def u_shapes(model: keras.Model) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Shapes (H, W, C) along both arms of a U-Net of `models`, from the top down.

    Returns:
        The left arm: input, the four maps that can be skips, the bottom. The right arm: logits and the joins.
    """
    joins = [layer.output for layer in model.layers if layer.name.endswith("_join")]
    left = [model.input, *(model.get_layer(name).output for name in (*SKIPS, BOTTOM))]
    right = [model.output, *reversed(joins)]
    return [tuple(x.shape[1:]) for x in left], [tuple(x.shape[1:]) for x in right]


def draw_unet(*models: keras.Model) -> Figure:
    """Draw U-Nets side by side, at one scale: a box is higher for more pixels, and wider for more channels.

    Args:
        models: of `models.unet_2020` or `models.edge_unet`, built for a fixed size.
    """
    figure, axes = plt.subplots(1, len(models), figsize=(6.5 * len(models), 4.6), dpi=DPI, squeeze=False,
                                layout="constrained")
    for axis, model in zip(axes[0], models, strict=True):
        left, right = u_shapes(model)
        _draw_arm(axis, left, -1, ENCODER)
        _draw_arm(axis, right, 1, DECODER)
        for level in _levels(right)[1:]:
            _arrow(axis, (-1.0, -level), (0.95, -level), "skip")
        _arrow(axis, (-1.7, -4.2), (-0.45, -4.9), "")
        _arrow(axis, (0.45, -4.9), (1.7, -4.2), "")
        axis.text(-1.7, 0.5, "photo", ha="center")
        axis.text(1.7, 0.5, "logits", ha="center")
        axis.set(xlim=(-3.4, 3.4), ylim=(-5.5, 0.75), title=model.name)
        axis.set_axis_off()
    return figure


def _draw_arm(axis: Axes, shapes: list[tuple[int, ...]], side: int, colour: str) -> None:
    levels = _levels(shapes)
    for level, above, (height, _, channels) in zip(levels, [0, *levels], shapes, strict=False):
        x, y = (0 if level == 5 else 1.7 * side), -level
        tall, wide = 0.06 * height**0.5, 0.042 * channels**0.5  # square roots, or the small ones would vanish
        fill = END if level == 0 else colour
        axis.add_patch(Rectangle((x - wide / 2, y - tall / 2), wide, tall, color=fill))
        text = f"{height} x {height} x {channels}"
        if level == 5:
            axis.text(x, y - 0.2, text, ha="center", va="top", fontsize=10)
        else:
            axis.text(x + 0.75 * side, y, text, ha="right" if side < 0 else "left", va="center", fontsize=10)
        if 0 < level < 5:
            down = [(x, -above - 0.3), (x, y + 0.3)]
            _arrow(axis, *(down if side < 0 else reversed(down)), "")


def _levels(shapes: list[tuple[int, ...]]) -> list[int]:
    """How often each map of an arm has been halved, compared with its first."""
    return [(shapes[0][0] // height).bit_length() - 1 for height, _, _ in shapes]


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], text: str) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "#777777", "shrinkA": 4, "shrinkB": 4})
    if text:
        axis.text((start[0] + end[0]) / 2, start[1] + 0.06, text, ha="center", fontsize=9, color="#777777")
