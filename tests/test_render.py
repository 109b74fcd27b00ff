"""The recipe of the rendered set: its plan, and, where Blender is installed, that a seed gives the same masks again."""

import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

RENDER = Path(__file__).parents[1] / "data" / "render"
needs_blender = pytest.mark.skipif(
    find_spec("bpy") is None, reason="bpy is not installed: pip install -r data/render/requirements.txt (Python 3.11)"
)


@pytest.fixture
def make_plan(monkeypatch):
    monkeypatch.syspath_prepend(RENDER)
    import plan

    return plan.make_plan


def test_a_longer_plan_begins_with_the_shorter_one(make_plan):
    assert make_plan(45, 7)[:30] == make_plan(30, 7)


def test_another_seed_gives_other_jobs(make_plan):
    assert not {job.group for job in make_plan(40, 1)} & {job.group for job in make_plan(40, 2)}


def test_every_twenty_jobs_hold_every_class_and_clean_ones_in_due_shares(make_plan):
    jobs = make_plan(40, 3)[20:]
    assert Counter(job.split for job in jobs) == {"train": 14, "validation": 3, "test": 3}
    for split in ("train", "validation", "test"):
        assert {kind for job in jobs if job.split == split for kind in job.kinds} == {"cor", "rus", "pit", "lom"}
    assert sum(not job.kinds for job in jobs) == 3
    assert all(3 <= job.views <= 12 for job in jobs)


def test_job_numbers_are_unique(make_plan):
    groups = [job.group for job in make_plan(200, 5)]
    assert len({group[-5:] for group in groups}) == len(groups)


def render(out: Path, jobs: int) -> list[str]:
    return [sys.executable, str(RENDER / "render.py"), "--out", str(out), "--jobs", str(jobs), "--seed", "11"]


@needs_blender
@pytest.mark.slow
def test_a_killed_render_goes_on_and_gives_the_same_masks(tmp_path: Path):
    """Two jobs undisturbed; the same two killed while the second is on its way, and started again."""
    subprocess.run(render(tmp_path / "whole", 2), check=True, capture_output=True)
    killed = tmp_path / "killed"
    first = subprocess.Popen(render(killed, 2), stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 600
    while not list(killed.glob("jobs/*.json")) and time.monotonic() < deadline:
        time.sleep(0.2)
    subprocess.run(["pkill", "-KILL", "-s", str(first.pid)], check=True)
    first.wait()
    again = subprocess.run(render(killed, 2), check=True, capture_output=True, text=True)
    assert "1 already done" in again.stdout
    for folder in ("masks", "photos"):
        whole = {path.name: path.read_bytes() for path in (tmp_path / "whole" / folder).iterdir()}
        assert whole and whole == {path.name: path.read_bytes() for path in (killed / folder).iterdir()}
    assert (tmp_path / "whole" / "SHA256SUMS").read_bytes() == (killed / "SHA256SUMS").read_bytes()
