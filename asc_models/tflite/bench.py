"""Benchmark of exported files: time per clip on one thread, and memory, measured in a new process.

python -m asc_models.tflite.bench N_CLIPS FILE...
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.errors import ExportError
from asc_models.process import failure_of, run_module
from asc_models.tflite.quantization.probe import limit_memory

N_WARM = 5
"""Clips run before timing, which fill caches and allocate the arena."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Cost of one file, or of several that classify each clip in turn, on this machine, one thread."""

    median_ms: float
    """Median time per clip in ms, of all files together, including copies of input and output but not the features."""
    p95_ms: float
    """95th percentile of the time per clip in ms."""
    n_clips: int
    """Number of timed clips."""
    peak_rss_bytes: int
    """Peak resident memory of the process that ran them."""
    idle_rss_bytes: int
    """Peak resident memory before any file was loaded: Python, NumPy and the interpreter."""


def bench(paths: Path | Sequence[Path], n_clips: int = 200) -> Benchmark:
    """Return the cost of running TFLite files on random input.

    Args:
        paths: one file, or the members of an ensemble, which are loaded together and run in turn on each clip.
        n_clips: number of clips to time.

    Raises:
        ExportError: if a file cannot be run.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    done = run_module("asc_models.tflite.bench", n_clips, *(path.absolute() for path in files))
    if failure := failure_of(done):
        raise ExportError(f"{', '.join(map(str, files))}: cannot be run: {failure}")
    return Benchmark(**json.loads(done.stdout.strip().splitlines()[-1]))


def _peak_rss_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # Linux: the maximum from getrusage includes the parent's memory before exec
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _measure(paths: Sequence[str], n_clips: int) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    limit_memory()
    idle = _peak_rss_bytes()
    loaded = []
    for path in paths:
        interpreter = Interpreter(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
        entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        clip = np.random.default_rng(0).random(entry["shape"]).astype(entry["dtype"])
        loaded.append((interpreter, entry["index"], clip, out["index"]))
    seconds = np.empty(n_clips)
    for index in range(-N_WARM, n_clips):
        started = time.perf_counter()
        for interpreter, entry_index, clip, out_index in loaded:
            interpreter.set_tensor(entry_index, clip)
            interpreter.invoke()
            interpreter.get_tensor(out_index)
        if index >= 0:
            seconds[index] = time.perf_counter() - started
    return {
        "median_ms": 1e3 * float(np.median(seconds)),
        "p95_ms": 1e3 * float(np.quantile(seconds, 0.95)),
        "n_clips": n_clips,
        "peak_rss_bytes": _peak_rss_bytes(),
        "idle_rss_bytes": idle,
    }


if __name__ == "__main__":
    try:
        print(json.dumps(_measure(sys.argv[2:], int(sys.argv[1]))))
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        sys.exit(" ".join(str(error).split()) or f"{type(error).__name__} without a message")
