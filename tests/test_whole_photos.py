"""What large photos cost: each is measured in a process of its own, whose memory stays bounded."""

import json

import pytest
from PIL import Image

from corroseg_utils import DATA, benchmark
from corroseg_utils.cli import main
from corroseg_utils.errors import CorrosegError
from corroseg_utils.segmenter import SHIPPED_LITERT
from corroseg_utils.whole_photos import make_photo, measure, report, whole_photos

pytestmark = pytest.mark.skipif(not (DATA / "photos").exists(), reason="the embedded data set is not there")


def test_a_photo_has_the_megapixels_asked_for_and_noise(tmp_path):
    make_photo(tmp_path / "a.jpg", 0.3)
    with Image.open(tmp_path / "a.jpg") as image:
        width, height = image.size
        assert width * height == pytest.approx(0.3e6, rel=0.01) and width * 3 == pytest.approx(height * 4, abs=3)
    # Without noise it would compress, and be decoded, far better than a camera's.
    assert (tmp_path / "a.jpg").stat().st_size > 0.15 * width * height


def test_one_row_for_each_size_scale_and_model():
    rows = whole_photos((0.1, 0.4), (0.5, 1.0), ("int8",), rounds=1)
    assert [(row["megapixels"], row["scale"], row["model"]) for row in rows] == [
        (0.1, 0.5, "int8"), (0.1, 1.0, "int8"), (0.4, 0.5, "int8"), (0.4, 1.0, "int8")]
    assert all(0 < row["seconds"] < 60 and 50 < row["peak_memory_mb"] < 350 for row in rows)
    assert len(report(rows).splitlines()) == 5


def test_a_photo_that_cannot_be_marked_is_an_error(tmp_path):
    (tmp_path / "a.jpg").write_text("no photo")
    with pytest.raises(CorrosegError, match="a.jpg: marking it failed, exit code 1 (.|\n)*known format") as caught:
        measure(SHIPPED_LITERT, tmp_path / "a.jpg", 1.0)
    assert "Traceback" not in str(caught.value)


def test_the_command_prints_a_table_or_json(monkeypatch, capsys):
    rows = [{"megapixels": 12, "scale": 0.5, "model": "int8", "seconds": 0.504, "peak_memory_mb": 183.2}]
    monkeypatch.setattr(benchmark, "whole_photos", lambda: rows)
    assert main(["benchmark", "--whole-photos"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["12", "0.5", "int8", "0.50", "183"]
    assert main(["benchmark", "--whole-photos", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows


@pytest.mark.slow
@pytest.mark.parametrize(("megapixels", "limit"), [(12, 350), (100, 700)])
def test_memory_of_the_whole_process_is_bounded(tmp_path, megapixels, limit):
    make_photo(tmp_path / "a.jpg", megapixels)
    assert measure(SHIPPED_LITERT, tmp_path / "a.jpg", 1.0)["peak_memory_mb"] <= limit
