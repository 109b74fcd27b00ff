"""One network that draws masks in several styles, such as those of its sources (multi-head training).

Each team draws masks by rules of its own: around the whole rusty part or along every flake. No network can see in a
photo who will draw its mask, so learning from all of them at once ends between their rules. Here all styles share the
network up to its last 1x1 convolution, and each has logits of its own there: a photo teaches those of its own style,
and whoever uses the model names the style of the answer.
"""

import keras
import numpy as np
from keras import ops

LAST_LAYER = "logits_quarter"  # of `models.edge_unet`: its channels are the classes of the first style, the second ...


def with_styles(masks: np.ndarray, styles: np.ndarray, classes: int) -> np.ndarray:
    """Masks that also say of which style they are.

    Args:
        masks: uint8 (N, H, W) of class indices.
        styles: int (N,), position of each mask's style.
        classes: number of classes.

    Returns:
        Labels uint8 (N, H, W): class index + classes * style.
    """
    return masks + (classes * styles).astype(np.uint8)[:, None, None]


def own_style(labels, logits, classes: int):
    """Of each photo the mask and the logits in its own style.

    Args:
        labels: (B, H, W), see `with_styles`.
        logits: (B, H, W, styles * classes).
        classes: number of classes.

    Returns:
        Class indices int32 (B, H, W) and logits (B, H, W, classes).
    """
    labels = ops.cast(labels, "int32")
    styles = ops.max(labels, axis=(1, 2)) // classes
    count = logits.shape[-1] // classes
    by_style = ops.reshape(logits, (*ops.shape(logits)[:3], count, classes))
    own = ops.one_hot(styles, count, dtype=logits.dtype)[:, None, None, :, None]
    return labels - classes * styles[:, None, None], ops.sum(by_style * own, axis=3)


class OwnStyleLoss(keras.losses.Loss):
    """Applies a loss to each photo's mask and logits in its own style; called with labels and the logits of all."""

    def __init__(self, loss: keras.losses.Loss, classes: int):
        super().__init__(name=loss.name)
        self.loss, self.classes = loss, classes

    def call(self, y_true, y_pred):
        return self.loss.call(*own_style(y_true, y_pred, self.classes))


class OwnStyleIoU(keras.metrics.IoU):
    """IoU in each photo's own style; called with labels and the logits of all styles."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(*own_style(y_true, y_pred, self.num_classes), sample_weight)


def weights_of_style(weights: dict[str, np.ndarray], style: int, classes: int) -> dict[str, np.ndarray]:
    """Cut the weights of a network of several styles down to those of a network that draws one of them.

    Args:
        weights: by "layer/variable", of an `edge_unet`.
        style: its position.
        classes: number of classes.

    Returns:
        The same weights, but of the last layer the channels of this style alone.
    """
    channels = slice(style * classes, (style + 1) * classes)
    return {name: value[..., channels] if name.startswith(f"{LAST_LAYER}/") else value
            for name, value in weights.items()}
