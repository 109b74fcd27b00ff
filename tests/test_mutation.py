"""A lesson must notice when a helper that it imports is wrong: otherwise its stored outputs prove nothing."""

import os
import shutil
import subprocess
import sys

import lessons
import pytest

LESSON = "notebooks/01_inspect_data.ipynb"
RIGHT = '("background", "cor", "rus", "pit", "lom")'
WRONG = '("background", "rus", "cor", "pit", "lom")'


@pytest.fixture
def copy(tmp_path):
    """A copy of the repository with one lesson."""
    for folder in ("notebooks", "tests"):
        (tmp_path / folder).mkdir()
    for name in (LESSON, "notebooks/conftest.py", "tests/nbval_sanitize.cfg", "pyproject.toml"):
        shutil.copy(lessons.REPO / name, tmp_path / name)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(lessons.REPO / "corroseg_utils", tmp_path / "corroseg_utils", ignore=ignore)
    (tmp_path / "data").symlink_to(lessons.REPO / "data")
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(not (lessons.REPO / LESSON).exists(), reason=f"{LESSON} is not there yet")
def test_swapped_classes_fail_the_lesson(copy):
    module = copy / "corroseg_utils" / "dataset.py"
    source = module.read_text(encoding="utf-8")
    assert source.count(RIGHT) == 1
    module.write_text(source.replace(RIGHT, WRONG), encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "notebooks"]
    env = {**os.environ, "PYTHONPATH": str(copy)}  # comes before the installed package
    run = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, timeout=300)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "mismatch" in run.stdout, "the lesson crashed instead of showing other results:\n" + run.stdout
