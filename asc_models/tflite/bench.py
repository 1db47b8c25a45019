"""Benchmark of an exported file: time per clip on one thread, and memory, measured in a new process.

python -m asc_models.tflite.bench FILE N_CLIPS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.errors import ExportError

N_WARM = 5
"""Clips run before timing, which fill caches and allocate the arena."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Cost of one file on this machine, one thread."""

    median_ms: float
    """Median time per clip in ms, including copies of input and output but not the features."""
    p95_ms: float
    """95th percentile of the time per clip in ms."""
    n_clips: int
    """Number of timed clips."""
    peak_rss_bytes: int
    """Peak resident memory of the process that ran them."""
    idle_rss_bytes: int
    """Peak resident memory before the file was loaded: Python, NumPy and the interpreter."""


def bench(path: Path, n_clips: int = 200) -> Benchmark:
    """Return the cost of running the TFLite file at `path` on random input.

    Raises:
        ExportError: if the file cannot be run.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-P", "-m", "asc_models.tflite.bench", str(path.absolute()), str(n_clips)]
    done = subprocess.run(command, capture_output=True, errors="replace", env=environment, check=False)
    if done.returncode:
        reason = next(reversed(done.stderr.strip().splitlines()), f"its process ended with {done.returncode}")
        raise ExportError(f"{path}: cannot be run: {reason}")
    return Benchmark(**json.loads(done.stdout.strip().splitlines()[-1]))


def _peak_rss_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # Linux: the maximum from getrusage includes the parent's memory before exec
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _measure(path: str, n_clips: int) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    idle = _peak_rss_bytes()
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    clip = np.random.default_rng(0).random(entry["shape"]).astype(entry["dtype"])
    seconds = np.empty(n_clips)
    for index in range(-N_WARM, n_clips):
        started = time.perf_counter()
        interpreter.set_tensor(entry["index"], clip)
        interpreter.invoke()
        interpreter.get_tensor(out["index"])
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
        print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(" ".join(str(error).split()))
