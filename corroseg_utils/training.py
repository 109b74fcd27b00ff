"""Train a model: one function, resumable after a kill at any moment."""

import json
import shutil
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from corroseg_utils.augment import INSPECTION, Augmentation
from corroseg_utils.errors import CorrosegError
from corroseg_utils.losses import CrossEntropyDice, CrossEntropyLovasz
from corroseg_utils.mask_styles import OwnStyleIoU, OwnStyleLoss
from corroseg_utils.pairs import batches, pair_stream
from corroseg_utils.photos import write_whole

BATCH_NORM_MOMENTUM = 0.9
RESTART = 0.7  # learning rate at the start of a cycle, as a share of that of the cycle before


class TrainingError(CorrosegError):
    """A training that cannot go on. The message names the file and the cure."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a training goes, stored beside its results as `recipe.json`.

    Attributes:
        size: side of the training crops in pixels.
        epochs: most epochs; the learning rate falls to 0 over them by a cosine.
        cycles: parts of equal length into which the epochs are divided, in each of which the learning rate falls to 0.
            With more than one, the result is the mean of the weights at their ends (Izmailov et al. 2018, arXiv
            1803.05407), and not the best epoch.
        steps: batches an epoch.
        batch_size: pairs a batch.
        learning_rate: of AdamW at the start.
        weight_decay: of AdamW.
        loss: "dice" or "lovasz", each beside cross-entropy: see `losses`.
        dice_weight: see `losses.CrossEntropyDice`.
        ema: momentum of the weights' exponential moving average, with which validation and the result are made, such
            as 0.998; None for the weights themselves.
        augmentation: see `augment.Augmentation`.
        patience: stop after so many epochs without a better validation IoU; None to go on to the end.
        seed: of weights, shuffling and augmentation.
    """

    size: int = 256
    epochs: int = 35
    cycles: int = 1
    steps: int = 24
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    loss: str = "dice"
    dice_weight: float = 1.0
    ema: float | None = None
    augmentation: Augmentation = INSPECTION
    patience: int | None = None
    seed: int = 0


def train(model: keras.Model, train_pairs: tuple[np.ndarray, np.ndarray],
          validation_pairs: tuple[np.ndarray, np.ndarray] | None, out: Path | str, recipe: Recipe,
          callbacks: list[keras.callbacks.Callback] = (), photo_weights: np.ndarray | None = None,
          styles: int = 1) -> pd.DataFrame:
    """Train a model and leave it with the weights of its best epoch, or with the mean over the cycles of the recipe.

    Called again with the same `out` after a kill, it goes on with the epoch that was cut off, and gives what an
    undisturbed run would have given, on the same backend of Keras. After a finished run it only loads the result.

    Args:
        model: from `models`; freeze its encoder beforehand with `set_encoder_trainable` if you want that.
        train_pairs: photos uint8 (N, H, W, 3) and masks of class indices uint8 (N, H, W).
        validation_pairs: the same, whole and not augmented; the best epoch has the highest IoU of damage here. None
            for a recipe whose epochs are known to be right: then the last epoch is the best.
        out: folder of recipe.json, log.csv, best.weights.h5 or cycle<N>.weights.h5, the state to resume from, and
            tensorboard/ (the last with Keras on TensorFlow alone).
        recipe: how to train.
        callbacks: further Keras callbacks, such as a picture for each epoch.
        photo_weights: float (N,), how often to draw each training photo: see `pairs.pair_stream`.
        styles: number of mask styles for which the model has logits; with more than one the masks are labels as
            `mask_styles.with_styles` makes them.

    Returns:
        One row an epoch: epoch, loss, iou and, with validation pairs, val_loss, val_iou.

    Raises:
        TrainingError: `out` holds a training with another recipe, network, data or backend of Keras; or the epochs
            cannot be divided into the cycles.
    """
    if recipe.epochs % recipe.cycles:
        raise TrainingError(f"{recipe.epochs} epochs cannot be divided into {recipe.cycles} cycles of equal length. "
                            f"Give {recipe.epochs - recipe.epochs % recipe.cycles + recipe.cycles} epochs.")
    out = Path(out)
    arrays = (*train_pairs, *(validation_pairs or ()), *(() if photo_weights is None else (photo_weights,)))
    _same_training(out, recipe, model, arrays)
    keras.utils.set_random_seed(recipe.seed)
    prepare_batch_norm(model)
    fuse_batch_norm(model)
    compile_model(model, recipe, styles)
    checkpoint = Checkpoint(out, recipe.patience, recipe.epochs // recipe.cycles if recipe.cycles > 1 else None)
    first_epoch = checkpoint.restore(model)
    if not checkpoint.finished(recipe.epochs):
        start = first_epoch * recipe.steps * recipe.batch_size
        averaging = [] if recipe.ema is None else [keras.callbacks.SwapEMAWeights()]  # for the validation
        # Keras writes TensorBoard's files by means of TensorFlow.
        board = [keras.callbacks.TensorBoard(out / "tensorboard")] if _on_tensorflow() else []
        model.fit(_training_batches(train_pairs, recipe, start, photo_weights), validation_data=validation_pairs,
                  validation_batch_size=recipe.batch_size, initial_epoch=first_epoch, epochs=recipe.epochs,
                  steps_per_epoch=recipe.steps, shuffle=False, verbose=0,
                  callbacks=[*averaging, checkpoint, *board, *callbacks])
    if recipe.cycles > 1:
        load_mean(model, [checkpoint.end_of_cycle(number) for number in range(1, recipe.cycles + 1)])
    else:
        model.load_weights(out / "best.weights.h5")
    return pd.DataFrame(checkpoint.history)


def _on_tensorflow() -> bool:
    return keras.backend.backend() == "tensorflow"


def _training_batches(pairs: tuple[np.ndarray, np.ndarray], recipe: Recipe, start: int, weights: np.ndarray | None):
    """The endless stream of training batches, as the backend of Keras takes it best."""
    if _on_tensorflow():
        from corroseg_utils.pipeline import make_dataset

        return make_dataset(*pairs, recipe.batch_size, recipe.size, recipe.augmentation, recipe.seed, start, weights)
    stream = pair_stream(*pairs, recipe.size, recipe.augmentation, recipe.seed, weights)
    return batches(stream, recipe.batch_size, start)


def compile_model(model: keras.Model, recipe: Recipe, styles: int = 1) -> None:
    """Give a model the recipe's loss and optimiser, and IoU of its damage classes as metric: see `train`."""
    classes = model.output_shape[-1] // styles
    steps = recipe.epochs * recipe.steps
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps) if recipe.cycles == 1 else \
        keras.optimizers.schedules.CosineDecayRestarts(recipe.learning_rate, steps // recipe.cycles, 1.0, RESTART)
    metric = keras.metrics.IoU if styles == 1 else OwnStyleIoU
    iou = metric(classes, target_class_ids=range(1, classes), sparse_y_pred=False, name="iou")
    loss = CrossEntropyLovasz() if recipe.loss == "lovasz" else CrossEntropyDice(recipe.dice_weight)
    if styles > 1:
        loss = OwnStyleLoss(loss, classes)
    averaging = {} if recipe.ema is None else {"use_ema": True, "ema_momentum": recipe.ema}
    # On a small CPU, TensorFlow's XLA takes a minute to compile this network, longer than a lesson gains from it.
    model.compile(keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, **averaging), loss,
                  metrics=[iou], jit_compile=False if _on_tensorflow() else "auto")


def load_mean(model: keras.Model, files: list[Path]) -> None:
    """Leave a model with the mean of the weights in several files, moving statistics of batch norms included."""
    sums = None
    for file in files:
        model.load_weights(file)
        weights = model.get_weights()
        sums = weights if sums is None else [total + weight for total, weight in zip(sums, weights, strict=True)]
    model.set_weights([total / len(files) for total in sums])


def prepare_batch_norm(model: keras.Model) -> None:
    """Make batch-norm statistics sound for short epochs.

    Keras's momentum of 0.99 needs hundreds of steps to forget where a new layer's statistics started; with 25 steps
    an epoch the training loss falls while inference, which uses those statistics, answers nonsense (IoU 0).
    """
    for layer in batch_norms(model):
        layer.momentum = BATCH_NORM_MOMENTUM


def fuse_batch_norm(model: keras.Model) -> None:
    """Let batch norms that learn run as one operation of TensorFlow instead of Keras's six.

    The answer is the same but for rounding (and the running variance is the unbiased one, larger by 1/n of n pixels).
    On a CPU, where every pass over a large tensor counts, a training step of `edge_unet` takes two thirds of the time.
    On other backends nothing changes.
    """
    if not _on_tensorflow():
        return
    for layer in batch_norms(model):
        layer.call = _fused_call(layer)


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """All batch norms of a model, those of the models within it too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += batch_norms(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            found.append(layer)
    return found


def _fused_call(layer: keras.layers.BatchNormalization):
    import tensorflow as tf

    unfused = layer.call

    def call(inputs, training=None, mask=None):
        if not (training and layer.trainable):
            return unfused(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, tf.convert_to_tensor(layer.gamma), tf.convert_to_tensor(layer.beta), epsilon=layer.epsilon)
        for moving, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + new * (1 - layer.momentum))
        return outputs

    return call


class Checkpoint(keras.callbacks.Callback):
    """Keeps the best weights, those at the end of each cycle, and all that is needed to resume, and stops early.

    The state is the weights and optimiser of the last whole epoch in a file of that epoch's own name; `state.json`
    names it and is replaced in one step, so a kill at any moment leaves a state that fits together.
    """

    def __init__(self, out: Path, patience: int | None, cycle: int | None = None):
        super().__init__()
        self.out, self.patience, self.cycle = out, patience, cycle
        self.history: list[dict] = []

    def restore(self, model: keras.Model) -> int:
        """Load the stored state into a compiled model, if there is one; the epoch to go on with."""
        state = self.out / "state.json"
        if not state.is_file():
            return 0
        self.history = json.loads(state.read_text())
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self._latest(len(self.history)))
        return len(self.history)

    def finished(self, epochs: int) -> bool:
        return len(self.history) >= epochs or self._out_of_patience()

    def on_epoch_end(self, epoch, logs=None):
        scores = {name: float(logs[name]) for name in ("loss", "iou", "val_loss", "val_iou") if name in logs}
        self.history.append({"epoch": epoch + 1, **scores})
        if self._best_epoch() == epoch + 1:
            self._save_validated(self.out / "best.weights.h5")
        if self.cycle and (epoch + 1) % self.cycle == 0:
            self._save_validated(self.end_of_cycle((epoch + 1) // self.cycle))
        _save_whole(self.model, self._latest(epoch + 1))
        table = pd.DataFrame(self.history).to_csv(index=False).encode()
        write_whole(self.out / "log.csv", lambda file: file.write(table))
        write_whole(self.out / "state.json", lambda file: file.write(json.dumps(self.history).encode()))
        for older in set(self.out.glob("epoch*.weights.h5")) - {self._latest(epoch + 1)}:
            older.unlink()
        if self._out_of_patience():
            self.model.stop_training = True

    def end_of_cycle(self, number: int) -> Path:
        """The file of the weights at the end of a cycle, which count from 1."""
        return self.out / f"cycle{number}.weights.h5"

    def _save_validated(self, path: Path) -> None:
        """Store what validation saw: with an average of the weights, the average."""
        variables = self.model.trainable_variables
        current = [np.copy(keras.ops.convert_to_numpy(variable)) for variable in variables]
        self.model.optimizer.finalize_variable_values(variables)  # puts in the average, if there is one
        _save_whole(self.model, path)
        for variable, value in zip(variables, current, strict=True):
            variable.assign(value)

    def _latest(self, epoch: int) -> Path:
        return self.out / f"epoch{epoch:03d}.weights.h5"

    def _best_epoch(self) -> int:
        if "val_iou" not in self.history[-1]:
            return len(self.history)
        return 1 + int(np.argmax([row["val_iou"] for row in self.history]))

    def _out_of_patience(self) -> bool:
        if self.patience is None or not self.history:
            return False
        return len(self.history) - self._best_epoch() >= self.patience


def store_or_refuse(path: Path, settings: dict, other: str) -> None:
    """Store what makes a run what it is, unless a run with other settings has stored its own there.

    Args:
        path: the JSON file.
        settings: what makes the run what it is.
        other: what there is if the settings differ, such as "a training with another recipe".

    Raises:
        TrainingError: other settings are stored there.
    """
    text = json.dumps(settings, indent=2) + "\n"
    if path.is_file() and path.read_text() != text:
        raise TrainingError(f"{path} is of {other}. Give a new folder, or remove its folder to start afresh.")
    write_whole(path, lambda file: file.write(text.encode()))


def _same_training(out: Path, recipe: Recipe, model: keras.Model, arrays: tuple[np.ndarray, ...]) -> None:
    data = 0
    for array in arrays:
        data = zlib.crc32(np.ascontiguousarray(array), data)
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    store_or_refuse(out / "recipe.json",
                    {**asdict(recipe), "network": model.name, "trained_parameters": trained, "data": data,
                     "backend": keras.backend.backend()},
                    "a training with another recipe, network, data or backend of Keras")


def _save_whole(model: keras.Model, path: Path) -> None:
    temporary = path.with_name(f"writing-{path.name}")  # Keras insists on the ending .weights.h5
    model.save_weights(temporary)
    shutil.move(temporary, path)
