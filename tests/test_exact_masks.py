"""Exact masks from outlines: one by hand, and a data set that `train` can read."""

import numpy as np

from corroseg_utils import exact_masks
from corroseg_utils.dataset import load_pair, read_data
from corroseg_utils.errors import exit_code
from corroseg_utils.exact_masks import SLACK, exact_mask


def test_what_is_marked_inside_the_outline_counts():
    outline = np.zeros((40, 40), bool)
    outline[10:30, 10:30] = True
    probability = np.zeros((40, 40), np.float32)
    probability[15:20, :] = 0.9  # a line of rust that goes on outside
    probability[25, 25] = 0.4
    expected = np.zeros((40, 40), bool)
    expected[15:20, 10 - SLACK : 30 + SLACK] = True
    assert np.array_equal(exact_mask(outline, probability), expected)
    assert not exact_mask(np.zeros((40, 40), bool), probability).any()


def test_the_command_writes_a_data_set(data_2020, tmp_path, monkeypatch, capsys, red_segmenter):
    monkeypatch.setattr(exact_masks, "load_segmenter", lambda path, exact: red_segmenter)
    out = tmp_path / "exact"
    monkeypatch.setattr("sys.argv", ["exact_masks", str(data_2020), "--out", str(out)])
    assert exit_code(exact_masks.main) == 0
    before, after = read_data(data_2020), read_data(out / "manifest.csv")
    assert len(before) == len(after) and set(after["split"]) == {"train"}
    assert after["group"].str.endswith(tuple(before["group"])).all()
    for old, new in zip(before.to_dict("records"), after.to_dict("records"), strict=True):
        (photo, outline), (same, mask) = load_pair(old), load_pair(new)
        assert np.array_equal(photo, same)
        assert np.array_equal(mask > 0, exact_mask(outline > 0, red_segmenter.probability(photo)))
    assert (out / "masks" / "00000.png").is_file()

    assert exit_code(exact_masks.main) == 2
    assert f"{out} exists. Give a new folder" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["exact_masks", str(data_2020), "--out", str(tmp_path / "new"), "--source", "web"])
    assert exit_code(exact_masks.main) == 2
    assert "no photo to make a mask for" in capsys.readouterr().err and not (tmp_path / "new").exists()
