import gc
import weakref

import numpy as np
import pytest

from corroseg_utils.augment import GEOMETRY_2020, Augmentation
from corroseg_utils.pairs import batches, pair_stream, shuffled_index
from corroseg_utils.pipeline import make_dataset

COUNT, SIDE = 200, 32
FLIP = Augmentation(shear=0, zoom=0)


@pytest.fixture(scope="module")
def encoded():
    """200 pairs whose photo holds its mask in red and its number in green."""
    masks = np.random.default_rng(0).integers(0, 5, (COUNT, SIDE, SIDE)).astype(np.uint8)
    photos = np.zeros((COUNT, SIDE, SIDE, 3), np.uint8)
    photos[..., 0] = masks * 50
    photos[..., 1] = np.arange(COUNT)[:, None, None]
    return photos, masks


def take(dataset, batches):
    found = [(photos.numpy(), masks.numpy()) for photos, masks in dataset.take(batches)]
    return np.concatenate([photos for photos, _ in found]), np.concatenate([masks for _, masks in found])


def test_200_encoded_pairs_stay_paired_through_the_parallel_map(encoded):
    photos, masks = take(make_dataset(*encoded, 8, augmentation=FLIP), COUNT // 8)
    assert np.array_equal(photos[..., 0], masks * 50)  # every pixel of every pair
    numbers = photos[:, 0, 0, 1]
    assert sorted(numbers) == list(range(COUNT))  # one pass holds each pair once
    mirrored = 0
    for number, mask in zip(numbers, masks, strict=True):
        original = encoded[1][number]
        mirrored += (is_mirrored := not np.array_equal(mask, original))
        assert np.array_equal(mask, original[:, ::-1] if is_mirrored else original)
    assert 60 < mirrored < 140


def test_pairs_stay_paired_under_the_geometry_of_2020(encoded):
    photos = encoded[0].copy()
    photos[..., 0] = photos[..., 1]  # the number everywhere: interpolation cannot change it
    masks = np.broadcast_to((np.arange(COUNT) % 5).astype(np.uint8)[:, None, None], encoded[1].shape)
    photos, masks = take(make_dataset(photos, masks, 8, augmentation=GEOMETRY_2020), COUNT // 8)
    assert np.array_equal(photos[..., 1] % 5, masks)


def test_one_seed_one_stream(encoded):
    wild = Augmentation(rotate=20, crop=(0.5, 1.0), quality=0.3)
    first, again, other = (take(make_dataset(*encoded, 8, 16, wild, seed), 4) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert first[0].shape == (32, 16, 16, 3) and first[1].shape == (32, 16, 16)
    assert not np.array_equal(first[0], other[0])


def test_the_seed_decides_the_transforms_and_not_only_the_order(encoded):
    wild = Augmentation(rotate=20, crop=(0.5, 1.0))
    one = encoded[0][:1], encoded[1][:1]  # of one pair there is one order
    first, again, other = (pair_stream(*one, 16, wild, seed)(0)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_start_resumes_the_stream_across_the_end_of_a_pass(encoded):
    few = encoded[0][:10], encoded[1][:10]
    whole = take(make_dataset(*few, 4, augmentation=GEOMETRY_2020, seed=3), 6)
    rest = take(make_dataset(*few, 4, augmentation=GEOMETRY_2020, seed=3, start=8), 4)
    assert np.array_equal(whole[0][8:], rest[0]) and np.array_equal(whole[1][8:], rest[1])


def test_every_pass_is_shuffled_anew_and_holds_each_pair_once():
    passes = [[shuffled_index(position, 50, 7) for position in range(start, start + 50)] for start in (0, 50, 100)]
    assert all(sorted(order) == list(range(50)) for order in passes)
    assert len(set(map(tuple, passes))) == 3
    assert passes[0] != [shuffled_index(position, 50, 8) for position in range(50)]


def test_without_augmentation_one_pass_in_order(encoded):
    batches = list(make_dataset(*encoded, 64))
    assert [len(photos) for photos, _ in batches] == [64, 64, 64, 8]  # the last ones are not dropped
    photos, masks = take(make_dataset(*encoded, 64), 4)
    assert np.array_equal(photos, encoded[0]) and np.array_equal(masks, encoded[1])
    assert batches[0][0].dtype.name == batches[0][1].dtype.name == "uint8"


def test_a_size_without_augmentation_is_refused(encoded):
    with pytest.raises(ValueError, match="keep their size 32; size=16"):
        make_dataset(*encoded, 8, 16)


def test_weights_decide_how_often_a_pair_is_drawn(encoded):
    weights = np.zeros(COUNT)
    weights[[3, 7]] = 1, 3
    photos, masks = take(make_dataset(*encoded, 8, augmentation=FLIP, weights=weights), 50)
    assert np.array_equal(photos[..., 0], masks * 50)
    numbers = photos[:, 0, 0, 1].tolist()
    assert set(numbers) == {3, 7} and 60 < numbers.count(3) < 140
    rest, _ = take(make_dataset(*encoded, 8, augmentation=FLIP, weights=weights, start=80), 40)
    assert np.array_equal(rest, photos[80:])


def test_damage_of_other_pairs_is_pasted(encoded):
    clean = np.zeros_like(encoded[1])
    clean[::2, 8:24, 8:24] = 1  # half of the pairs are damaged
    photos = np.repeat(clean[..., None] * 200, 3, -1)

    def damaged(probability):
        pasted, masks = take(make_dataset(photos, clean, 8, augmentation=Augmentation(paste=probability)), COUNT // 8)
        assert (pasted[masks == 0] < 200).all() and (pasted[masks > 0] > 20).all()
        return (masks > 0).any((1, 2)).mean()

    assert damaged(0.0) == 0.5 < damaged(0.3) < 0.65 < damaged(1.0) < 0.85


def test_damage_is_pasted_from_pairs_that_may_be_drawn(encoded):
    masks = np.zeros_like(encoded[1])
    masks[0] = 1  # damaged alone, and never to be drawn
    weights = np.ones(COUNT)
    weights[0] = 0
    _, pasted = take(make_dataset(encoded[0], masks, 8, augmentation=Augmentation(paste=1), weights=weights), COUNT)
    assert not pasted.any()


def test_photos_are_let_go_with_their_stream(encoded):
    copies = [array.copy() for array in encoded]
    stream = iter(make_dataset(*copies, 8, augmentation=FLIP))
    held = [weakref.ref(array) for array in copies]
    del copies
    next(stream)  # still there, for the stream needs them
    assert all(array() is not None for array in held)
    del stream
    gc.collect()
    assert all(array() is None for array in held)


def test_other_backends_are_fed_the_same_batches(encoded):
    wild = Augmentation(rotate=20, crop=(0.5, 1.0), quality=0.3, paste=0.5)
    weights = np.arange(COUNT)
    expected = take(make_dataset(*encoded, 8, 16, wild, seed=4, start=24, weights=weights), 5)
    stream = batches(pair_stream(*encoded, 16, wild, seed=4, weights=weights), 8, start=24)
    found = [np.concatenate(parts) for parts in zip(*(next(stream) for _ in range(5)), strict=True)]
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])
