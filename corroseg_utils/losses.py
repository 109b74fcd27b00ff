"""The training loss: every pixel counts (cross-entropy), and so does every finding (Dice, or Lovasz)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("corroseg")
class CrossEntropyLovasz(keras.losses.Loss):
    """Cross-entropy plus Lovasz-softmax loss on logits; called as `CrossEntropyDice` is."""

    def __init__(self, name: str = "cross_entropy_lovasz", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        cross_entropy = ops.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True))
        return cross_entropy + lovasz_loss(y_true, y_pred)


@keras.saving.register_keras_serializable("corroseg")
class CrossEntropyDice(keras.losses.Loss):
    """Cross-entropy plus soft Dice loss on logits.

    The Dice part is 1 - 2 |P ∩ T| / (|P| + |T|) (Milletari et al. 2016, arXiv 1606.04797, there with squares),
    taken over all pixels of the batch for each damage class and averaged. Background has no Dice part: it is never
    rare. A class absent from the batch is left out, for nothing can overlap with it.

    Call with masks of class indices (B, H, W) and logits (B, H, W, C).

    Args:
        dice_weight: weight of the Dice part beside the cross-entropy's 1.
    """

    def __init__(self, dice_weight: float = 1.0, name: str = "cross_entropy_dice", **kwargs):
        super().__init__(name=name, **kwargs)
        self.dice_weight = dice_weight

    def call(self, y_true, y_pred):
        cross_entropy = ops.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True))
        return cross_entropy + self.dice_weight * dice_loss(y_true, y_pred)

    def get_config(self):
        return {**super().get_config(), "dice_weight": self.dice_weight}


def dice_loss(masks, logits):
    """Soft Dice loss of the damage classes, a scalar in [0, 1]; 0 when the batch holds no damage.

    Args:
        masks: class indices (B, H, W).
        logits: (B, H, W, C).
    """
    probabilities = ops.softmax(logits, axis=-1)[..., 1:]
    truth = ops.one_hot(ops.cast(masks, "int32"), logits.shape[-1], dtype=probabilities.dtype)[..., 1:]
    pixels = (0, 1, 2)
    overlap = ops.sum(probabilities * truth, axis=pixels)
    area = ops.sum(truth, axis=pixels)
    dice = 2 * overlap / ops.maximum(ops.sum(probabilities, axis=pixels) + area, 1e-7)
    present = ops.cast(area > 0, dice.dtype)
    return ops.sum((1 - dice) * present) / ops.maximum(ops.sum(present), 1)


def lovasz_loss(masks, logits):
    """Lovasz-softmax loss of the damage classes (Berman et al. 2018, arXiv 1705.08790, algorithm 1), in [0, 1].

    It is 1 - IoU where the probabilities are 0 and 1, and its convex extension between; over all pixels of the batch.
    A class absent from the batch is left out, so that a batch without damage gives 0.

    Args:
        masks: class indices (B, H, W).
        logits: (B, H, W, C).
    """
    probabilities, masks = ops.softmax(logits, axis=-1), ops.cast(masks, "int32")
    losses, present = [], []
    for index in range(1, logits.shape[-1]):
        truth = ops.reshape(ops.cast(masks == index, probabilities.dtype), (-1,))
        errors = ops.abs(truth - ops.reshape(probabilities[..., index], (-1,)))
        worst_first = ops.argsort(-errors)
        errors, truth = ops.take(errors, worst_first), ops.take(truth, worst_first)
        area = ops.sum(truth)
        # 1 - IoU if the pixels up to each one, from the worst, were wrong and all others right.
        loss = 1 - (area - ops.cumsum(truth)) / ops.maximum(area + ops.cumsum(1 - truth), 1e-7)
        steps = ops.concatenate([loss[:1], loss[1:] - loss[:-1]])
        losses.append(ops.sum(errors * steps))
        present.append(ops.cast(area > 0, probabilities.dtype))
    losses, present = ops.stack(losses), ops.stack(present)
    return ops.sum(losses * present) / ops.maximum(ops.sum(present), 1)
