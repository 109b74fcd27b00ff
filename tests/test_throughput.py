"""The comparison with the 2020 input pipeline runs and measures what it says. How fast it is, no test asserts."""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest

from corroseg_utils import throughput
from corroseg_utils.photos import read_mask, write_jpeg, write_png


@pytest.fixture
def folder(tmp_path):
    """Five photos in the 2020 layout; the last one has no finding, the first one has two."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(5):
        name = f"CDM_1_IMG_000{i}"
        write_jpeg(tmp_path / "photos" / f"{name}.JPG", rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        findings = [f"_cor1_{name}", f"_pit2_{name}"][: [2, 1, 1, 1, 0][i]]
        for finding in findings:
            mask = 255 * rng.integers(0, 2, (24, 32), dtype=np.uint8)
            write_png(tmp_path / "masks" / f"{finding}.png", mask)
        rows.append([name, *findings, *["nothing"] * (2 - len(findings))])
    table = pd.DataFrame(rows, columns=["images_names", "mask_1", "mask_2"])
    table.to_csv(tmp_path / "support_dataset.csv", index=False)
    return tmp_path


def test_folders_hold_the_first_mask_of_photos_with_findings(folder, tmp_path):
    throughput.write_folders_2020(throughput.read_data(folder), tmp_path / "flow")
    names = [f"CDM_1_IMG_000{i}" for i in range(4)]
    assert sorted(file.stem for file in tmp_path.glob("flow/frames/all/*")) == names
    assert sorted(file.stem for file in tmp_path.glob("flow/masks/all/*")) == names
    copied = read_mask(tmp_path / "flow" / "masks" / "all" / f"{names[0]}.png")
    assert (copied == read_mask(folder / "masks" / f"_cor1_{names[0]}.png")).all()


def test_flows_of_2020_give_float_pairs_and_print_nothing(folder, tmp_path, capsys):
    throughput.write_folders_2020(throughput.read_data(folder), tmp_path / "flow")
    photos, masks = next(throughput.pairs_2020(tmp_path / "flow", size=16, batch_size=4))
    assert photos.shape == masks.shape == (4, 16, 16, 3)
    assert photos.dtype == np.float32 and photos.max() <= 1
    assert capsys.readouterr().out == ""


def test_rate_counts_pairs_after_the_first_batch(monkeypatch):
    clock = itertools.count()  # every look at the clock takes a second
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: float(next(clock)))
    batches = ((np.zeros((size, 1)), None) for size in (100, 2, 3, 4, 5, 6))
    assert throughput.pairs_per_second(batches, seconds=4) == (2 + 3 + 4) / 5


def test_command_prints_both_rates_their_ratio_and_the_machine(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["throughput", str(folder), "--size", "16", "--seconds", "0.1"])
    throughput.main()
    out = capsys.readouterr().out
    assert "cores" in out
    rates = [float(line.split()[-2]) for line in out.splitlines() if line.endswith("pairs/s")]
    ratio = float(out.splitlines()[-1].split()[-1])
    assert len(rates) == 2 and min(rates) > 0
    assert ratio == pytest.approx(rates[1] / rates[0], rel=0.1)
