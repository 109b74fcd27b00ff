"""From a photo of any size to its corrosion probability: the same steps for lessons, evaluation and reports.

The photo is scaled so that its long side fits the model's square, the rest is filled by mirroring, and the answer
is cut and scaled back. Keras and LiteRT are imported only when a model needs them.
"""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from corroseg_utils import WEIGHTS
from corroseg_utils.errors import ModelError
from corroseg_utils.photo_quality import tones
from corroseg_utils.photos import photo_size, read_photo, resize_mask, resize_photo

SHIPPED = WEIGHTS / "corroseg.npz"
SHIPPED_LITERT = WEIGHTS / "corroseg_int8.tflite"  # used where Keras and a backend are not installed
# People draw a mask around a rusty part, sound islands and all. These learned to mark the corroded metal alone, which
# is what a grade by area asks for: see data/weights/README.md.
EXACT = WEIGHTS / "corroseg_exact.npz"
EXACT_LITERT = WEIGHTS / "corroseg_exact_int8.tflite"
# Photos are decoded at a reduced scale that keeps at least this long side: all that model and overlay need.
READ_SIDE = 1600


class Segmenter:
    """A model ready for use.

    Attributes:
        size: side of the model's square input in pixels.
        classes: names of its classes, background first.
        threshold: corrosion probability from which a pixel is marked, chosen on validation photos.
        about: everything its file says about it.
    """

    def __init__(self, logits: Callable[[np.ndarray], np.ndarray], about: dict):
        self._logits = logits
        self.about = about
        self.size, self.classes = about["size"], tuple(about["classes"])
        self.threshold = about["threshold"]

    def logits(self, photos: np.ndarray) -> np.ndarray:
        """From uint8 (B, size, size, 3) to float32 (B, size, size, classes)."""
        return self._logits(photos)

    def class_probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Probability of each class at the model's scale. A photo that is too dark or hazy gets its contrast back first
        (`photo_quality.tones`).

        Args:
            photo: uint8 (H, W, 3), any size.

        Returns:
            float32 (h, w, classes), h and w those of the photo scaled to a long side of `size`.
        """
        square, (w, h) = fit_square(photo, self.size)
        return softmax(self.logits(tones(photo)[square][None])[0, :h, :w])

    def probability(self, photo: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """Probability of corrosion of any class.

        Args:
            photo: uint8 (H, W, 3), any size.
            size: (width, height) of the answer; that of `photo` when None.

        Returns:
            float32 (height, width) in [0, 1].
        """
        corrosion = 1 - self.class_probabilities(photo)[..., 0]
        size = size or photo.shape[1::-1]
        if corrosion.shape == size[::-1]:
            return corrosion
        return np.asarray(Image.fromarray(corrosion).resize(size, Image.Resampling.BILINEAR))

    def read(self, path: Path | str) -> tuple[np.ndarray, np.ndarray]:
        """Photo and corrosion probability from a file.

        Returns:
            The upright photo, at reduced scale when it is large (see READ_SIDE), uint8 (h, w, 3), and the
            probability at the photo's full size, float32 (H, W).

        Raises:
            PhotoError: the file cannot be read.
        """
        photo = read_photo(path, READ_SIDE)
        return photo, self.probability(photo, photo_size(path))

    def mask(self, photo: np.ndarray) -> np.ndarray:
        """Where the photo uint8 (H, W, 3) shows corrosion: bool (H, W)."""
        return self.probability(photo) >= self.threshold

    def classify(self, photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The most probable kind of damage of each marked pixel.

        Args:
            photo: uint8 (H, W, 3).
            mask: where corrosion is marked, bool (h, w), the size of the answer.

        Returns:
            uint8 (h, w), positions in `classes`; 0 where nothing is marked.
        """
        best = self.class_probabilities(photo)[..., 1:].argmax(-1).astype(np.uint8) + 1
        return resize_mask(best, mask.shape[::-1]) * mask


def model_path(path: Path | str) -> Path:
    """A model file by its path, or a shipped one by its name alone, such as "corroseg_exact": where Keras and a backend
    are not installed, its 8-bit file."""
    path = Path(path)
    shipped = [WEIGHTS / f"{path}{end}" for end in ("", ".npz" if _keras_runs() else "_int8.tflite", ".tflite")]
    is_name = path.name == str(path) and not path.is_file()  # a clone of the repository may lie beside, as a folder
    return next((file for file in shipped if is_name and file.is_file()), path)


def load_segmenter(path: Path | str | None = None, exact: bool = False, style: str | None = None) -> Segmenter:
    """Load a model file.

    Args:
        path: a .npz file as `train` writes it, or a .tflite file as `export` writes it, which needs no TensorFlow; or
            the name of a shipped one (see `model_path`). When None a shipped model, as .tflite where Keras and a
            backend are not installed.
        exact: without a path, the shipped model that learned to mark corroded metal alone, not areas as people
            outline them.
        style: whose masks to draw, for a model that knows several (see `mask_styles`); its first one when None.

    Raises:
        ModelError: the file is missing or no model, does not know the style, or Keras is needed and it or its backend
            is not installed.
    """
    keras_runs = _keras_runs()
    shipped, shipped_litert = (EXACT, EXACT_LITERT) if exact else (SHIPPED, SHIPPED_LITERT)
    path = model_path(path or (shipped if keras_runs else shipped_litert))
    if not path.exists():
        raise ModelError(f"{path}: there is no such model file. Check the name.")
    if path.suffix == ".tflite":
        from corroseg_utils.litert import litert_segmenter

        segmenter = litert_segmenter(path)
        if style not in (None, segmenter.about.get("mask_style")):
            own = segmenter.about.get("mask_style")
            has = f"the style {own!r} alone" if own else "one style, which has no name"
            raise ModelError(f"{path}: this file draws masks in {has}. Leave out --style, or export {style!r} from a "
                             ".npz file trained with --mask-styles.")
        return segmenter
    if not keras_runs:
        cure = "install requirements.txt" if _backend() == "tensorflow" else "install it, or unset KERAS_BACKEND"
        raise ModelError(f"{path}: this model needs Keras and its backend {_backend()}, and one of them is not "
                         f"installed. Give a .tflite file, or {cure}.")
    import_keras_quietly()
    from corroseg_utils.weights import build_model, read_about

    about = read_about(path, style)
    return keras_segmenter(build_model(path, style=style), about)


def import_keras_quietly() -> None:
    """Import Keras with its backend, without the notes that TensorFlow's libraries write while they are loaded, such as
    that there is no GPU: they look like errors, and come before anything can be set to silence them.

    Who sets TF_CPP_MIN_LOG_LEVEL below 3 wants to see them, and what another backend says is seen.
    """
    if _backend() != "tensorflow" or os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3":
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras

        keras.ops.zeros(1)  # looks for devices
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _keras_runs() -> bool:
    """Whether Keras is there with its backend: TensorFlow, unless the variable KERAS_BACKEND names another."""
    return all(importlib.util.find_spec(name) for name in ("keras", _backend()))


def _backend() -> str:
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def keras_segmenter(model, about: dict) -> Segmenter:
    """A Segmenter around a Keras model that is in memory, such as one just trained."""
    return Segmenter(lambda photos: np.asarray(model.predict_on_batch(photos)), about)


def fit_square(photo: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Scale a photo so that its long side is `size`, and fill up the square by mirroring.

    Returns:
        uint8 (size, size, 3), and (width, height) of the photo in its upper left corner.
    """
    height, width = photo.shape[:2]
    scale = size / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    return np.pad(resize_photo(photo, (w, h)), ((0, size - h), (0, size - w), (0, 0)), "symmetric"), (w, h)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities from logits along the last axis, float32."""
    planes = np.array(np.moveaxis(logits, -1, 0), np.float32, order="C")  # NumPy is slow along a short last axis
    planes -= planes.max(0)
    np.exp(planes, out=planes)
    planes /= planes.sum(0)
    return np.moveaxis(planes, 0, -1)
