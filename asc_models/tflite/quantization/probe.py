"""Check that a file runs, in separate processes, since a bad file can abort the process that loads it.

    python -m asc_models.tflite.quantization.probe FILE INPUTS.npy DELEGATE ...

runs FILE on INPUTS (n_clips, n_mels, n_frames, n_channels) with each DELEGATE (`xnnpack` or `none`) in turn, and exits
with 0 if all probabilities are finite.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError
from asc_models.process import failure_of, run_module
from data_prep.files.scratch import scratch_folder
from data_prep.wording import shortened

Delegate = Literal["xnnpack", "none"]
DELEGATES: tuple[Delegate, ...] = ("xnnpack", "none")
"""XNNPACK is the default on phones and servers; with `none`, the interpreter's own kernels are used."""

PROBE_TIMEOUT_S = 120.0
"""Usually the start takes a second and a clip some milliseconds; large networks on a busy machine take much longer."""


MAX_GROWTH_BYTES = 4 * 1024**3
"""Most memory that the interpreter may take for a file. A few bytes of a file can ask for any amount of it."""


def require_running(path: Path, inputs: npt.NDArray[np.float32]) -> None:
    """Run the file at `path` on a few clips with and without XNNPACK.

    Args:
        path: path of a TFLite file.
        inputs: network input, (n_clips, n_mels, n_frames, n_channels).

    Raises:
        ExportError: if the file cannot be loaded, aborts the process, or gives probabilities that are not finite.
    """
    if not _tried(path, inputs, DELEGATES):
        return  # both run, in one process: its start takes longer than the rest
    failures = {delegate: failure for delegate in DELEGATES if (failure := probe(path, inputs, delegate))}
    if failures:
        failed = "; ".join(f"{_with(delegate)}: {failure}" for delegate, failure in failures.items())
        raise ExportError(f"{path}: does not run {failed}. Export the model in another mode, such as int8_weights.")


def probe(path: Path, inputs: npt.NDArray[np.float32], delegate: Delegate) -> str:
    """Run the file with `delegate` in another process; return why it fails, or an empty string."""
    return _tried(path, inputs, (delegate,))


def _tried(path: Path, inputs: npt.NDArray[np.float32], delegates: Sequence[Delegate]) -> str:
    """Run the file with one delegate after another in another process; return why the first fails, or ""."""
    timeout_s = PROBE_TIMEOUT_S * len(delegates)
    with scratch_folder("asc-probe-") as folder:
        clips = folder / "inputs.npy"
        np.save(clips, inputs)
        try:
            done = run_module(__name__, path.absolute(), clips, *delegates, timeout_s=timeout_s)
        except subprocess.TimeoutExpired:
            return f"no answer within {timeout_s:.0f} s"
    return failure_of(done)


def _with(delegate: Delegate) -> str:
    return "with XNNPACK" if delegate == "xnnpack" else "without XNNPACK"


def _run(path: Path, inputs: npt.NDArray[np.float32], delegate: str) -> str:
    """Run the file in this process; return why it fails, or an empty string."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    limit_memory()
    kind = OpResolverType.BUILTIN if delegate == "xnnpack" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1, experimental_op_resolver_type=kind)
        interpreter.allocate_tensors()
        entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        for clip in inputs:
            interpreter.set_tensor(entry["index"], clip[np.newaxis])
            interpreter.invoke()
            if not np.isfinite(interpreter.get_tensor(out["index"])).all():
                return "its probabilities are not numbers"
    except (ValueError, RuntimeError) as error:
        return shortened(" ".join(str(error).split()), 300) or f"{type(error).__name__} without a message"
    except MemoryError:
        return "not enough memory"
    return ""


def limit_memory() -> None:
    """Limit the growth of this process's memory, where the system can: beyond it, allocations fail."""
    status = Path("/proc/self/statm")
    if status.exists():
        import resource

        n_pages = int(status.read_text().split()[0])
        limit = n_pages * resource.getpagesize() + MAX_GROWTH_BYTES
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    file, inputs = Path(sys.argv[1]), np.load(sys.argv[2], allow_pickle=False)
    for name in sys.argv[3:]:
        if failure := _run(file, inputs, name):
            sys.exit(failure)
