"""The check of the rendered set finds every planted fault and names the file."""

import hashlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

CHECK = Path(__file__).parents[1] / "data" / "render" / "check.py"
spec = importlib.util.spec_from_file_location("render_check", CHECK)
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)

A, B = "CDM_20001_IMG_0001", "CDS_20002_IMG_0007"


def write_hashes(root: Path) -> None:
    files = sorted([*root.glob("photos/*"), *root.glob("masks/*"), *root.glob("*.csv")])
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(root).as_posix()}\n" for p in files]
    (root / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two photos: one with a cor and a rus finding, one with nothing."""
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    for name in (A, B):
        Image.new("RGB", (512, 384), (90, 120, 100)).save(tmp_path / "photos" / f"{name}.JPG", "JPEG")
    for kind, rows in (("cor2", slice(0, 96)), ("rus3", slice(96, 144))):
        mask = np.zeros((384, 512), np.uint8)
        mask[rows] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"_{kind}_{A}.png")
    (tmp_path / "support_dataset.csv").write_text(
        "images_names,mask_1,mask_2,mask_3,mask_4\n"
        f"{A},_cor2_{A},_rus3_{A},nothing,nothing\n{B},nothing,nothing,nothing,nothing\n"
    )
    (tmp_path / "split.csv").write_text("group,split\nCDM_20001,train\nCDS_20002,test\n")
    columns = "images_names,group,asset,coating,light,surroundings,distance,steel_share,corroded_share,finding_shares"
    (tmp_path / "photos.csv").write_text(
        f"{columns},lookalikes\n{A},CDM_20001,shell,white,sun,sea,near,0.9,0.375,0.25;0.125,\n{B},CDS_20002,deck,buff,sun,sea,far,0.8,0,,dirt\n"
    )
    write_hashes(tmp_path)
    return tmp_path


def test_sound_set_has_no_layout_problem(root: Path) -> None:
    assert check.layout_problems(root) == []


def replace_text(name: str, old: str, new: str):
    return lambda root: (root / name).write_text((root / name).read_text().replace(old, new))


def repaint(values):
    """Overwrite the cor mask."""
    return lambda root: Image.fromarray(np.asarray(values, np.uint8)).save(root / "masks" / f"_cor2_{A}.png")


FAULTS = {
    "mask file lost": (
        lambda r: (r / "masks" / f"_rus3_{A}.png").unlink(),
        f"_rus3_{A}.png: in the table but not in masks/",
    ),
    "photo lost": (lambda r: (r / "photos" / f"{B}.JPG").unlink(), f"{B}.JPG: in the table but not in photos/"),
    "mask without a row": (
        replace_text("support_dataset.csv", f"_rus3_{A}", "nothing"),
        f"_rus3_{A}.png: in masks/ but not",
    ),
    "gap before a mask": (
        replace_text("support_dataset.csv", f"_cor2_{A},_rus3_{A}", f"nothing,_rus3_{A}"),
        "empty slot",
    ),
    "grade out of range": (replace_text("support_dataset.csv", "_cor2_", "_cor9_"), "not a finding of"),
    "mask of another size": (repaint(np.full((10, 10), 255)), "but its photo is"),
    "grey mask": (repaint(np.full((384, 512), 128)), "values other than 0 and 255"),
    "empty mask": (repaint(np.zeros((384, 512))), "empty mask"),
    "overlap": (repaint(np.full((384, 512), 255)), "overlaps another finding"),
    "truncated photo": (lambda r: (r / "photos" / f"{A}.JPG").write_bytes(b"\xff\xd8\xff"), f"{A}.JPG: cannot be read"),
    "small photo": (lambda r: Image.new("RGB", (256, 192)).save(r / "photos" / f"{B}.JPG", "JPEG"), "long side at 512"),
    "share misstated": (replace_text("photos.csv", "0.25;0.125", "0.35;0.125"), "stated 0.35"),
    "corroded share misstated": (replace_text("photos.csv", "0.9,0.375,", "0.9,0.475,"), f"0.37500 of {A} is corroded"),
    "share that is no number": (replace_text("photos.csv", "0.25;0.125", "0.25;x"), f"{A} has 'x'"),
    "steel share above 1": (replace_text("photos.csv", "0.9,0.375,", "9,0.375,"), f"{A} has '9' for a share"),
    "smaller finding first": (
        lambda r: (replace_text("support_dataset.csv", f"_cor2_{A},_rus3_{A}", f"_rus3_{A},_cor2_{A}")(r),
                   replace_text("photos.csv", "0.25;0.125", "0.125;0.25")(r)),
        f"the largest finding of {A} does not come first",
    ),
    "unknown split": (replace_text("split.csv", "test", "exam"), "unknown split 'exam'"),
    "job without split": (replace_text("split.csv", "CDS_20002,test\n", ""), "CDS_20002 has no row"),
    "wrong column": (replace_text("split.csv", "group,split", "job,split"), "split.csv: columns are"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_named(root: Path, fault: str) -> None:
    plant, expected = FAULTS[fault]
    plant(root)
    write_hashes(root)
    assert any(expected in problem for problem in check.layout_problems(root))


def test_changed_file_differs_from_its_hash(root: Path) -> None:
    replace_text("photos.csv", "sun", "flash")(root)
    assert check.layout_problems(root) == ["photos.csv: differs from its SHA-256"]


def test_all_problems_at_once(root: Path) -> None:
    (root / "photos" / f"{B}.JPG").unlink()
    (root / "masks" / f"_rus3_{A}.png").unlink()
    problems = "\n".join(check.layout_problems(root))
    assert f"{B}.JPG" in problems and f"_rus3_{A}.png" in problems


def test_small_set_misses_its_amounts(root: Path) -> None:
    tables, _ = check.read_tables(root)
    problems = "\n".join(check.amount_problems(tables))
    for text in (
        "2 photos, at least 480",
        "2 jobs, at least 70",
        "0 findings of lom",
        "no finding of cor in test",
        "mean corroded share",
    ):
        assert text in problems
    assert "look-alike" not in problems and isinstance(tables["photos.csv"], pd.DataFrame)


def test_exit_code(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["check.py", str(root)])
    assert check.main() == 1
    assert "at least 480 wanted" in capsys.readouterr().out
