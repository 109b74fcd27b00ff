"""Exported files: what they hold, how close they are to Keras, and that XNNPACK runs all of them."""

import json
import zipfile

import numpy as np
import pytest
from edge_models import EXPORTED, SIZE, small_photos

from corroseg_utils import DATA
from corroseg_utils import export as export_module
from corroseg_utils.cli import main
from corroseg_utils.errors import CorrosegError
from corroseg_utils.export import export
from corroseg_utils.litert import load_interpreter, partitions, read_about
from corroseg_utils.metrics import confusion, corrosion_iou
from corroseg_utils.photos import read_photo
from corroseg_utils.segmenter import fit_square, load_segmenter

WEIGHTS = DATA / "weights"
KEPT = ("network", "alpha", "threshold", "classes", "size")  # what an export keeps of its model's description
SHIPPED_FILES = {"corroseg_weights": 2.5e6, "corroseg_int8": 2.5e6, "corroseg_exact_int8": 2.5e6,
                 "corroseg_small_int8": 1e6}  # largest size in bytes


@pytest.mark.parametrize("quantize", EXPORTED)
def test_uint8_in_logits_out_one_at_a_time(exported, quantize):
    interpreter = load_interpreter(exported[quantize])
    pixels, logits = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert (pixels["dtype"], list(pixels["shape"])) == (np.uint8, [1, SIZE, SIZE, 3])
    assert (logits["dtype"], list(logits["shape"])) == (np.float32, [1, SIZE, SIZE, 2])
    assert pixels["quantization"] == (1.0, 0), "a pixel's value is its quantised value"


@pytest.mark.parametrize("quantize", EXPORTED)
def test_xnnpack_runs_the_whole_graph(exported, quantize):
    assert partitions(load_interpreter(exported[quantize])) == (1, [])


def test_partitions_sees_what_xnnpack_leaves():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.uint8)])
    def cast_and_add(pixels):
        return tf.cast(pixels, tf.float32) + 1.0

    converter = tf.lite.TFLiteConverter.from_concrete_functions([cast_and_add.get_concrete_function()], tf.Module())
    assert partitions(load_interpreter(converter.convert())) == (1, ["CAST"])


def test_float32_equals_keras(exported, model_file):
    photos = small_photos(3)
    keras, litert = load_segmenter(model_file).logits(photos), load_segmenter(exported["none"]).logits(photos)
    assert np.abs(keras).max() > 1e-3
    np.testing.assert_allclose(litert, keras, atol=1e-4)


@pytest.mark.parametrize(("quantize", "correlation"), [("weights", 0.99), ("int8", 0.9)])
def test_quantised_follows_float32(exported, quantize, correlation):
    photos = small_photos(3)
    exact, quantised = (load_segmenter(exported[q]).logits(photos).ravel() for q in ("none", quantize))
    assert np.corrcoef(exact, quantised)[0, 1] > correlation


def test_description_is_inside_and_any_unzip_reads_it(exported):
    about = read_about(exported["int8"])
    assert about["size"] == SIZE and about["classes"] == ["background", "corrosion"] and about["threshold"] == 0.5
    assert about["quantize"] == "int8" and about["licence"] and about["version"]
    assert json.loads(zipfile.ZipFile(exported["int8"]).read("about.json")) == about


def test_the_licence_of_a_model_is_not_ours_to_give(model_file, tmp_path):
    assert "licence" not in export(tmp_path / "mine.tflite", model_file)


def test_int8_without_the_repository_asks_for_photos(tmp_path, monkeypatch, model_file):
    monkeypatch.setattr(export_module, "DATA", tmp_path / "data")
    with pytest.raises(CorrosegError, match="Name a data set with --calibration, or take --quantize weights"):
        export(tmp_path / "a.tflite", model_file, quantize="int8", calibration=tmp_path / "data")
    assert not (tmp_path / "a.tflite").exists()


def test_quantised_files_are_smaller(exported):
    sizes = {quantize: path.stat().st_size for quantize, path in exported.items()}
    assert sizes["weights"] < 0.5 * sizes["none"] and sizes["int8"] < 0.6 * sizes["none"]


def test_int8_needs_a_hundred_photos(shared_data_2020, model_file, tmp_path, capsys):
    arguments = ["export", "--out", str(tmp_path / "a.tflite"), "--model", str(model_file), "--quantize", "int8",
                 "--calibration", str(shared_data_2020)]
    assert main(arguments) == 2
    assert "at least 100 training photos" in capsys.readouterr().err
    assert not (tmp_path / "a.tflite").exists()


def test_ranges_are_set_on_training_photos_from_the_whole_list(shared_data_2020, monkeypatch):
    from corroseg_utils.dataset import read_data

    monkeypatch.setattr(export_module, "CALIBRATION", 3)
    manifest = read_data(shared_data_2020)
    training = manifest["photo"][manifest["split"] == "train"].tolist()
    assert len(training) == 4
    expected = [fit_square(read_photo(training[number]), SIZE)[0] for number in (0, 2, 3)]
    np.testing.assert_array_equal(export_module.calibration_photos(shared_data_2020, SIZE), expected)


def test_the_description_names_the_size_that_was_asked_for(model_file, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(export_module, "convert",
                        lambda model, *rest: asked.append((model.input_shape, *rest)) or b"no flatbuffer")
    path = tmp_path / "a.tflite"
    command = ["export", "--out", str(path), "--model", str(model_file), "--size", "96", "--quantize", "weights"]
    assert main(command) == 0
    assert asked == [((None, 96, 96, 3), 96, "weights", None)]
    about = read_about(path)
    assert (about["size"], about["quantize"], about["threshold"]) == (96, "weights", 0.5)


def model_of(export):
    """The model file that a shipped export was made from."""
    return WEIGHTS / f"{export.rpartition('_')[0]}.npz"


@pytest.mark.parametrize("export", SHIPPED_FILES)
def test_shipped_file_is_small_and_of_the_shipped_weights(export):
    path = WEIGHTS / f"{export}.tflite"
    from corroseg_utils.weights import read_about as read_npz_about

    assert path.stat().st_size <= SHIPPED_FILES[export]
    about, shipped = read_about(path), read_npz_about(model_of(export))
    assert {key: about.get(key) for key in KEPT} == {key: shipped[key] for key in KEPT}, (
        "see data/weights/README.md to make it anew")
    assert about["licence"] and about["version"] and about["quantize"] == export.rpartition("_")[2]
    assert partitions(load_interpreter(path)) == (1, [])


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "support_dataset.csv").exists(), reason="the embedded data set is not there")
def test_shipped_quantised_models_lose_at_most_half_a_point():
    from corroseg_utils.dataset import load_pair, read_data

    manifest = read_data(DATA)
    rows = manifest[manifest["split"] == "test"].to_dict("records")
    pairs = [load_pair(row) for row in rows]

    def iou(path):
        segmenter = load_segmenter(path)
        return corrosion_iou(sum(confusion(mask > 0, segmenter.mask(photo)) for photo, mask in pairs))

    exact = {path: iou(path) for path in {model_of(export) for export in SHIPPED_FILES}}
    scores = {export: (iou(WEIGHTS / f"{export}.tflite"), exact[model_of(export)]) for export in SHIPPED_FILES}
    assert all(quantised > of_model - 0.005 for quantised, of_model in scores.values()), scores
