"""Running .tflite files: without TensorFlow, in an environment of requirements-edge.txt alone, with clear errors."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from corroseg_utils import segmenter as segmenter_module
from corroseg_utils.errors import ModelError
from corroseg_utils.litert import litert_segmenter
from corroseg_utils.photos import write_png
from corroseg_utils.segmenter import load_segmenter, model_path

REPO = Path(__file__).resolve().parent.parent
SEGMENT_AND_LIST_MODULES = """
import sys, time
start = time.perf_counter()
from corroseg_utils.cli import main
code = main(["segment", sys.argv[1], "--model", sys.argv[2], "--out", sys.argv[3]])
heavy = {"tensorflow", "keras", "pandas", "cv2", "sklearn", "matplotlib"} & set(sys.modules)
print(code, sorted(heavy))
"""


def photo(tmp_path):
    write_png(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (50, 80, 3)).astype(np.uint8))
    return tmp_path / "a.png"


def test_segment_imports_no_training_stack(exported, tmp_path):
    arguments = [str(photo(tmp_path)), str(exported["weights"]), str(tmp_path / "out")]
    result = subprocess.run([sys.executable, "-c", SEGMENT_AND_LIST_MODULES, *arguments], cwd=REPO, text=True,
                            capture_output=True, check=True)
    assert result.stdout.splitlines()[-1] == "0 []"
    assert (tmp_path / "out" / "a_mask.png").exists()


def test_ready_in_a_second():
    load = ("import time; from corroseg_utils.cli import main; from corroseg_utils.segmenter import *; "
            "load_segmenter(SHIPPED_LITERT); print(time.process_time())")
    runs = [subprocess.run([sys.executable, "-c", load], cwd=REPO, text=True, capture_output=True, check=True)
            for _ in range(3)]
    # Processor time, and the best of three, so that other work on the machine does not tell.
    assert min(float(run.stdout.splitlines()[-1]) for run in runs) < 1


@pytest.mark.slow
@pytest.mark.parametrize(("level", "quiet"), [(None, True), ("0", False)])
def test_keras_starts_quietly_unless_its_notes_are_wanted(level, quiet):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    run = subprocess.run([sys.executable, "-c", "from corroseg_utils.segmenter import *; import_keras_quietly(); "
                          "import keras; keras.ops.zeros(1)"], cwd=REPO, env=environment, text=True,
                         capture_output=True, check=True)
    assert (run.stderr == "") == quiet


def test_a_shipped_model_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("corroseg_exact", "corroseg_int8"):
        assert model_path(name).stem == name and model_path(name).is_file()
    assert [model_path(name).suffix for name in ("corroseg_exact", "corroseg_int8")] == [".npz", ".tflite"]
    for path in ("gone", "folder/corroseg_exact"):
        assert model_path(path) == Path(path)
    assert model_path("corroseg_int8.tflite") == model_path("corroseg_int8")
    (tmp_path / "corroseg").mkdir()  # a clone of the repository
    assert model_path("corroseg").suffix == ".npz"
    with monkeypatch.context() as small:  # a small computer
        small.setattr(segmenter_module, "_keras_runs", lambda: False)
        assert model_path("corroseg_exact").name == "corroseg_exact_int8.tflite"
    (tmp_path / "corroseg_exact").write_text("mine")  # a file of that name is meant, where there is one
    assert model_path("corroseg_exact") == Path("corroseg_exact")


@pytest.mark.slow
def test_segment_in_an_environment_of_the_edge_requirements_alone(exported, tmp_path):
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    install = subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", REPO / "requirements-edge.txt"],
                             capture_output=True, text=True)
    if install.returncode:
        pytest.skip(f"the package index cannot be reached: {install.stderr.strip().splitlines()[-1:]}")
    out = tmp_path / "out"
    subprocess.run([python, "-m", "corroseg_utils", "segment", photo(tmp_path), "--out", out, "--model",
                    exported["int8"]], cwd=REPO, check=True)
    assert {path.name for path in out.iterdir()} == {"a_mask.png", "a_overlay.jpg", "summary.csv"}
    for command in (["report", out, "--out", out], ["train", out, "--out", out]):
        run = subprocess.run([python, "-m", "corroseg_utils", *command], cwd=REPO, capture_output=True, text=True)
        assert run.returncode == 2 and f"error: {command[0]} needs more than is installed here" in run.stderr


@pytest.mark.slow
def test_an_installation_without_the_repository_has_the_models(tmp_path):
    for path in ("pyproject.toml", "README.md", "LICENSE", "corroseg_utils", "data/weights"):  # pip writes there
        copy = shutil.copytree if (REPO / path).is_dir() else shutil.copy
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        copy(REPO / path, tmp_path / "source" / path)
    install = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target",
                              tmp_path / "site", tmp_path / "source"], capture_output=True, text=True)
    if "No matching distribution found for setuptools" in install.stderr:
        pytest.skip("the package index cannot be reached")
    assert install.returncode == 0, install.stderr
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    for command, result in (("segment", "a_mask.png"), ("report", "report.html")):
        folder = photo(tmp_path / "photos").parent
        subprocess.run([sys.executable, "-m", "corroseg_utils", command, folder, "--out", tmp_path / command],
                       cwd=tmp_path, env=environment, check=True)
        assert (tmp_path / command / result).is_file()
    show = subprocess.run([sys.executable, "-c", "import corroseg_utils; print(corroseg_utils.WEIGHTS)"],
                          cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(show.stdout.strip()) == tmp_path / "site" / "corroseg_utils" / "shipped"


def test_edge_requirements_are_among_all_requirements():
    def lines(name):
        return {line for line in (REPO / name).read_text().splitlines() if line and not line.startswith("#")}

    assert lines("requirements-edge.txt") < lines("requirements.txt")
    assert all(Requirement(line).name not in ("tensorflow", "keras") for line in lines("requirements-edge.txt"))


def test_two_models_ship(monkeypatch, model_file):
    for name in ("SHIPPED", "EXACT"):
        monkeypatch.setattr(segmenter_module, name, model_file.with_name(f"no {name}"))
    with pytest.raises(ModelError, match="no SHIPPED"):
        load_segmenter()
    with pytest.raises(ModelError, match="no EXACT"):
        load_segmenter(exact=True)
    monkeypatch.setattr(segmenter_module, "EXACT", model_file)
    assert load_segmenter(exact=True).about == load_segmenter(model_file, exact=False).about


def test_tflite_is_the_default_without_tensorflow(monkeypatch, exported, model_file):
    monkeypatch.setattr(segmenter_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(segmenter_module, "SHIPPED_LITERT", exported["weights"])
    assert load_segmenter().about["quantize"] == "weights"
    monkeypatch.setattr(segmenter_module, "EXACT_LITERT", exported["int8"])
    assert load_segmenter(exact=True).about["quantize"] == "int8"
    with pytest.raises(ModelError, match="backend tensorflow.* Give a .tflite file, or install requirements"):
        load_segmenter(model_file)
    with pytest.raises(ModelError, match="gone.npz: there is no such model file"):
        load_segmenter("gone.npz")


def test_another_backend_of_keras_will_do(monkeypatch, model_file):
    installed = {"keras", "jax"}
    monkeypatch.setattr(segmenter_module.importlib.util, "find_spec", lambda name: name in installed or None)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with pytest.raises(ModelError, match="needs Keras and its backend tensorflow"):
        load_segmenter(model_file)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert load_segmenter(model_file).size
    installed.remove("jax")
    with pytest.raises(ModelError, match="backend jax.*install it, or unset KERAS_BACKEND"):
        load_segmenter(model_file)


def test_threads_give_the_same_answer(exported):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    one, two = (litert_segmenter(exported["none"], threads).logits(pixels) for threads in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_bad_files_are_named_with_a_cure(exported, tmp_path, content):
    path = tmp_path / "bad.tflite"
    path.write_bytes(exported["none"].read_bytes()[:5000] if content is None else content)
    with pytest.raises(ModelError, match="bad.tflite.*corroseg_utils export"):
        load_segmenter(path)
    with pytest.raises(ModelError, match="gone.tflite: there is no such model file"):
        load_segmenter(tmp_path / "gone.tflite")
