"""The benchmark: what it reports, on the smallest size, and what holds on every machine."""

import json

import pytest

from corroseg_utils import benchmark

pytestmark = pytest.mark.slow  # converts eight networks


@pytest.fixture(scope="module")
def result():
    return benchmark.benchmark(sizes=(64,), threads=(1,), rounds=3, seconds=0.001)


def test_every_model_has_a_row(result):
    formats = ("float32", "weights", "int8")
    assert [row["model"] for row in result["rows"]] == [
        benchmark.OPEN_BATCH, benchmark.BATCH_1, *(f"{benchmark.EDGE} {name}" for name in formats),
        *(f"{benchmark.SIBLING} {name}" for name in formats), f"{benchmark.EDGE} Keras predict"]
    for row in result["rows"]:
        assert 0 < row["low"] <= row["ms"] <= row["high"]
        assert row["gmacs_per_second"] == pytest.approx(row["mmacs"] / row["ms"])


def test_our_models_run_in_one_part_and_the_open_batch_does_not(result):
    parts = {row["model"]: (row["partitions"], row["fallback"]) for row in result["rows"] if row["threads"]}
    assert parts.pop(benchmark.OPEN_BATCH) > (1, 0)
    parts.pop(benchmark.BATCH_1)
    assert set(parts.values()) == {(1, 0)}


def test_ours_costs_a_fraction(result):
    macs = {row["model"]: row["mmacs"] for row in result["rows"]}
    assert 5 * macs["edge_unet 0.5 int8"] < macs[benchmark.OPEN_BATCH]


def test_report_and_json_hold_the_same(result):
    text = benchmark.report(result)
    assert all(row["model"] in text for row in result["rows"]) and "GMAC/s" in text
    assert json.loads(json.dumps(result)) == result
