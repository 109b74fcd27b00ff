"""From arrays to batches: tf.data after the one-time decoding of `dataset.load_arrays`."""

import weakref

import numpy as np
import tensorflow as tf

from corroseg_utils.augment import Augmentation
from corroseg_utils.pairs import pair_stream


def make_dataset(photos: np.ndarray, masks: np.ndarray, batch_size: int, size: int | None = None,
                 augmentation: Augmentation | None = None, seed: int = 0, start: int = 0,
                 weights: np.ndarray | None = None) -> tf.data.Dataset:
    """Batches of photos and masks.

    Without augmentation: one pass in the given order. With it: an endless stream, newly shuffled in each pass, that
    depends on `seed` alone and not on threads, so that a resumed training goes on where it stopped.

    Args:
        photos: uint8 (N, H, W, 3).
        masks: uint8 (N, H, W) of class indices.
        batch_size: pairs a batch.
        size: side of the augmented pairs in pixels, H when None; must be None without augmentation.
        augmentation: how far the random transforms go.
        seed: of shuffling and augmentation.
        start: number of pairs of the endless stream to leave out, for resuming.
        weights: float (N,), how often to draw each pair compared with the others; then pairs are drawn with
            replacement, and there are no passes. None for equally often.

    Returns:
        A tf.data set of (uint8 (B, S, S, 3), uint8 (B, S, S)).
    """
    if augmentation is None:
        if size not in (None, photos.shape[1]):
            raise ValueError(f"Without augmentation pairs keep their size {photos.shape[1]}; size={size} cannot be.")
        return tf.data.Dataset.from_tensor_slices((photos, masks)).batch(batch_size).prefetch(2)
    size = size or photos.shape[1]

    # TensorFlow keeps the function below for as long as the process lives. It must not keep gigabytes of photos.
    held = [pair_stream(photos, masks, size, augmentation, seed, weights)]

    def pair(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return held[0](int(position))

    def tensors(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        photo, mask = tf.numpy_function(pair, [position], (tf.uint8, tf.uint8), stateful=False)
        return tf.ensure_shape(photo, (size, size, 3)), tf.ensure_shape(mask, (size, size))

    positions = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    pairs = positions.map(tensors, num_parallel_calls=tf.data.AUTOTUNE)
    weakref.finalize(pairs, held.clear)
    return pairs.batch(batch_size).prefetch(2)
