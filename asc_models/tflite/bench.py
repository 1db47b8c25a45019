"""Benchmark of exported files: time per clip on one thread, memory and energy, measured in a new process.

python -m asc_models.tflite.bench N_CLIPS ENERGY_S FILE...
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.errors import ExportError
from asc_models.process import failure_of, run_module
from asc_models.tflite.energy import energy_source, metered
from asc_models.tflite.quantization.probe import limit_memory

N_WARM = 5
"""Clips run before timing, which fill caches and allocate the arena."""
ENERGY_S = 5.0
"""Time over which energy is measured: codecarbon reads the load once a second."""


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
    joules_per_clip: float | None = None
    """Energy per clip in J, of all files together; None if it was not measured."""
    energy_source: str | None = None
    """How the energy was measured."""


def bench(paths: Path | Sequence[Path], n_clips: int = 200, *, energy: bool = False) -> Benchmark:
    """Return the cost of running TFLite files on random input.

    Args:
        paths: one file, or the members of an ensemble, which are loaded together and run in turn on each clip.
        n_clips: number of clips to time.
        energy: whether to measure the energy per clip, too, which takes some seconds.

    Raises:
        ExportError: if a file cannot be run, or no energy can be measured on this machine.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    source = energy_source() if energy else None
    seconds = ENERGY_S if energy else 0.0
    done = run_module("asc_models.tflite.bench", n_clips, seconds, *(path.absolute() for path in files))
    if failure := failure_of(done):
        raise ExportError(f"{', '.join(map(str, files))}: cannot be run: {failure}")
    return Benchmark(**json.loads(done.stdout.strip().splitlines()[-1]), energy_source=source)


def _peak_rss_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # Linux: the maximum from getrusage includes the parent's memory before exec
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _measure(paths: Sequence[str], n_clips: int, energy_s: float) -> dict[str, Any]:
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

    def classify() -> float:
        """Run all files on their clip and return the seconds that it took."""
        started = time.perf_counter()
        for interpreter, entry_index, clip, out_index in loaded:
            interpreter.set_tensor(entry_index, clip)
            interpreter.invoke()
            interpreter.get_tensor(out_index)
        return time.perf_counter() - started

    seconds = np.array([classify() for _ in range(-N_WARM, n_clips)][N_WARM:])
    memory = {"peak_rss_bytes": _peak_rss_bytes(), "idle_rss_bytes": idle}  # without what measures energy
    return {
        "median_ms": 1e3 * float(np.median(seconds)),
        "p95_ms": 1e3 * float(np.quantile(seconds, 0.95)),
        "n_clips": n_clips,
        **memory,
        "joules_per_clip": _joules_per_clip(classify, energy_s) if energy_s else None,
    }


def _joules_per_clip(classify: Callable[[], float], at_least_s: float) -> float:
    n_clips, ends = 0, time.perf_counter() + at_least_s
    with metered() as joules:
        while time.perf_counter() < ends:
            classify()
            n_clips += 1
    return joules() / n_clips


if __name__ == "__main__":
    try:
        print(json.dumps(_measure(sys.argv[3:], int(sys.argv[1]), float(sys.argv[2]))))
    except (OSError, ValueError, RuntimeError, MemoryError, ExportError) as error:
        sys.exit(" ".join(str(error).split()) or f"{type(error).__name__} without a message")
