"""Training that a kill cannot spoil. Run as a script, this file is the training that gets killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import tiny_photo

from corroseg_utils import training
from corroseg_utils.augment import GEOMETRY_2020
from corroseg_utils.losses import CrossEntropyDice, CrossEntropyLovasz
from corroseg_utils.photos import resize_mask, resize_photo
from corroseg_utils.training import Checkpoint, Recipe, TrainingError, prepare_batch_norm, train

RECIPE = Recipe(size=32, epochs=3, steps=2, batch_size=4, learning_rate=0.01, augmentation=GEOMETRY_2020)


def tiny_network(name="tiny"):
    """Two convolutions with a batch norm between: enough to find red, and to go wrong at inference."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return keras.Model(pixels, keras.layers.Conv2D(2, 1)(x), name=name)


def tiny_pairs(first=0, count=8):
    pairs = [tiny_photo(seed) for seed in range(first, first + count)]
    return (np.stack([resize_photo(photo, (32, 32)) for photo, _ in pairs]),
            np.stack([resize_mask(damage.astype(np.uint8), (32, 32)) for _, damage in pairs]))


TRAIN, VALIDATION = tiny_pairs(), tiny_pairs(20, 4)


class KillInEpoch2(keras.callbacks.Callback):
    """Kills its own process, as kill -9 does, after the first step of the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)


class Cut(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def run(out, recipe=RECIPE, callbacks=()):
    model = tiny_network()
    return train(model, TRAIN, VALIDATION, out, recipe, list(callbacks)), model.get_weights()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    return out, *run(out)


def assert_same(found, undisturbed):
    _, log, weights = undisturbed
    pd.testing.assert_frame_equal(found[0], log, rtol=1e-5)
    for new, old in zip(found[1], weights, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-6)


def test_resuming_after_kill_9_gives_what_an_undisturbed_run_gives(undisturbed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    killed = subprocess.run([sys.executable, __file__, str(tmp_path)], env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(pd.read_csv(tmp_path / "log.csv")) == 1  # no more than the epoch under way is lost
    # Had the kill come while the second epoch was being stored, weights would lie there that no state names yet.
    for name in ("best.weights.h5", "epoch002.weights.h5", "writing-best.weights.h5"):
        (tmp_path / name).write_bytes((undisturbed[0] / "epoch003.weights.h5").read_bytes())
    assert_same(run(tmp_path), undisturbed)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "log.csv"), undisturbed[1])
    assert [file.name for file in tmp_path.glob("epoch*")] == ["epoch003.weights.h5"]


class NoEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        raise AssertionError("a finished training trains no more")


def test_a_finished_training_is_only_loaded(undisturbed):
    assert_same(run(undisturbed[0], callbacks=[NoEpoch()]), undisturbed)


def test_what_a_training_leaves_behind(undisturbed):
    out, log, weights = undisturbed
    assert list(log.columns) == ["epoch", "loss", "iou", "val_loss", "val_iou"]
    assert log["epoch"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(pd.read_csv(out / "log.csv"), log)
    assert list((out / "tensorboard").rglob("events*"))
    assert json.loads((out / "recipe.json").read_text())["learning_rate"] == 0.01
    best = tiny_network()
    best.load_weights(out / "best.weights.h5")
    for stored, left in zip(best.get_weights(), weights, strict=True):
        assert np.array_equal(stored, left)  # the model is left with its best epoch
    # The best epoch is the one whose weights score the best IoU on the validation photos.
    prediction = np.asarray(best(VALIDATION[0])).argmax(-1)
    iou = np.logical_and(prediction, VALIDATION[1]).sum() / np.logical_or(prediction, VALIDATION[1]).sum()
    assert iou == pytest.approx(log["val_iou"].max(), abs=1e-4)


def test_another_training_in_the_same_folder_is_refused(undisturbed, monkeypatch):
    out = undisturbed[0]
    recipe = (out / "recipe.json").read_text()
    others = [(tiny_network(), TRAIN, replace(RECIPE, epochs=4)), (tiny_network("other"), TRAIN, RECIPE),
              (tiny_network(), tiny_pairs(1), RECIPE)]
    for model, pairs, other in others:
        with pytest.raises(TrainingError, match="recipe.json is of a training with another.*Give a new folder"):
            train(model, pairs, VALIDATION, out, other)
    monkeypatch.setattr(keras.backend, "backend", lambda: "another")
    with pytest.raises(TrainingError, match="or backend of Keras. Give a new folder"):
        train(tiny_network(), TRAIN, VALIDATION, out, RECIPE)
    assert (out / "recipe.json").read_text() == recipe


def test_other_weights_of_the_photos_are_another_training(undisturbed):
    with pytest.raises(TrainingError, match="recipe.json is of a training with another"):
        train(tiny_network(), TRAIN, VALIDATION, undisturbed[0], RECIPE, photo_weights=np.ones(8))


@pytest.mark.parametrize(("loss", "kind"), [("dice", CrossEntropyDice), ("lovasz", CrossEntropyLovasz)])
def test_a_model_is_trained_as_its_recipe_says(loss, kind):
    model = tiny_network()
    training.compile_model(model, replace(RECIPE, loss=loss, weight_decay=0.05, dice_weight=3.0))
    assert type(model.loss) is kind and model.optimizer.weight_decay == 0.05
    assert getattr(model.loss, "dice_weight", 3.0) == 3.0
    # Three epochs of two steps: by the cosine, a rate of 0.01 is halved after three and 0 after six.
    rate = model.optimizer._learning_rate
    assert [float(rate(step)) for step in (0, 3, 6)] == pytest.approx([0.01, 0.005, 0], abs=1e-6)


def test_the_average_of_the_weights_is_what_is_scored_and_kept(tmp_path):
    """Resumed after a cut too: the average goes on from where it stood."""
    recipe = replace(RECIPE, ema=0.8)
    log, weights = run(tmp_path / "whole", recipe)
    cut = Cut()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", recipe, [cut])
    assert_same(run(tmp_path / "cut", recipe), (None, log, weights))
    model = tiny_network()
    prediction = model.set_weights(weights) or np.asarray(model(VALIDATION[0])).argmax(-1)
    iou = np.logical_and(prediction, VALIDATION[1]).sum() / np.logical_or(prediction, VALIDATION[1]).sum()
    assert iou == pytest.approx(log["val_iou"].max(), abs=1e-4)
    last = tiny_network()
    training.compile_model(last, recipe)
    last.optimizer.build(last.trainable_variables)
    last.load_weights(tmp_path / "whole" / "epoch003.weights.h5")
    assert log["val_iou"].idxmax() == 2, "the comparison needs the last epoch to be the best: give another seed"
    assert not np.allclose(last.get_weights()[0], weights[0])  # training goes on with weights that are not the average
    last.optimizer.finalize_variable_values(last.trainable_variables)
    np.testing.assert_allclose(last.get_weights()[0], weights[0])


def test_the_mean_over_cycles_is_the_result(tmp_path):
    """Resumed after a cut in the second cycle too."""
    recipe = replace(RECIPE, epochs=4, cycles=2)
    rates = []
    note = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: rates.append(
        float(note.model.optimizer.learning_rate)))
    log, weights = run(tmp_path / "whole", recipe, [note])
    assert rates[0] == pytest.approx(0.01) and rates[4] == pytest.approx(0.007)  # it starts anew
    assert rates[3] < rates[2] < rates[0] and rates[7] < rates[5] < rates[4]
    ends = []
    for number in (1, 2):
        model = tiny_network()
        model.load_weights(tmp_path / "whole" / f"cycle{number}.weights.h5")
        ends.append(model.get_weights())
    assert not np.allclose(ends[0][0], ends[1][0])
    for mean, first, second in zip(weights, *ends, strict=True):
        np.testing.assert_allclose(mean, (first + second) / 2, atol=1e-6)

    class CutInEpoch4(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", recipe, [CutInEpoch4()])
    assert_same(run(tmp_path / "cut", recipe), (None, log, weights))
    with pytest.raises(TrainingError, match="3 epochs cannot be divided into 2 cycles.*Give 4"):
        run(tmp_path / "odd", replace(RECIPE, cycles=2))


def test_without_validation_pairs_the_last_epoch_counts(tmp_path):
    model = tiny_network()
    log = train(model, TRAIN, None, tmp_path, RECIPE)
    assert list(log.columns) == ["epoch", "loss", "iou"] and len(log) == 3
    last = tiny_network()
    training.compile_model(last, RECIPE)
    last.optimizer.build(last.trainable_variables)
    last.load_weights(tmp_path / "epoch003.weights.h5")
    for kept, stored in zip(model.get_weights(), last.get_weights(), strict=True):
        assert np.array_equal(kept, stored)


def test_patience_from_the_first_epoch_on(tmp_path):
    log = train(tiny_network(), TRAIN, VALIDATION, tmp_path, replace(RECIPE, epochs=30, learning_rate=0, patience=2))
    assert len(log) == log["val_iou"].idxmax() + 3 < 30  # nothing is learned but batch-norm statistics


def test_early_stopping_and_the_best_epoch(tmp_path):
    model = tiny_network()
    training.compile_model(model, RECIPE)
    checkpoint = Checkpoint(tmp_path, patience=2)
    checkpoint.set_model(model)
    model.optimizer.build(model.trainable_variables)
    stopped = []
    for epoch, iou in enumerate([0.1, 0.5, 0.5, 0.4]):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        checkpoint.on_epoch_end(epoch, {"loss": 1, "iou": 0, "val_loss": 1, "val_iou": iou})
        stopped.append(bool(model.stop_training))
    assert stopped == [False, False, False, True]  # two epochs after the best one, which an equal one is not
    model.load_weights(tmp_path / "best.weights.h5")
    assert all((weight == 1).all() for weight in model.get_weights())
    resumed = Checkpoint(tmp_path, patience=2)
    assert resumed.restore(model) == 4 and resumed.finished(epochs=100)
    assert all((weight == 3).all() for weight in model.get_weights())
    (tmp_path / "state.json").unlink()  # as when the first epoch's weights are there, but not its state
    afresh = Checkpoint(tmp_path, None)
    assert afresh.restore(model) == 0 and not afresh.finished(epochs=1)


def test_inference_follows_training_with_few_steps(tmp_path):
    """With Keras's batch-norm momentum the training IoU rises while inference answers nonsense."""
    recipe = replace(RECIPE, epochs=4, steps=8, learning_rate=0.03)
    log, _ = run(tmp_path, recipe)
    last = log.iloc[-1]
    assert last["iou"] > 0.6 and last["val_iou"] > last["iou"] - 0.15


def test_momentum_reaches_nested_batch_norms():
    inner = keras.Sequential([keras.layers.Conv2D(2, 1), keras.layers.BatchNormalization()])
    outer = keras.Sequential([keras.Input((4, 4, 3)), inner, keras.layers.BatchNormalization()])
    prepare_batch_norm(outer)
    assert inner.layers[1].momentum == outer.layers[1].momentum == training.BATCH_NORM_MOMENTUM < 0.99


@pytest.mark.parametrize("trainable", [True, False])
def test_fused_batch_norms_compute_what_keras_does(trainable):
    photos = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    unfused, fused = tiny_network(), tiny_network()
    training.fuse_batch_norm(fused)
    for model in (unfused, fused):
        training.batch_norms(model)[0].trainable = trainable
    for answer in (lambda model: model(photos, training=True), lambda model: model.predict(photos, verbose=0)):
        np.testing.assert_allclose(answer(fused), answer(unfused), rtol=1e-3, atol=1e-4)
    # The running variance is the unbiased one: a share of 1 / (4 * 32 * 32) larger.
    for new, old in zip(fused.get_weights(), unfused.get_weights(), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-5)
    moved = not np.array_equal(fused.get_weights()[4], tiny_network().get_weights()[4])
    assert moved == trainable


def test_a_training_runs_and_resumes_on_another_backend(tmp_path):
    pytest.importorskip("jax", reason="another backend of Keras: pip install jax")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "KERAS_BACKEND": "jax"}
    exit_codes = [subprocess.run([sys.executable, __file__, str(tmp_path / out), *whole], env=environment).returncode
                  for out, whole in (("undisturbed", ["whole"]), ("killed", []), ("killed", ["whole"]))]
    assert exit_codes == [0, -signal.SIGKILL, 0]
    undisturbed, killed = (pd.read_csv(tmp_path / out / "log.csv") for out in ("undisturbed", "killed"))
    pd.testing.assert_frame_equal(killed, undisturbed, rtol=1e-5)
    assert len(killed) == RECIPE.epochs and killed["loss"].iloc[-1] < killed["loss"].iloc[0]
    assert not (tmp_path / "killed" / "tensorboard").exists()  # TensorFlow would write it


if __name__ == "__main__":
    run(sys.argv[1], callbacks=[] if "whole" in sys.argv else [KillInEpoch2()])
