"""The benchmark: what it reports, on the smallest size, and what holds on every machine."""

import json
import sys
from types import SimpleNamespace

import pytest

from corroseg_utils import benchmark


def test_openvino_runs_the_file_in_float32(monkeypatch):
    class Core:
        def compile_model(self, path, device, settings):
            assert (path.read_bytes(), device, settings["INFERENCE_NUM_THREADS"]) == (b"a model", "CPU", 2)
            assert settings["INFERENCE_PRECISION_HINT"] == "f32"
            return SimpleNamespace(create_infer_request=lambda: SimpleNamespace(infer=seen.append))

    seen = []
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=Core))
    benchmark._openvino(b"a model", 64, 2)()
    assert seen[0][0].shape == (1, 64, 64, 3) and seen[0][0].dtype == "uint8"


slow = pytest.mark.slow  # converts eight networks


@pytest.fixture(scope="module")
def result():
    return benchmark.benchmark(sizes=(64,), threads=(1,), rounds=3, seconds=0.001)


@slow
def test_every_model_has_a_row(result):
    formats = ("float32", "weights", "int8")
    assert [row["model"] for row in result["rows"] if not row["model"].endswith(("OpenVINO", "Runtime"))] == [
        benchmark.OPEN_BATCH, benchmark.BATCH_1, *(f"{benchmark.EDGE} {name}" for name in formats),
        *(f"{benchmark.SIBLING} {name}" for name in formats), f"{benchmark.EDGE} Keras predict"]
    for row in result["rows"]:
        assert 0 < row["low"] <= row["ms"] <= row["high"]
        assert row["gmacs_per_second"] == pytest.approx(row["mmacs"] / row["ms"])


@slow
def test_our_models_run_in_one_part_and_the_open_batch_does_not(result):
    parts = {row["model"]: (row["partitions"], row["fallback"]) for row in result["rows"] if "partitions" in row}
    assert parts.pop(benchmark.OPEN_BATCH) > (1, 0)
    parts.pop(benchmark.BATCH_1)
    assert set(parts.values()) == {(1, 0)}


@slow
def test_ours_costs_a_fraction(result):
    macs = {row["model"]: row["mmacs"] for row in result["rows"]}
    assert 5 * macs["edge_unet 0.5 int8"] < macs[benchmark.OPEN_BATCH]


@slow
def test_report_and_json_hold_the_same(result):
    text = benchmark.report(result)
    assert all(row["model"] in text for row in result["rows"]) and "GMAC/s" in text
    assert json.loads(json.dumps(result)) == result
