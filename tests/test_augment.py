import numpy as np
import pytest

from corroseg_utils.augment import (
    FAULTS,
    GEOMETRY_2020,
    INSPECTION,
    Augmentation,
    augment_pair,
    close_gaps,
    degrade,
    haze,
    noise,
    paste_damage,
    random_affine,
)

STILL = Augmentation(flip=False, shear=0, zoom=0)


def noise_pair(height=40, width=40, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (height, width, 3)).astype(np.uint8),
            rng.integers(0, 5, (height, width)).astype(np.uint8))


def blocks_pair(side=64):
    """A mask of 8-pixel blocks of classes 0-4, and a photo whose red tells the class."""
    mask = np.random.default_rng(3).integers(0, 5, (side // 8, side // 8)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    return np.repeat(mask[..., None] * 60, 3, -1), mask


def test_the_identity_is_pixel_exact():
    photo, mask = noise_pair()
    new_photo, new_mask = augment_pair(photo, mask, 40, STILL, np.random.default_rng(0))
    assert np.array_equal(new_photo, photo) and np.array_equal(new_mask, mask)


def test_a_flip_is_pixel_exact_and_strikes_half_of_the_time():
    photo, mask = noise_pair()
    flipped = 0
    for seed in range(100):
        new_photo, new_mask = augment_pair(photo, mask, 40, Augmentation(shear=0, zoom=0), np.random.default_rng(seed))
        mirrored = not np.array_equal(new_mask, mask)
        step = -1 if mirrored else 1
        assert np.array_equal(new_photo, photo[:, ::step]) and np.array_equal(new_mask, mask[:, ::step])
        flipped += mirrored
    assert 30 < flipped < 70


def test_the_squeeze_of_the_whole_photo_keeps_its_corners():
    matrix = random_affine((30, 60), 20, STILL, np.random.default_rng(0))
    # The middle of the answer's corner pixels, in pixels of the photo: 3 wide and 1.5 high each.
    assert matrix @ [0, 0, 1] == pytest.approx([1, 0.25])
    assert matrix @ [19, 19, 1] == pytest.approx([58, 28.75])


def test_a_crop_stays_inside_the_photo():
    crop = Augmentation(flip=False, shear=0, zoom=0, crop=(0.3, 0.9))
    for seed in range(50):
        matrix = random_affine((100, 200), 32, crop, np.random.default_rng(seed))
        for corner in ((-0.5, -0.5, 1), (31.5, 31.5, 1)):
            x, y = matrix @ corner
            assert -0.5 - 1e-9 <= x <= 199.5 + 1e-9 and -0.5 - 1e-9 <= y <= 99.5 + 1e-9


def test_limits_of_shear_zoom_and_rotation_hold():
    square = (64, 64)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        linear = random_affine(square, 64, Augmentation(flip=False, shear=0, zoom=0.2), rng)[:, :2]
        assert np.allclose(linear, np.diag(np.diag(linear))) and (np.abs(1 / np.diag(linear) - 1) <= 0.2 + 1e-9).all()
        assert linear[0, 0] != linear[1, 1]  # width and height apart
        linear = random_affine(square, 64, Augmentation(flip=False, shear=0.2, zoom=0), rng)[:, :2]
        assert abs(linear[0, 1]) <= 0.2 and np.allclose(np.delete(linear.ravel(), 1), [1, 0, 1])
        linear = random_affine(square, 64, Augmentation(flip=False, shear=0, zoom=0, rotate=10), rng)[:, :2]
        angle = np.degrees(np.arctan2(linear[1, 0], linear[0, 0]))
        assert abs(angle) <= 10 and np.allclose(linear @ linear.T, np.eye(2))


@pytest.mark.parametrize("augmentation", [GEOMETRY_2020, Augmentation(rotate=30, crop=(0.4, 1.0), shear=0.3)])
def test_photo_and_mask_move_together(augmentation):
    photo, mask = blocks_pair()
    for seed in range(20):
        new_photo, new_mask = augment_pair(photo, mask, 64, augmentation, np.random.default_rng(seed))
        inside = np.ones_like(new_mask, bool)  # away from the blocks' edges, which the photo blurs
        for axis in (0, 1):
            for shift in (-1, 1):
                inside &= np.roll(new_mask, shift, axis) == new_mask
        inside[[0, -1]] = inside[:, [0, -1]] = False
        decoded = np.rint(new_photo[..., 0] / 60).astype(np.uint8)
        assert inside.mean() > 0.4
        assert (decoded[inside] == new_mask[inside]).mean() > 0.995


@pytest.mark.parametrize("augmentation", [GEOMETRY_2020, INSPECTION, Augmentation(rotate=45, quality=1.0)])
def test_masks_hold_no_new_value(augmentation):
    photo, _ = noise_pair()
    mask = np.random.default_rng(1).choice(np.array([0, 2, 4], np.uint8), (40, 40))
    for seed in range(30):
        new_photo, new_mask = augment_pair(photo, mask, 32, augmentation, np.random.default_rng(seed))
        assert set(np.unique(new_mask)) <= {0, 2, 4}
        assert new_photo.shape == (32, 32, 3) and new_mask.shape == (32, 32)
        assert new_photo.dtype == new_mask.dtype == np.uint8


def test_the_generator_alone_decides():
    photo, mask = noise_pair()
    wild = Augmentation(rotate=20, crop=(0.5, 1.0), quality=0.5)
    first, again, other = (augment_pair(photo, mask, 40, wild, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_camera_fault_changes_the_photo_and_only_so_far(fault):
    y, x = np.mgrid[0:48, 0:64]
    photo = np.stack([60 + 120 * ((x // 8 + y // 8) % 2), 80 + y, 60 + x], -1).astype(np.uint8)
    for seed in range(20):
        worse = fault(photo, np.random.default_rng(seed))
        assert worse.shape == photo.shape and worse.dtype == np.uint8 and worse.flags.c_contiguous
        assert not np.array_equal(worse, photo)
        # It is the same scene still: its bright fields stay brighter than the dark ones.
        assert np.corrcoef(worse[..., 0].ravel(), photo[..., 0].ravel())[0, 1] > 0.3


@pytest.mark.parametrize("level", [0, 255])
def test_noise_does_not_turn_black_into_white(level):
    flat = np.full((40, 40, 3), level, np.uint8)
    for seed in range(5):
        grain = noise(flat, np.random.default_rng(seed)).astype(int) - level
        assert 0 < np.abs(grain).max() < 128  # a standard deviation of at most 15


def test_faults_strike_as_often_as_told():
    photo, _ = noise_pair()
    assert degrade(photo, 0.0, np.random.default_rng(0)) is photo
    untouched = sum(degrade(photo, 0.2, np.random.default_rng(seed)) is photo for seed in range(200))
    assert untouched / 200 == pytest.approx(0.8 ** len(FAULTS), abs=0.12)


def test_haze_takes_contrast_and_adds_grey():
    photo = np.zeros((4, 6, 3), np.uint8)
    photo[:, 3:] = 255
    left, grey = [], []
    for seed in range(200):
        dark, light = haze(photo, np.random.default_rng(seed))[0, [0, 5]].astype(float)
        left.append((light - dark).mean() / 255)
        grey.append(np.mean(dark / (1 - left[-1])) if left[-1] < 0.9 else 180)  # dark = (1 - left) * grey
    assert 0.29 < min(left) < 0.35 and 0.95 < max(left) <= 1
    assert 110 < min(grey) < 130 and 230 < max(grey) < 252


def test_haze_strikes_as_often_as_told_and_leaves_the_geometry_alone():
    photo, mask = noise_pair()

    def pair(seed, share):
        return augment_pair(photo, mask, 40, Augmentation(crop=(0.5, 1.0), haze=share), np.random.default_rng(seed))

    struck = 0
    for seed in range(100):
        (clear, first), (seen, second) = pair(seed, 0.0), pair(seed, 0.3)
        assert np.array_equal(first, second)
        struck += not np.array_equal(clear, seen)
    assert struck / 100 == pytest.approx(0.3, abs=0.12)


def test_gaps_are_filled_up_to_twice_the_radius():
    mask = np.zeros((30, 60), np.uint8)
    mask[10:20, [*range(5, 15), *range(19, 29), *range(40, 50)]] = 1  # gaps of 4 and of 11 columns
    closed = close_gaps(mask, 3)
    assert closed.shape == mask.shape and closed.dtype == np.uint8 and (closed >= mask).all()
    assert closed[15, 15:19].all() and not closed[15, 30:39].any()
    assert not closed[:, 50:].any() and not closed[:10].any()  # it does not grow outwards


def test_damage_at_the_border_of_a_photo_keeps_its_shape():
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 14:] = 1
    mask[17:, :4] = 1
    assert np.array_equal(close_gaps(mask, 4), mask)
    assert not close_gaps(np.zeros_like(mask), 4).any()


def test_pasted_damage_brings_its_mask_along():
    photo, mask = np.full((40, 40, 3), 200, np.uint8), np.zeros((40, 40), np.uint8)
    mask[:5] = 2
    donor, donor_mask = np.full((40, 40, 3), 50, np.uint8), np.zeros((40, 40), np.uint8)
    donor_mask[10:30, 10:30] = 3
    pasted, pasted_mask = paste_damage(photo, mask, donor, donor_mask)
    assert np.array_equal(pasted_mask, mask + donor_mask) and pasted.dtype == pasted_mask.dtype == np.uint8
    assert (pasted[15:25, 15:25] == 50).all() and (pasted[:4] == 200).all() and (pasted[:, 36:] == 200).all()
    assert 50 < pasted[10, 20, 0] < 200  # blended at the border
    assert np.array_equal(paste_damage(photo, mask, donor, np.zeros_like(mask))[0], photo)
