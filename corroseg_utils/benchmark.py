"""What the models cost on this machine: what `python -m corroseg_utils benchmark` does.

All in one process and warm. The models of one size take turns, round by round, so that whatever else the machine does
falls on all of them alike, and ratios hold even where times do not.
"""

import argparse
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from corroseg_utils.errors import CorrosegError
from corroseg_utils.litert import load_interpreter, partitions
from corroseg_utils.whole_photos import peak_memory_mb, whole_photos
from corroseg_utils.whole_photos import report as photo_report

SIZES, THREADS = (128, 256, 512), (1, 2)
OPEN_BATCH, BATCH_1, EDGE, SIBLING = "unet_2020 open batch", "unet_2020 batch 1", "edge_unet", "edge_unet 0.5"
_COLUMNS = {"model": "<32", "size": ">5", "threads": ">8", "ms": ">9.2f", "low": ">9.2f", "high": ">9.2f",
            "mmacs": ">8.0f", "gmacs_per_second": ">17.1f", "peak_percent": ">13.0f", "file_mb": ">8.2f",
            "load_ms": ">8.1f", "memory_mb": ">10.0f", "partitions": ">11", "fallback": ">9"}


def benchmark(sizes=SIZES, threads=THREADS, rounds: int = 15, seconds: float = 0.02) -> dict:
    """Measure the network of 2020 and ours in each format.

    Weights are random: they change nothing about the cost.

    Args:
        sizes: sides of the input in pixels.
        threads: numbers of threads.
        rounds: how often the models take turns; median and quartiles are over them.
        seconds: least time that one model runs in a round.

    Returns:
        `machine`, `peak_gmacs_per_second` (one thread, float32), `peak_kernels`, `peak_memory_mb` of the process,
        `rows` (one a model, size and number of threads; times in milliseconds for one photo) and `ratios` of the
        medians. OpenVINO and ONNX Runtime (with tf2onnx) have rows too where they are installed.

    Raises:
        CorrosegError: TensorFlow is not installed.
    """
    rows, peaks = [], []
    for size in sizes:
        files, macs, keras_model = _models(size)
        for count in threads:
            peaks.append(peak_gmacs())
            rows += _measure(files, macs, size, count, rounds, seconds)
            peaks.append(peak_gmacs())
        photo = np.zeros((1, size, size, 3), np.uint8)
        times = take_turns({f"{EDGE} Keras predict": lambda p=photo, m=keras_model: m.predict(p, verbose=0)},
                            rounds, seconds)
        rows += [_row(name, size, None, ms, macs[EDGE]) for name, ms in times.items()]
    peak = max(peaks)
    for row in rows:
        if row["threads"] == 1:
            row["peak_percent"] = 100 * row["gmacs_per_second"] / peak
    return {"machine": machine(), "peak_gmacs_per_second": peak, "peak_kernels": peak_kernels(),
            "peak_memory_mb": peak_memory_mb(), "rows": rows, "ratios": ratios(rows)}


def ratios(rows: list[dict]) -> list[dict]:
    """How many times faster our models are than the network of 2020, by size and threads."""
    found = []
    for size, threads in dict.fromkeys((row["size"], row["threads"]) for row in rows if row["threads"]):
        ms = {row["model"]: row["ms"] for row in rows if (row["size"], row["threads"]) == (size, threads)}
        for name in ms:
            if name.startswith(EDGE):
                found.append({"model": name, "size": size, "threads": threads,
                              "times_faster_than_open_batch": ms[OPEN_BATCH] / ms[name],
                              "times_faster_than_batch_1": ms[BATCH_1] / ms[name]})
    return found


def peak_gmacs(side: int = 1024, repeats: int = 8) -> float:
    """The CPU's float32 peak on one thread, in 10^9 multiply-accumulates a second, by its best matrix product."""
    from threadpoolctl import threadpool_limits

    a = np.ones((side, side), np.float32)
    with threadpool_limits(1):
        a @ a
        best = min(_timed(lambda: a @ a) for _ in range(repeats))
    return side**3 / best / 1e9


def peak_kernels() -> str:
    """Whose instructions that product used, as NumPy's library names them: Haswell's are AVX2, SkylakeX's AVX-512.

    The share of the peak means something only where these are the newest that the CPU has.
    """
    from threadpoolctl import threadpool_info

    names = [library.get("architecture", "") for library in threadpool_info() if "numpy" in library["filepath"]]
    return ", ".join(filter(None, names)) or "unknown"


def machine() -> str:
    """The CPU's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] \
        if info.exists() else []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _models(size: int) -> tuple[dict[str, bytes], dict[str, int], object]:
    """LiteRT files by name, MACs by network, and the Keras model of `EDGE`, all of one size."""
    try:
        from corroseg_utils.cost import count_macs
        from corroseg_utils.export import convert, convert_open_batch
        from corroseg_utils.models import edge_unet, unet_2020
    except ImportError as error:
        raise CorrosegError(f"The benchmark makes its models with TensorFlow: install requirements.txt "
                            f"({error}).") from error
    seed, edge = unet_2020(size, 3, None), edge_unet(size, encoder_weights=None)
    sibling = edge_unet(size, alpha=0.5, encoder_weights=None)
    photos = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.uint8)
    files = {OPEN_BATCH: convert_open_batch(seed), BATCH_1: convert(seed, size)}
    for name, model in ((EDGE, edge), (SIBLING, sibling)):
        files |= {f"{name} {format}": convert(model, size, quantize, photos)
                  for format, quantize in (("float32", "none"), ("weights", "weights"), ("int8", "int8"))}
    macs = {"unet_2020": count_macs(seed), EDGE: count_macs(edge), SIBLING: count_macs(sibling)}
    return files, macs, edge


def _measure(files: dict[str, bytes], macs: dict[str, int], size: int, threads: int, rounds: int,
             seconds: float) -> list[dict]:
    runs, facts = {}, {}
    for name, content in files.items():
        before, start = _memory_mb(), time.perf_counter()
        interpreter = load_interpreter(content, threads)
        load_ms = 1000 * (time.perf_counter() - start)
        interpreter.invoke()  # memory is taken in the first run
        parts, fallback = partitions(interpreter)
        facts[name] = {"file_mb": len(content) / 1e6, "load_ms": load_ms, "memory_mb": _memory_mb() - before,
                       "partitions": parts, "fallback": len(fallback)}
        runs[name] = interpreter.invoke
    for runtime, load in (("OpenVINO", _openvino), ("ONNX Runtime", _onnxruntime)):
        with contextlib.suppress(ImportError):  # optional rows
            runs[f"{EDGE} float32 {runtime}"] = load(files[f"{EDGE} float32"], size, threads)
    rows = []
    for name, ms in take_turns(runs, rounds, seconds).items():
        network = max((key for key in macs if name.startswith(key)), key=len)
        rows.append(_row(name, size, threads, ms, macs[network]) | facts.get(name, {}))
    return rows


def _openvino(flatbuffer: bytes, size: int, threads: int) -> Callable:
    """One run of a .tflite file by OpenVINO."""
    import openvino

    with _as_file(flatbuffer) as path:
        # Its own choice would be bfloat16 where the CPU has it.
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    photo = np.zeros((1, size, size, 3), np.uint8)
    return lambda: request.infer({0: photo})


def _onnxruntime(flatbuffer: bytes, size: int, threads: int) -> Callable:
    """One run of a .tflite file by ONNX Runtime; tf2onnx converts it."""
    import onnxruntime
    import tf2onnx

    with _as_file(flatbuffer) as path:
        model, _ = tf2onnx.convert.from_tflite(str(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    pixels = {session.get_inputs()[0].name: np.zeros((1, size, size, 3), np.uint8)}
    return lambda: session.run(None, pixels)


@contextlib.contextmanager
def _as_file(flatbuffer: bytes) -> Iterator[Path]:
    """A .tflite file for libraries that read nothing else; gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(flatbuffer)
        yield path


def take_turns(runs: dict[str, Callable], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of one call of each, once a round."""
    times = {name: [] for name in runs}
    repeats = {name: max(1, round(seconds / min(_timed(run) for _ in range(3)))) for name, run in runs.items()}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            times[name].append(1000 * (time.perf_counter() - start) / repeats[name])
    return times


def _row(name: str, size: int, threads: int | None, ms: list[float], macs: int) -> dict:
    low, middle, high = np.quantile(ms, (0.25, 0.5, 0.75))
    return {"model": name, "size": size, "threads": threads, "ms": float(middle), "low": float(low),
            "high": float(high), "mmacs": macs / 1e6, "gmacs_per_second": macs / middle / 1e6}


def _timed(run: Callable) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _memory_mb() -> float:
    """Resident memory of this process in MB; 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if status.exists() else 0.0


def add_parser(commands) -> None:
    """Add `benchmark` to the command line."""
    parser = commands.add_parser(
        "benchmark", help="measure what the models cost on this machine",
        description="Time the network of 2020 and ours, in float32, with 8-bit weights and in int8, at several sizes, "
                    "on 1 and 2 threads; with the share of the CPU's peak, memory, load time and ratios. Some minutes. "
                    "Install openvino, or onnxruntime and tf2onnx, to see ours run by them as well.")
    parser.add_argument("--whole-photos", action="store_true",
                        help="instead, time `segment --scale` on photos of 3 to 100 megapixels, with their peak memory")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.whole_photos:
        result = {"machine": machine(), "rows": whole_photos()}
        text = f"{result['machine']}\n\n{photo_report(result['rows'])}"
    else:
        result = benchmark()
        text = report(result)
    print(json.dumps(result, indent=2) if options.json else text)
    return 0


def report(result: dict) -> str:
    """The result as tables of text."""
    lines = [f"{result['machine']}; float32 peak {result['peak_gmacs_per_second']:.1f} GMAC/s on one thread "
             f"({result['peak_kernels']} kernels); "
             f"peak memory of this process {result['peak_memory_mb']:.0f} MB", ""]
    widths = {name: int(form[1:].split(".")[0]) for name, form in _COLUMNS.items()}
    lines.append("".join(f"{name:{form[0]}{widths[name]}}" for name, form in _COLUMNS.items()))
    for row in result["rows"]:
        lines.append("".join(f"{row[name]:{form}}" if row.get(name) is not None else " " * widths[name]
                             for name, form in _COLUMNS.items()))
    lines += ["", "Times faster than the network of 2020 in float32:"]
    lines += [f"{ratio['model']:<32}{ratio['size']:>5}{ratio['threads']:>8} threads  "
              f"{ratio['times_faster_than_open_batch']:6.1f} (open batch, as the notebook converts it)  "
              f"{ratio['times_faster_than_batch_1']:6.1f} (batch 1)" for ratio in result["ratios"]]
    return "\n".join(lines)
