"""Export a model to LiteRT: what `python -m corroseg_utils export` does.

Decisions that make the file fast, shown in lesson 08: batch size 1 (an open batch breaks the graph into
parts), logits out (the softmax is the reader's), uint8 pixels in, scaling inside, weights per channel.
"""

import argparse
import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corroseg_utils import DATA, WEIGHTS, __version__
from corroseg_utils.errors import CorrosegError
from corroseg_utils.litert import with_about
from corroseg_utils.photos import read_photo, write_whole
from corroseg_utils.segmenter import READ_SIDE, SHIPPED, fit_square, import_keras_quietly, model_path

QUANTIZATIONS = ("none", "weights", "int8")
CALIBRATION = 100  # photos for int8: the fewest that are accepted, and how many are used
# The first blocks and all depthwise filters: 4 % of the weights, and most of the error of quantising them. Found by
# leaving out one group at a time. On the rendered test photos the shipped weights score 0.651, and 0.650 and 0.652
# (int8, weights) with these in float32, 0.609 and 0.610 with none.
FLOAT_LAYERS = ("/((Conv1|bn_Conv1|expanded_conv|block_1|block_2|logits)_"
                "|block_3_project|block_[0-9]+_depthwise)")


def export(out: Path | str, model: Path | str = SHIPPED, size: int | None = None, quantize: str = "none",
           calibration: Path | str = DATA, style: str | None = None) -> dict:
    """Write a model file as .tflite.

    Args:
        out: the .tflite file; it appears whole or not at all.
        model: the .npz file.
        size: side of its input in pixels, a multiple of 32; the size in the model's description when None.
        quantize: see `convert`.
        calibration: data set whose training photos set the ranges of int8.
        style: whose masks to draw, see `weights.read_about`.

    Returns:
        The description stored in the file.

    Raises:
        ModelError: the model file cannot be used.
        CorrosegError: the size is no multiple of 32, or the calibration set has too few photos.
    """
    if size is not None and (size < 32 or size % 32):
        raise CorrosegError(f"size is {size}, but must be a multiple of 32, by which the networks divide.")
    import_keras_quietly()
    from corroseg_utils.weights import build_model, read_about

    about = read_about(model, style)
    size = size or about["size"]
    photos = calibration_photos(calibration, size) if quantize == "int8" else None
    flatbuffer = convert(build_model(model, size, style), size, quantize, photos)
    is_ours = model_path(model).resolve().parent == WEIGHTS.resolve()
    licence = {"licence": "MIT"} if is_ours else {}  # the licence of another model is not ours to give
    about = {**licence, **about, "size": size, "quantize": quantize, "version": __version__}
    write_whole(out, lambda file: file.write(with_about(flatbuffer, about)))
    return about


def convert(model, size: int, quantize: str = "none", calibration: np.ndarray | None = None) -> bytes:
    """Convert a Keras model to a LiteRT flatbuffer from uint8 (1, size, size, 3) to logits float32.

    Args:
        model: takes pixels 0-255 and gives logits.
        size: side of the input in pixels.
        quantize: "none" keeps float32; "weights" stores weights in 8 bits and computes in float32 (a third of the
            size, the same speed); "int8" computes in 8 bits too (faster where the CPU has instructions for it). Both
            leave FLOAT_LAYERS in float32.
        calibration: for int8, photos uint8 (N, size, size, 3) like those to come.

    Raises:
        ValueError: `quantize` is none of these.
    """
    if quantize == "none":
        return _pixels_in(_converter(model, size).convert())
    if quantize == "weights":
        return _quantize_weights(_pixels_in(_converter(model, size).convert()))
    if quantize == "int8":
        return _pixels_in(_quantize_all(model, size, calibration))
    raise ValueError(f"quantize={quantize!r}: one of {', '.join(QUANTIZATIONS)} is needed.")


def convert_open_batch(model) -> bytes:
    """Convert as the notebook of 2020 would: an open batch dimension, float pixels in. For comparison only."""
    import tensorflow as tf

    logging.getLogger("absl").setLevel(logging.ERROR)

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)])
    def logits(pixels):
        return tf.nn.softmax(model(pixels, training=False))

    return tf.lite.TFLiteConverter.from_concrete_functions([logits.get_concrete_function()]).convert()


def calibration_photos(data: Path | str, size: int) -> np.ndarray:
    """Training photos, spread evenly over the list, as the model sees them: uint8 (N, size, size, 3).

    Raises:
        CorrosegError: there are fewer than CALIBRATION, or those of the repository are asked for and not there.
    """
    from corroseg_utils.dataset import read_data

    if data == DATA and not DATA.is_dir():
        raise CorrosegError("int8 needs training photos to set its ranges, and those of the repository are not here. "
                            "Name a data set with --calibration, or take --quantize weights.")
    manifest = read_data(data)
    photos = list(manifest["photo"][manifest["split"] == "train"])
    if len(photos) < CALIBRATION:
        raise CorrosegError(f"{data}: int8 needs at least {CALIBRATION} training photos to set its ranges, there "
                            f"are {len(photos)}. Name a larger data set with --calibration.")
    chosen = np.linspace(0, len(photos) - 1, CALIBRATION).round().astype(int)
    return np.stack([fit_square(read_photo(photos[i], READ_SIDE), size)[0] for i in chosen])


def _converter(model, size: int):
    import tensorflow as tf

    logging.getLogger("absl").setLevel(logging.ERROR)  # it advises a path that leaves the weights out of the file

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), tf.uint8, name="pixels")])
    def logits(pixels):
        return model(tf.cast(pixels, tf.float32), training=False)

    return tf.lite.TFLiteConverter.from_concrete_functions([logits.get_concrete_function()])


def _quantize_all(model, size: int, photos: np.ndarray) -> bytes:
    import tensorflow as tf

    converter = _converter(model, size)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([photo[None]] for photo in photos)
    # Plain BUILTINS for the one CAST that `_pixels_in` replaces; asking the converter for uint8 input instead would
    # put a QUANTIZE from uint8 to int8 in front, which XNNPACK does not take either.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    names = [name for name in _outputs(_converter(model, size).convert()) if re.search(FLOAT_LAYERS, name)]
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=names, fully_quantize=False)
    with _quiet():  # TensorFlow's way to leave layers out is its quantisation debugger, which warns about itself
        debugger = tf.lite.experimental.QuantizationDebugger(converter=converter, debug_dataset=lambda: iter(()),
                                                             debug_options=options)
        return bytes(debugger.get_nondebug_quantized_model())


def _outputs(flatbuffer: bytes) -> list[str]:
    """Names of what each operator computes; they are made of the names of Keras's layers."""
    from ai_edge_litert.tools import flatbuffer_utils

    graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer)).subgraphs[0]
    return [graph.tensors[op.outputs[0]].name.decode() for op in graph.operators]


def _pixels_in(flatbuffer: bytes) -> bytes:
    """Turn the CAST from uint8 into DEQUANTIZE of scale 1, the same to the bit: XNNPACK has no CAST, and one operator
    left to LiteRT means a pass over all pixels on one thread."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    graph, code = model.subgraphs[0], schema.BuiltinOperator
    cast, = [op for op in graph.operators if model.operatorCodes[op.opcodeIndex].builtinCode == code.CAST]
    opcode = model.operatorCodes[cast.opcodeIndex]
    opcode.builtinCode = opcode.deprecatedBuiltinCode = code.DEQUANTIZE
    opcode.version = 2
    cast.builtinOptionsType, cast.builtinOptions = schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT()
    pixels = graph.tensors[cast.inputs[0]]
    pixels.quantization = schema.QuantizationParametersT()
    pixels.quantization.scale, pixels.quantization.zeroPoint = [1.0], [0]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _quantize_weights(flatbuffer: bytes) -> bytes:
    from ai_edge_quantizer import qtyping, quantizer, recipe

    work = quantizer.Quantizer(bytearray(flatbuffer))
    work.load_quantization_recipe(recipe.weight_only_wi8_afp32())
    work.update_quantization_recipe(regex=f".*{FLOAT_LAYERS}.*", algorithm_key="no_quantize",
                                    operation_name=qtyping.TFLOperationName.ALL_SUPPORTED)
    with _quiet():  # it notes that the pixels are quantised already, and draws progress bars
        return bytes(work.quantize().quantized_model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.getLogger("absl").setLevel(logging.ERROR)
    sink = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        yield


def add_parser(commands) -> None:
    """Add `export` to the command line."""
    parser = commands.add_parser(
        "export", help="write a model for small computers (LiteRT)",
        description="Write a model as a .tflite file, which `segment --model` runs without TensorFlow: batch size 1, "
                    "uint8 pixels in, logits out, its description inside (unzip -p FILE about.json).")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.tflite", help="the file to write")
    parser.add_argument("--model", type=Path, default=SHIPPED, metavar="PATH",
                        help="a .npz model file; the shipped model by default")
    parser.add_argument("--size", type=int, metavar="S", help="side of the input in pixels, a multiple of 32; the "
                                                              "model's own by default")
    parser.add_argument("--quantize", choices=QUANTIZATIONS, default="none",
                        help="none: float32; weights: 8-bit weights, float32 arithmetic; int8: 8 bits throughout")
    parser.add_argument("--calibration", type=Path, default=DATA, metavar="DATA",
                        help="data set whose training photos set the ranges of int8, at least 100; the embedded one "
                             "by default")
    parser.add_argument("--style", metavar="S", help="draw masks as this source does, if the model was trained with "
                                                     "--mask-styles; as its first one by default")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    about = export(options.out, options.model, options.size, options.quantize, options.calibration, options.style)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB, {about['size']}x{about['size']} pixels, "
          f"quantize {about['quantize']}, threshold {about['threshold']:.3f}")
    return 0
