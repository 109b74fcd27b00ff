"""Each row of the study holds the faults that it should and no others; on tiny pictures that carry their own mask."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from corroseg_utils import checks, repair_study
from corroseg_utils.dataset import read_data
from corroseg_utils.reference import reference
from corroseg_utils.repair_study import (
    Pool,
    batches,
    build,
    cross_entropy_2020,
    leaky_pool,
    repairs_of,
    split_pool,
    study,
    summary,
)

ROWS = list(repair_study.ROWS)


@pytest.fixture(scope="module")
def encoded():
    """Photos that show their own mask; the first finding is the upper half of it."""
    photos, full = checks.encoded_pairs(32, 64)
    first = full.copy()
    first[:, 32:] = 0
    return Pool(photos, first, full)


@pytest.fixture(scope="module")
def batch(encoded):
    """Row -> its first batch."""
    return {row: next(batches(encoded, repairs_of(row), seed=1)) for row in ROWS}


def test_each_row_adds_one_repair():
    assert repairs_of("2020") == frozenset()
    sizes = [len(repairs_of(row)) for row in ROWS[:-1]]
    assert sizes == list(range(len(ROWS) - 1))
    assert all(row in repairs_of(row) for row in ROWS[1:-1])
    assert repairs_of("leak") == repairs_of(ROWS[-2])
    with pytest.raises(ValueError):
        repairs_of("unknown")


@pytest.mark.parametrize("row", ROWS)
def test_pairs_fit_from_the_first_repair_on(row, encoded):
    whole = Pool(encoded.photos, encoded.full, encoded.full)
    verdict = checks.pairing(next(batches(whole, repairs_of(row), seed=1)))
    assert bool(verdict) == (row != "2020"), str(verdict)


def test_targets_become_class_indices(batch):
    for row in ROWS:
        target = batch[row][1]
        if ROWS.index(row) < ROWS.index("classes"):
            assert target.shape == (16, 64, 64, 3) and target.dtype == np.float32
            assert (target[..., 0] == target[..., 2]).all() and target.max() == 1
            assert not checks.mask_values(target, {0, 1}), "bilinear masks are grey"
        else:
            assert target.shape == (16, 64, 64) and target.dtype == np.uint8
            assert checks.mask_values(target, 2)


def test_photos_fill_their_range(batch):
    assert checks.input_range(batch["classes"][0], (0, 1))
    assert checks.input_range(batch["range"][0], (0, 255))


def test_exact_masks_lose_the_seam_of_interpolated_ones(batch):
    """Bilinear interpolation adds pixels to every corroded cell, if all that is not black counts."""
    smoothed, exact = batch["range"][1], batch["exact"][1]
    assert (smoothed >= exact).all() and smoothed.sum() > 1.02 * exact.sum()


def test_all_findings_are_seen_from_their_repair_on(batch):
    verdict = checks.dropped_findings(batch["findings"][1], batch["exact"][1])
    assert 0.3 < verdict.measured < 0.7  # the lower half of the mask
    for row in ROWS[ROWS.index("findings"):]:
        assert (batch[row][1] == batch["findings"][1]).all()


def test_a_stream_goes_on_where_it_is_told_to(encoded):
    stream = batches(encoded, repairs_of("edge"), seed=1)
    next(stream)
    second, resumed = next(stream), next(batches(encoded, repairs_of("edge"), seed=1, start=repair_study.BATCH))
    assert all((a == b).all() for a, b in zip(second, resumed, strict=True))


def test_networks_take_the_range_of_their_row():
    seen = {row: build(repairs_of(row), None, 32) for row in ("2020", "range", "edge")}
    assert [model.output_shape[-1] for model in seen.values()] == [3, 2, 2]
    assert [any(layer.name == "rescale" for layer in model.layers) for model in seen.values()] == [False, True, True]
    assert [model.name for model in seen.values()] == ["unet_2020", "unet_2020", "edge_unet"]
    answer = np.asarray(seen["2020"](np.zeros((1, 32, 32, 3), np.float32)))
    assert answer.sum(-1) == pytest.approx(1)  # a softmax; the others give logits


def test_loss_of_2020_keeps_its_own_gradient():
    """Of -sum(t log softmax(z)) it is p sum(t) - t: nothing for a black pixel, and zero at the uniform answer."""
    logits = tf.Variable([[1.0, 0.0, -1.0], [1.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    target = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 1]], np.float32)
    with tf.GradientTape() as tape:
        probabilities = keras.activations.softmax(logits)
        loss = cross_entropy_2020(target, probabilities)
    assert loss.numpy()[1:] == pytest.approx([0, 3 * np.log(3)])
    expected = 3 * probabilities.numpy() - 1
    expected[1] = 0
    assert tape.gradient(loss, logits).numpy() == pytest.approx(expected, abs=1e-6)


def test_kindest_channel_is_read():
    """A network whose channel 2 is largest where the photo is red."""
    photos, full = np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 8, 8), np.uint8)
    photos[:, :4, :, 0], full[:, :4] = 255, 1

    def network(pictures, training):
        assert not training and pictures.max() <= 1
        red = pictures[..., 0]
        return np.stack([0.5 - red, np.zeros_like(red), red], -1)

    assert repair_study.corrosion_channel(network, Pool(photos, full, full), repairs_of("paired")) == 2
    assert repair_study.corrosion_channel(network, Pool(photos, full, full), repairs_of("classes")) == 1


def test_pools_divide_no_training_job_and_the_leak_does(shared_data_2020):
    manifest = read_data(shared_data_2020)
    pool = repair_study.load_pool(manifest, 32)
    assert pool.photos.shape == (8, 32, 32, 3) and pool.full.max() == pool.first.max() == 1
    parts = split_pool(pool, manifest)
    found = manifest["findings"].map(len) > 0
    assert [len(parts[name].photos) for name in parts] == [2, 2, 0]  # the second photo of each job has no finding
    assert (parts["train"].photos == pool.photos[(manifest["split"] == "train") & found]).all()
    with_neighbours = {**parts, "neighbours": Pool(*(part[:1] for part in parts["scored"]))}
    leaky = leaky_pool(with_neighbours, seed=0)
    assert len(leaky.photos) == len(parts["train"].photos)
    assert (leaky.photos[-1] == with_neighbours["neighbours"].photos[0]).all()


def test_pool_keeps_the_first_finding_apart(shared_data_2020):
    manifest = read_data(shared_data_2020)
    reordered = manifest.assign(findings=manifest["findings"].map(lambda findings: findings[::-1]))
    pool = repair_study.load_pool(reordered, 32)  # now the pit, which lies inside the other finding, comes first
    assert (pool.first <= pool.full).all() and 0 < pool.first.sum() < pool.full.sum()


def test_study_resumes_and_refuses_other_settings(shared_data_2020, tmp_path, monkeypatch):
    calls = []

    def run_row(pools, row, seed, steps, encoder):
        calls.append((row, seed))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return {"row": row, "seed": seed, "iou": 0.1 * (seed + 1), "f1": 0.5, "seconds": 1.0}

    monkeypatch.setattr(repair_study, "run_row", run_row)
    out, few = tmp_path / "study.json", {"rows": ("2020", "edge"), "seeds": (0, 1, 2)}
    with pytest.raises(KeyboardInterrupt):
        study(shared_data_2020, out, **few)
    table = study(shared_data_2020, out, **few)
    assert calls == [("2020", 0), ("edge", 0), ("2020", 1), ("edge", 1), ("edge", 1), ("2020", 2), ("edge", 2)]
    assert table.index.tolist() == ["2020", "edge"] and table["seeds"].tolist() == [3, 3]
    assert table.loc["edge", ["iou", "low", "high"]].tolist() == pytest.approx([0.2, 0.1, 0.3])
    with pytest.raises(repair_study.StudyError, match="another file"):
        study(shared_data_2020, out, steps=7, **few)
    same_counts = shutil.copytree(shared_data_2020, tmp_path / "other")
    photo = next((same_counts / "photos").iterdir())
    photo.write_bytes(photo.read_bytes() + b"\0")
    with pytest.raises(repair_study.StudyError, match="another file"):
        study(same_counts, out, **few)
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(repair_study.StudyError, match=r"torn\.json"):
        study(shared_data_2020, tmp_path / "torn.json")


@pytest.mark.slow
def test_a_row_trains_and_scores(encoded):
    pools = {"train": encoded, "scored": encoded, "neighbours": encoded}
    run = repair_study.run_row(pools, "edge", seed=0, steps=2, encoder=None)
    assert run["row"] == "edge" and 0 <= run["iou"] <= run["f1"] <= 1


def test_stored_figures_are_those_of_the_stored_runs():
    table = summary()
    assert table.index.tolist() == ROWS and set(table["seeds"]) == {3}
    for row, scores in table.iterrows():
        assert reference(f"repair_{row}_iou") == pytest.approx(scores["iou"], abs=0.0006)  # stored to 3 places
        assert reference(f"repair_{row}_f1") == pytest.approx(scores["f1"], abs=0.0006)  # stored to 3 places


def test_stored_runs_belong_to_the_embedded_data():
    manifest = read_data(repair_study.DATA)
    setting = json.loads(repair_study.RESULTS.read_text())["setting"]
    assert (setting["photos"], setting["jobs"]) == (len(manifest), manifest["group"].nunique())
    assert setting["checksum"] == repair_study._checksum(manifest)
