"""The endless stream of augmented pairs: which pair stands at a position, and batches of them without TensorFlow."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np

from corroseg_utils.augment import Augmentation, augment_pair, paste_damage

Pair = tuple[np.ndarray, np.ndarray]


def pair_stream(photos: np.ndarray, masks: np.ndarray, size: int, augmentation: Augmentation, seed: int = 0,
                weights: np.ndarray | None = None) -> Callable[[int], Pair]:
    """The stream as a function from a position, from 0 on, to the pair that stands there.

    A pair depends on seed and position alone, and not on which thread made it. Without weights every pass over the data
    holds each pair once.

    Args:
        photos: uint8 (N, H, W, 3).
        masks: uint8 (N, H, W) of class indices.
        size: side of the augmented pairs in pixels.
        augmentation: how far the random transforms go.
        seed: of shuffling and augmentation.
        weights: float (N,), how often to draw each pair compared with the others; then pairs are drawn with
            replacement, and there are no passes. None for equally often.

    Returns:
        A function that gives uint8 (size, size, 3) and uint8 (size, size).
    """
    if weights is not None:
        weights = np.asarray(weights, float) / np.sum(weights)

    def pair(position: int) -> Pair:
        rng = np.random.default_rng([seed, position])
        index = shuffled_index(position, len(photos), seed) if weights is None else rng.choice(len(photos), p=weights)
        photo, mask = augment_pair(photos[index], masks[index], size, augmentation, rng)
        if augmentation.paste and rng.random() < augmentation.paste:
            donor = rng.choice(len(photos), p=weights)
            photo, mask = paste_damage(photo, mask, *augment_pair(photos[donor], masks[donor], size, augmentation, rng))
        return photo, mask

    return pair


def batches(pair: Callable[[int], Pair], batch_size: int, start: int = 0,
            ahead: int = 4) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of a stream for Keras on another backend than TensorFlow, made by one thread a core.

    Args:
        pair: from `pair_stream`.
        batch_size: pairs a batch.
        start: number of pairs to leave out, for resuming.
        ahead: batches in the making while one is used.

    Yields:
        uint8 (batch_size, S, S, 3) and uint8 (batch_size, S, S), without end.
    """
    with ThreadPoolExecutor(cpu_count()) as threads:
        waiting = deque()
        while True:
            while len(waiting) < ahead * batch_size:
                waiting.append(threads.submit(pair, start))
                start += 1
            photos, masks = zip(*(waiting.popleft().result() for _ in range(batch_size)), strict=True)
            yield np.stack(photos), np.stack(masks)


def shuffled_index(position: int, count: int, seed: int) -> int:
    """Which of `count` pairs stands at `position` of the endless shuffled stream (every pass holds each pair once)."""
    number_of_pass, place = divmod(position, count)
    return int(np.random.default_rng([seed, number_of_pass, 0x5EED]).permutation(count)[place])
