"""Processes of our own: a module in a separate one, since a bad file can abort the process that loads it; and the start
of TensorFlow in one that trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

UNUSED = ("sklearn", "matplotlib")
"""Packages that Keras imports where they are installed, for wrappers and pictures that no process of ours uses."""


def run_module(module: str, *arguments: object, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
    """Return the outcome of `python -m module arguments`, with the import path of this process.

    Args:
        module: full name of the module.
        arguments: of its command line.
        timeout_s: longest time it may take; None for any.

    Raises:
        subprocess.TimeoutExpired: if it takes longer.
    """
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        timeout=timeout_s,
        check=False,
    )


def failure_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return why a process failed: the signal that ended it, or its last line on standard error; "" if it did not."""
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"the interpreter's process died of {signal.Signals(-done.returncode).name}"
    return next(reversed(done.stderr.strip().splitlines()), f"its process ended with {done.returncode}")


def start_tensorflow(n_threads: int) -> None:
    """Import Keras and TensorFlow, and limit them to `n_threads` threads, in a process that only trains.

    Call it before anything else imports Keras. `UNUSED` packages are hidden from it meanwhile, which saves a third of
    the start; a process that is not ours alone may want Keras with them. Ray sets OMP_NUM_THREADS for its actors, but
    TensorFlow ignores it.
    """
    hidden = [name for name in UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes an import fail
    try:
        import keras  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
