"""Models as LiteRT (.tflite) files: run them with ai-edge-litert, NumPy and Pillow alone, no TensorFlow.

Such a file is a flatbuffer with a zip archive behind it, as the TFLite metadata convention has it: the interpreter
reads the first, any unzip tool the second. The archive holds `about.json`: size, classes, threshold, version, ...
"""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from corroseg_utils.errors import ModelError
from corroseg_utils.segmenter import Segmenter

_ABOUT = "about.json"


def litert_segmenter(path: Path | str, threads: int | None = None) -> Segmenter:
    """A Segmenter around a .tflite file that `export` wrote.

    Args:
        path: the file.
        threads: how many to compute with; as many as the machine has cores when None.

    Raises:
        ModelError: the file is missing, damaged, or not from `export`.
    """
    about = read_about(path)
    interpreter = load_interpreter(path, threads)
    pixels, logits = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(photos: np.ndarray) -> np.ndarray:
        answers = []
        for photo in photos:  # the file is made for one photo at a time, see `export`
            interpreter.set_tensor(pixels, photo[None])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(logits)[0])
        return np.stack(answers)

    return Segmenter(run, about)


def load_interpreter(model: Path | str | bytes, threads: int | None = None):
    """An `ai_edge_litert` Interpreter ready to be invoked.

    Args:
        model: a file, or the content of one.
        threads: how many to compute with; as many as the machine has cores when None.

    Raises:
        ModelError: this is no LiteRT model.
    """
    from ai_edge_litert.interpreter import Interpreter

    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    try:
        interpreter = Interpreter(**source, num_threads=threads or os.cpu_count())
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        name = "the model" if isinstance(model, bytes) else model
        raise ModelError(f"{name}: LiteRT cannot use this file ({error}). Export it again.") from error
    return interpreter


def partitions(interpreter) -> tuple[int, list[str]]:
    """How the graph is divided between XNNPACK and LiteRT's own, slower operators.

    Returns:
        The number of parts that XNNPACK runs (1 is best: data then stays in its layout), and the names of the
        operators left to LiteRT (none is best).
    """
    nodes = interpreter._get_ops_details()  # the interpreter has no public way to ask
    delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
    # Nodes that a delegate took over stay listed, so follow the data back from the output through those that run.
    maker = {int(out): node for node in [*nodes, *delegates] for out in node["outputs"]}
    running, wanted = {}, [int(detail["index"]) for detail in interpreter.get_output_details()]
    while wanted:
        node = maker.get(wanted.pop())
        if node is not None and node["index"] not in running:
            running[node["index"]] = node["op_name"]
            wanted += [int(tensor) for tensor in node["inputs"]]
    names = sorted(running.values())
    return names.count("DELEGATE"), [name for name in names if name != "DELEGATE"]


def with_about(flatbuffer: bytes, about: dict) -> bytes:
    """The content of a .tflite file with its description inside."""
    file = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(_ABOUT), json.dumps(about, indent=1))  # ZipInfo: no time of day inside
    return file.getvalue()


def read_about(path: Path | str) -> dict:
    """The description stored in a .tflite file.

    Raises:
        ModelError: the file is missing or holds no description.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_ABOUT))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such model file. Check the name.") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: this is no .tflite file of corroseg, or a damaged one ({error}). Make one with "
                         "`python -m corroseg_utils export`.") from error
