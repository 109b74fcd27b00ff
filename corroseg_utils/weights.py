"""Model files: weights and what is needed to use them, in one .npz file that is read without pickle."""

import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

from corroseg_utils.errors import ModelError
from corroseg_utils.mask_styles import weights_of_style
from corroseg_utils.photos import write_whole
from corroseg_utils.segmenter import SHIPPED, model_path

_ABOUT = "about"  # the entry that holds the description as JSON text


def save_model(path: Path | str, model: keras.Model, about: dict) -> None:
    """Write a model's weights as float16, half the size at no measurable loss, and its description.

    Args:
        path: the .npz file; it appears whole or not at all.
        model: any model whose layers have fixed names.
        about: what rebuilds and uses it: `network` ("edge_unet"), `classes` (names), `size`, `threshold`, ...
    """
    entries = {name: np.asarray(variable).astype(np.float16) for name, variable in _named_variables(model)}
    write_whole(path, lambda file: np.savez_compressed(file, **entries, **{_ABOUT: np.array(json.dumps(about))}))


def read_about(path: Path | str, style: str | None = None) -> dict:
    """The description of the model that `build_model` builds.

    Args:
        path: the .npz file.
        style: whose masks to draw, for a model that knows several (see `mask_styles`); its first one when None.

    Returns:
        What the file says; of a model that knows several styles, `mask_style` is this one, and `threshold` its own.

    Raises:
        ModelError: the file is missing or is no model file, or does not know the style.
    """
    about = json.loads(str(_read(path)[_ABOUT]))
    styles = about.pop("mask_styles", {})
    if style is not None and style not in styles:
        raise ModelError(f"{path}: this model does not draw masks in the style {style!r}. "
                         + (f"Name one of {', '.join(styles)}." if styles else
                            "It was trained without --mask-styles: leave out --style."))
    if styles:
        style = style or next(iter(styles))
        about |= {"mask_style": style, "threshold": styles[style]}
    return about


def styles_of(path: Path | str) -> dict[str, float]:
    """The styles in which a model draws masks, with the threshold of each; empty if it knows one alone.

    Raises:
        ModelError: the file is missing or is no model file.
    """
    return json.loads(str(_read(path)[_ABOUT])).get("mask_styles", {})


def load_weights(model: keras.Model, path: Path | str, with_logits: bool = True) -> None:
    """Fill a model with the weights of a file.

    Args:
        model: the network of the file, but for the number of its logits.
        path: the .npz file.
        with_logits: False leaves out the last layers, for a file that knows other classes or styles.

    Raises:
        ModelError: the file is no model file, or was made from another network.
    """
    entries = _read(path)
    for name, variable in _named_variables(model):
        if with_logits or not name.startswith("logits"):
            _fill(name, variable, entries, path)


def same_logits(path: Path | str, classes: Sequence[str], styles: Sequence[str] = ()) -> bool:
    """Whether a model file knows these classes and mask styles, in this order.

    Raises:
        ModelError: the file is missing or is no model file.
    """
    return read_about(path).get("classes") == list(classes) and list(styles_of(path)) == list(styles)


def build_model(path: Path | str, size: int | None = None, style: str | None = None) -> keras.Model:
    """Rebuild the network that a model file describes, with its weights.

    Args:
        path: the .npz file.
        size: side of the input in pixels; None for the network's default: any size, or unet_2020's own.
        style: whose masks to draw, see `read_about`. The network has the logits of this style alone.

    Raises:
        ModelError: the file is missing, no model file, of an unknown network, or does not know the style.
    """
    from corroseg_utils import models  # models needs this module for its encoders

    about = read_about(path, style)
    networks = {"edge_unet": lambda: models.edge_unet(size, len(about["classes"]), about["alpha"], None),
                "unet_2020": lambda: models.unet_2020(size or about["size"], len(about["classes"]), None)}
    if about.get("network") not in networks:
        raise ModelError(f"{path}: the network {about.get('network')!r} is unknown. "
                         f"Known are {', '.join(networks)}; a newer corroseg may have made this file.")
    try:
        model = networks[about["network"]]()
    except KeyError as error:
        raise ModelError(f"{path}: its description lacks {error}. Write it with `corroseg_utils train`.") from error
    entries = _read(path)
    styles = list(styles_of(path))
    if styles:
        entries = weights_of_style(entries, styles.index(about["mask_style"]), len(about["classes"]))
    _fill_all(model, entries, path)
    return model


def load_encoder(model: keras.Model, source: str | None, alpha: float) -> None:
    """Fill the encoder of a model.

    Args:
        model: a model with a MobileNetV2 encoder.
        source: "corroseg" (shipped in data/, no network needed), "imagenet" (Keras downloads and caches it),
            None (random), or the path of a model file.
        alpha: width of the encoder.

    Raises:
        ModelError: ImageNet's weights cannot be had; the path is no model file, or its encoder has another width.
    """
    if source is None:
        return
    if source == "imagenet":
        try:
            donor = keras.applications.MobileNetV2((224, 224, 3), alpha, include_top=False, weights="imagenet")
        except Exception as error:  # no network, a proxy, a full disk: Keras raises what urllib happens to raise
            # The shipped encoder is no stand-in: it has learned from photos that the caller may hold out.
            raise ModelError(f"ImageNet weights could not be fetched ({error}). Connect once, or set KERAS_HOME to a "
                             "folder that has them in models/; or choose another start (--encoder-weights, "
                             "encoder_weights), such as 'corroseg'.") from error
        kept = {layer.name: layer for layer in model.layers}
        for layer in donor.layers:
            if layer.name in kept and layer.weights:
                kept[layer.name].set_weights(layer.get_weights())
        return
    path = SHIPPED if source == "corroseg" else Path(source)
    entries = _read(path)
    for layer in model.layers:
        stored = [entries.get(f"{layer.name}/{variable.name}") for variable in layer.variables]
        if layer.name.startswith(("decoder", "logits")) or not stored:
            continue
        if any(s is None or s.shape != tuple(v.shape) for s, v in zip(stored, layer.variables, strict=True)):
            raise ModelError(f"{path}: its encoder does not fit a MobileNetV2 of alpha={alpha} (layer {layer.name}). "
                             "Use the alpha that the file was made with, or encoder_weights='imagenet' "
                             "(--encoder-weights imagenet; fetched once), or None (--encoder-weights none) to start "
                             "from random weights.")
        layer.set_weights([s.astype(np.float32) for s in stored])


def _fill_all(model: keras.Model, entries: dict[str, np.ndarray], path: Path | str) -> None:
    for name, variable in _named_variables(model):
        _fill(name, variable, entries, path)


def _fill(name: str, variable: keras.Variable, entries: dict[str, np.ndarray], path: Path | str) -> None:
    stored = entries.get(name)
    if stored is None or stored.shape != tuple(variable.shape):
        raise ModelError(f"{path}: these weights belong to another network ({name} does not fit). "
                         f"Build the model as the file's description says: {entries[_ABOUT]}")
    variable.assign(stored.astype(np.float32))


def _named_variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Variables with names that are the same in every process.

    Keras numbers unnamed layers, such as those inside a decoder block, through the whole process: there the position
    in the block serves as name.
    """
    for layer in model.layers:
        inner = enumerate(layer.layers) if isinstance(layer, keras.Model) else [(None, layer)]
        for position, part in inner:
            name = layer.name if position is None else f"{layer.name}/{position}"
            for variable in part.variables:
                yield f"{name}/{variable.name}", variable


def _read(path: Path | str) -> dict[str, np.ndarray]:
    path = model_path(path)
    if path.suffix == ".tflite":
        raise ModelError(f"{path}: weights cannot be taken from a .tflite file. Give the .npz file that `train` wrote.")
    try:
        zipfile.ZipFile(path).close()  # of what is no .npz file np.load would say that it may be a pickle
        with np.load(path, allow_pickle=False) as file:
            entries = {name: file[name] for name in file.files}
        json.loads(str(entries[_ABOUT]))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such model file. Check the name.") from error
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{path}: this is no corroseg model ({error}). Give a .npz file that "
                         "`corroseg_utils train` wrote, or a .tflite file that `export` wrote.") from error
    return entries
