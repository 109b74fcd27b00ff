"""The recipe of the rendered set: its plan, what a kill leaves, and, with Blender, that a seed gives the same again."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

RENDER = Path(__file__).parents[1] / "data" / "render"
needs_blender = pytest.mark.skipif(
    find_spec("bpy") is None, reason="bpy is not installed: pip install -r data/render/requirements.txt (Python 3.11)"
)


@pytest.fixture
def recipe(monkeypatch) -> SimpleNamespace:
    """The parts of the recipe that need no Blender."""
    monkeypatch.syspath_prepend(RENDER)
    import export
    import plan
    import render

    return SimpleNamespace(plan=plan, export=export, render=render)


@pytest.fixture
def make_plan(recipe):
    return recipe.plan.make_plan


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


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a render by its path, leftovers too; temporary files lie in .scratch alone."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files if ".scratch" not in p.parts}


class Killed(BaseException):
    """In place of SIGKILL: nothing in the renderer catches it."""


def store(recipe, out: Path, scratch: str, last_step: int | None = None) -> None:
    """What a run does with a rendered job, killed at `last_step`.

    Every file takes two steps: a kill at the first leaves half of its bytes, at the second a file without its name.
    """
    steps = itertools.count()

    def write_bytes(path: Path, data: bytes) -> None:
        killed = next(steps) == last_step
        with path.open("wb") as stream:
            stream.write(data[: len(data) // 2] if killed else data)
        if killed:
            raise Killed

    def replace(source: Path, target: Path, rename=os.replace) -> None:
        if next(steps) == last_step:
            raise Killed
        rename(source, target)

    job = recipe.plan.make_plan(1, 4)[0]
    name = f"{job.group}_IMG_0007"
    files = {f"masks/_cor2_{name}.png": b"mask" * 9, f"photos/{name}.JPG": b"photo" * 9}
    record = {key: "" for key in ("asset", "coating", "light", "surroundings", "distance", "steel_share")}
    record |= {"images_names": name, "group": job.group, "split": job.split, "findings": [f"_cor2_{name}"],
               "shares": [0.25], "lookalikes": []}  # fmt: skip
    for folder in ("photos", "masks", "jobs", f".scratch/{scratch}"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_bytes)
        patch.setattr(os, "replace", replace)
        if not recipe.export.record_path(out, job).exists():
            recipe.export.write_job(out, job, files, [record], out / ".scratch" / scratch)
        recipe.export.write_tables(out, out / ".scratch" / scratch)


@pytest.mark.parametrize("last_step", range(14))
def test_a_job_killed_while_it_is_stored_leaves_whole_files_and_is_stored_again(recipe, tmp_path: Path, last_step: int):
    store(recipe, tmp_path / "whole", "a")
    whole = tree(tmp_path / "whole")
    assert len(whole) == 7
    killed = tmp_path / "killed"
    with pytest.raises(Killed):
        store(recipe, killed, "a", last_step)
    left = tree(killed)
    assert len(left) == last_step // 2 and left.items() <= whole.items()
    done = any(name.startswith("jobs/") for name in left)
    assert not done or {name for name in whole if "_IMG_" in name} <= set(left)
    store(recipe, killed, "b")
    assert tree(killed) == whole


def test_tables_name_no_file_of_an_unfinished_job(recipe, tmp_path: Path):
    store(recipe, tmp_path, "a")
    before = tree(tmp_path)
    (tmp_path / "photos" / "CDM_20000_IMG_0001.JPG").write_bytes(b"of a job without a record")
    recipe.export.write_tables(tmp_path, tmp_path / ".scratch" / "a")
    assert (tmp_path / "SHA256SUMS").read_bytes() == before["SHA256SUMS"]


def test_a_folder_is_resumed_by_the_same_recipe_only(recipe, tmp_path: Path):
    prepare, out = recipe.render.prepare, tmp_path / "deep" / "out"
    prepare(out, {"seed": 1})
    prepare(out, {"seed": 1})
    with pytest.raises(ValueError, match="'seed': 1.*'seed': 2"):
        prepare(out, {"seed": 2})
    with pytest.raises(ValueError, match="'ground': 0.25"):
        prepare(out, {"seed": 1, "ground": 0.25})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "holiday.jpg").touch()
    with pytest.raises(ValueError, match="other files"):
        prepare(tmp_path / "other", {"seed": 1})
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["holiday.jpg"]


def test_a_folder_whose_first_run_was_killed_at_its_start_is_taken(recipe, tmp_path: Path):
    (tmp_path / ".scratch" / "left").mkdir(parents=True)
    recipe.render.prepare(tmp_path, {"seed": 1})
    assert (tmp_path / "recipe.json").is_file()


def test_scenes_meant_to_teach_ground_stand_mostly_on_soil(recipe, monkeypatch):
    for module, stub in (("mesh", SimpleNamespace(Model=None, frame=None)), ("dressing", None)):
        monkeypatch.setitem(sys.modules, module, stub)
    monkeypatch.delitem(sys.modules, "dressing")
    import dressing

    def grounds(mostly_soil: bool) -> Counter:
        laid = []
        model = SimpleNamespace(rng=np.random.default_rng(0), sheet=lambda _, material, away: laid.append(material))
        for _ in range(200):
            dressing.ground(model, "sea", 0.0, mostly_soil)
        return Counter(laid)

    assert grounds(False) == {"deck": 200}
    assert 120 < grounds(True)["soil"] < 180 and set(grounds(True)) == {"soil", "deck"}


def call(out: Path, *options: str) -> list[str]:
    return [sys.executable, str(RENDER / "render.py"), "--out", str(out), *options]


@pytest.mark.parametrize("options", [("--jobs", "0"), ("--jobs", "-3"), ("--jobs", "many"), ("--seed", "-1")])
def test_a_wrong_number_is_refused_before_anything_is_made(tmp_path: Path, options):
    run = subprocess.run(call(tmp_path / "out", *options), capture_output=True, text=True)
    assert run.returncode == 2 and f"argument {options[0]}: '{options[1]}' is not a whole number" in run.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", ["-0.1", "1.5", "nan", "some"])
def test_a_wrong_share_is_refused_before_anything_is_made(tmp_path: Path, share: str):
    run = subprocess.run(call(tmp_path / "out", "--ground", share), capture_output=True, text=True)
    assert run.returncode == 2 and f"argument --ground: '{share}' is not a number from 0 to 1" in run.stderr
    assert not (tmp_path / "out").exists()


def test_a_blender_that_crashes_without_a_word_is_told(recipe, monkeypatch):
    crash = subprocess.CompletedProcess([], -signal.SIGILL, "", "")
    monkeypatch.setattr(recipe.render.subprocess, "run", lambda *arguments, **options: crash)
    with pytest.raises(ImportError, match="exit code -4"):
        recipe.render.blender_version()


@pytest.mark.skipif(find_spec("bpy") is not None, reason="bpy is installed")
def test_without_blender_it_says_what_is_missing(tmp_path: Path):
    run = subprocess.run(call(tmp_path / "out"), capture_output=True, text=True)
    assert run.returncode == 2 and "No module named" in run.stderr and "data/README.md" in run.stderr
    assert "Traceback" not in run.stderr and not (tmp_path / "out").exists()


@needs_blender
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    run = subprocess.run(call(tmp_path / "file" / "out"), capture_output=True, text=True)
    assert run.returncode == 2 and f"--out {tmp_path / 'file' / 'out'}" in run.stderr
    assert "Traceback" not in run.stderr


# Three jobs of three photos each, small.
SMALL = ("--jobs", "3", "--seed", "1113", "--size", "96")


def wait_for(condition) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def killed_run(out: Path, moment: float, group: bool = True, jobs_done: int = 0) -> str:
    """Start the small render, one job at a time, and SIGKILL it; what it had printed.

    The kill comes `moment` seconds after rendering began and `jobs_done` jobs were done. With `group`, the worker dies
    too; without, it goes on alone, beside the next run.
    """
    log = out.with_name("log.txt")
    with log.open("w") as stdout:
        run = subprocess.Popen(call(out, *SMALL, "--processes", "1"), stdout=stdout, start_new_session=True)
        wait_for(lambda: "to render" in log.read_text() and len(list(out.glob("jobs/*.json"))) >= jobs_done)
        time.sleep(moment)
        assert run.poll() is None, "it ended before it was killed"
        (os.killpg if group else os.kill)(run.pid, signal.SIGKILL)
        run.wait()
    return log.read_text()


@needs_blender
@pytest.mark.slow
def test_a_render_killed_again_and_again_gives_the_same_files(tmp_path: Path):
    """Masks, photos and tables of an undisturbed run, two jobs at a time, and of one that was killed four times."""
    started = time.monotonic()
    subprocess.run(call(tmp_path / "whole", *SMALL, "--processes", "2"), check=True, capture_output=True)
    seconds = time.monotonic() - started
    killed, moments = tmp_path / "killed", [random.uniform(0, seconds / 8) for _ in range(3)]
    print(f"undisturbed {seconds:.1f} s, killed after {moments} s")
    killed_run(killed, moments[0])
    killed_run(killed, moments[1], group=False)
    killed_run(killed, 0, jobs_done=1)
    assert "1 already done" in killed_run(killed, moments[2])
    end = subprocess.run(call(killed, *SMALL), check=True, capture_output=True, text=True)
    assert "already done" in end.stdout and "0 already done" not in end.stdout
    whole = tree(tmp_path / "whole")
    assert sum(name.startswith("photos/") for name in whole) == 9
    assert sum(name.startswith("masks/") for name in whole) >= 3
    assert tree(killed) == whole
    again = subprocess.run(call(killed, *SMALL[:2], "--seed", "12"), capture_output=True, text=True)
    assert again.returncode == 2 and "it holds a render with {'seed': 1113" in again.stderr
