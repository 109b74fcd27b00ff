"""Exact masks from outlines: one by hand, and a data set that `train` can read."""

import numpy as np
from PIL import Image

from corroseg_utils import exact_masks
from corroseg_utils.dataset import load_pair, read_data
from corroseg_utils.errors import exit_code
from corroseg_utils.exact_masks import SLACK, exact_mask


def test_what_is_marked_in_the_outline_counts():
    outline, marked = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    outline[10:30, 10:30] = True
    marked[15:20, :] = True  # a line of rust that goes on outside
    expected = np.zeros((40, 40), bool)
    expected[15:20, 10 - SLACK : 30 + SLACK] = True
    assert np.array_equal(exact_mask(outline, marked), expected)
    assert not exact_mask(np.zeros((40, 40), bool), marked).any()


def run(monkeypatch, segmenter, *arguments):
    monkeypatch.setattr(exact_masks, "load_segmenter", lambda path, exact: segmenter)
    monkeypatch.setattr("sys.argv", ["exact_masks", *map(str, arguments)])
    return exit_code(exact_masks.main)


def test_the_command_writes_a_data_set(data_2020, tmp_path, monkeypatch, capsys, red_segmenter):
    turned = read_data(data_2020)["photo"].iloc[0]  # its mask may be turned once, not twice
    photo, exif = Image.open(turned), Image.Exif()
    exif[0x0112] = 3
    photo.transpose(Image.Transpose.ROTATE_180).save(turned, exif=exif, quality=95)
    for mask in (data_2020 / "masks").glob(f"*{turned.stem}.png"):
        Image.open(mask).transpose(Image.Transpose.ROTATE_180).save(mask)

    out = tmp_path / "exact"
    assert run(monkeypatch, red_segmenter, data_2020, "--out", out) == 0
    before, after = read_data(data_2020), read_data(out / "manifest.csv")
    assert list(after["group"]) == list(before["group"]) and list(after["split"]) == list(before["split"])
    for old, new in zip(before.to_dict("records"), after.to_dict("records"), strict=True):
        (photo, outline), (same, mask) = load_pair(old), load_pair(new)
        assert np.abs(photo.astype(int) - same).mean() < 6  # a turned photo is saved once more
        expected = exact_mask(outline > 0, red_segmenter.mask(photo))
        assert np.array_equal(mask > 0, expected) and expected.any() == (outline > 0).any()

    assert run(monkeypatch, red_segmenter, data_2020, "--out", out) == 2
    assert "there is a data set in this folder already" in capsys.readouterr().err


def test_only_one_source(data_2020, tmp_path, monkeypatch, capsys, red_segmenter):
    photos, data = read_data(data_2020)["photo"], tmp_path / "manifest.csv"
    data.write_text("image,mask,source,group\n" + "".join(
        f"data/photos/{photo.name},,{name},{name}\n" for photo, name in zip(photos[:2], ("cis", "web"), strict=True)))
    assert run(monkeypatch, red_segmenter, data, "--out", tmp_path / "web", "--source", "web") == 0
    assert list(read_data(tmp_path / "web" / "manifest.csv")["group"]) == ["web/web"]
    assert run(monkeypatch, red_segmenter, data, "--out", tmp_path / "new", "--source", "boat") == 2
    assert "no source 'boat' in this data set. There are cis, web." in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
