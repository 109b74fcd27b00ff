"""What a large photo costs, in a process of its own: what `python -m corroseg_utils benchmark --whole-photos` does.

NumPy, Pillow and LiteRT only, so that it also runs where the models shall run.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from corroseg_utils import DATA, WEIGHTS
from corroseg_utils.errors import CorrosegError
from corroseg_utils.segment import segment_photos
from corroseg_utils.segmenter import load_segmenter

MEGAPIXELS, SCALES, MODELS = (3, 12, 48, 100), (0.5, 1.0), ("int8", "weights")
_MEASURE = "import sys; from corroseg_utils.whole_photos import measure_here; measure_here(*sys.argv[1:])"


def whole_photos(megapixels=MEGAPIXELS, scales=SCALES, models=MODELS, rounds: int = 3) -> list[dict]:
    """Time `segment --scale` on photos of several sizes, with the shipped models.

    Args:
        megapixels: sizes of the photos; width and height are as 4 to 3.
        scales: at which the network sees them.
        models: `data/weights/corroseg_<model>.tflite`.
        rounds: processes for each; the median of their times counts, and the largest of their peaks.

    Returns:
        One row each: `megapixels`, `scale`, `model`, `seconds` from the photo's file to its mask and overlay, and
        `peak_memory_mb` of the whole process.

    Raises:
        CorrosegError: the embedded photos are not there, or a photo could not be marked.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in megapixels:
            photo = Path(folder) / f"{size}.jpg"
            make_photo(photo, size)
            for scale in scales:
                for model in models:
                    runs = [measure(WEIGHTS / f"corroseg_{model}.tflite", photo, scale)
                            for _ in range(rounds)]
                    rows.append({"megapixels": size, "scale": scale, "model": model,
                                 "seconds": statistics.median(run["seconds"] for run in runs),
                                 "peak_memory_mb": max(run["peak_memory_mb"] for run in runs)})
    return rows


def make_photo(path: Path, megapixels: float) -> None:
    """Write a JPEG, 4 to 3, that costs a decoder what a camera's costs: a rendered photo, enlarged, with fine noise.

    Raises:
        CorrosegError: the embedded photos are not there.
    """
    rendered = sorted((DATA / "photos").glob("*.*"))
    if not rendered:
        raise CorrosegError(f"{DATA / 'photos'}: there are no photos to enlarge. Fetch the whole repository.")
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = round(height * 4 / 3), height
    with Image.open(rendered[0]) as image:
        pixels = np.array(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
    noise = np.random.default_rng(0).integers(-6, 7, (256, size[0], 1))
    for top in range(0, height, 256):
        rows = pixels[top : top + 256]
        rows[:] = np.clip(rows + noise[: len(rows)], 0, 255)
    Image.fromarray(pixels).save(path, quality=92)


def measure(model: Path, photo: Path, scale: float) -> dict:
    """Mark one photo in a new process: its `seconds` and `peak_memory_mb`.

    Raises:
        CorrosegError: the process failed.
    """
    command = [sys.executable, "-c", _MEASURE, str(model), str(photo), str(scale)]
    paths = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    if result.returncode:
        raise CorrosegError(f"{photo.name}: marking it failed, exit code {result.returncode} "
                            f"(-9: stopped by the system, mostly for lack of memory).\n{result.stderr.strip()}")
    return json.loads(result.stdout)


def measure_here(model: str, photo: str, scale: str) -> None:
    """Mark one photo in this process, and print what it cost as JSON. All arguments are text, from a command line."""
    row, = segment_photos(load_segmenter(model), [Path(photo)], Path(photo).with_suffix(""), float(scale))
    if row["error"]:
        sys.exit(row["error"])
    print(json.dumps({"seconds": row["seconds"], "peak_memory_mb": peak_memory_mb()}))


def peak_memory_mb() -> float:
    """The most memory that this process held at once, in MB (10^6 bytes); 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` would count what the process that started this one held
        kib = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(kib) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS


def report(rows: list[dict]) -> str:
    """The rows as a table of text."""
    lines = ["megapixels  scale  model     seconds  peak memory MB"]
    lines += [f"{row['megapixels']:>10}{row['scale']:>7}  {row['model']:<8}{row['seconds']:>9.2f}"
              f"{row['peak_memory_mb']:>16.0f}" for row in rows]
    return "\n".join(lines)
