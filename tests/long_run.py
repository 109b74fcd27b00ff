"""A long run of `report`, measured: photos a second, memory, and what ten kills leave behind.

    python tests/long_run.py [--photos 200] [--kills 10] [--folder build/long_run]

Makes photos of 12 megapixels from the rendered ones, inspects them at half resolution with the model for small
computers, once undisturbed and once killed at random moments and started again, and compares the two reports byte by
byte. Linux only: memory is read from /proc. The photos take 5 MB each and are removed at the end.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from corroseg_utils import DATA
from corroseg_utils.segmenter import EXACT_LITERT

REPO = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 4000, 3000


def make_photos(folder: Path, count: int) -> None:
    """Write JPEGs of 12 megapixels, each four rendered photos side by side, enlarged, with a camera's noise."""
    folder.mkdir(parents=True)
    rendered = sorted((DATA / "photos").glob("*.JPG"))
    noise = np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH, 1)).astype(np.int16)
    for number in range(count):
        photo = Image.new("RGB", (WIDTH, HEIGHT))
        for quarter in range(4):
            part = Image.open(rendered[(4 * number + quarter * 37) % len(rendered)])
            part = part.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BICUBIC)
            photo.paste(part, (quarter % 2 * WIDTH // 2, quarter // 2 * HEIGHT // 2))
        noisy = np.clip(np.asarray(photo) + np.roll(noise, 97 * number, axis=1), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"CDM_{number % 20:05}_IMG_{number:04}.JPG", quality=92)


def start(photos: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "corroseg_utils", "report", photos, "--out", out, "--scale", "0.5",
               "--model", EXACT_LITERT]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def undisturbed(photos: Path, out: Path) -> tuple[float, float]:
    """Run to the end; seconds, and the sum of the peak memory of the program and its reader in megabytes."""
    began, peaks = time.monotonic(), {}
    run = start(photos, out)
    while run.poll() is None:
        for process in (run.pid, *_children(run.pid)):
            peaks[process] = max(peaks.get(process, 0), _peak_kilobytes(process))
        time.sleep(0.1)
    if run.returncode:
        raise RuntimeError(f"the run ended with exit code {run.returncode}")
    return time.monotonic() - began, sum(peaks.values()) / 1024


def killed(photos: Path, out: Path, kills: int, seconds: float, chance: random.Random) -> int:
    """Kill runs at random moments after each has finished a photo, then let one go on to the end; the number of
    finished photos that were made again."""
    done, repeated = {}, 0
    for _ in range(kills):
        run = start(photos, out)
        while run.poll() is None and len(_finished(out)) <= len(done):
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.5) * seconds / kills)  # a quarter of the time in all: some is left for the last
        if run.poll() is not None:
            raise RuntimeError("a run had ended before it was killed; take more photos or fewer kills")
        run.send_signal(signal.SIGKILL)
        run.wait()
        repeated += _changed(done)
        done = _finished(out)
    if start(photos, out).wait():
        raise RuntimeError("the last run failed")
    return repeated + _changed(done)


def differing(one: Path, other: Path) -> list[str]:
    """Names of the files that differ between two reports in more than the date on which they were made."""
    files = [{path.relative_to(out): path for path in out.rglob("*") if path.is_file()} for out in (one, other)]
    dates = [json.loads((out / "findings.json").read_text("utf-8"))["created"] for out in (one, other)]

    def undated(path: Path, date: str) -> bytes:  # the page also shows the date without its T and its seconds
        return path.read_bytes().replace(date.encode(), b"").replace(date[:16].replace("T", " ").encode(), b"")

    def differs(name: Path) -> bool:
        contents = [undated(own[name], date) if name in own else None for own, date in zip(files, dates, strict=True)]
        return contents[0] != contents[1]

    return sorted(str(name) for name in files[0].keys() | files[1].keys() if differs(name))


def measure(folder: Path, count: int, kills: int, seed: int = 7) -> dict:
    """All of it; the result as `main` prints it."""
    photos = folder / "photos"
    make_photos(photos, count)
    seconds, megabytes = undisturbed(photos, folder / "undisturbed")
    repeated = killed(photos, folder / "killed", kills, seconds, random.Random(seed))
    return {"photos": count, "photos_per_second": round(count / seconds, 2), "megabytes": round(megabytes),
            "kills": kills, "repeated": repeated,
            "differing": differing(folder / "undisturbed", folder / "killed")}


def _finished(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (out / "photos").glob("*.json")}


def _changed(times: dict[Path, int]) -> int:
    return sum(path.stat().st_mtime_ns != then for path, then in times.items())


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:  # it has just ended
        return []


def _peak_kilobytes(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=REPO / "build" / "long_run")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    try:
        print(json.dumps(measure(options.folder, options.photos, options.kills), indent=1))
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
