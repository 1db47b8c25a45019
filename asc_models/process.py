"""Running a module of this package in a separate process, since a bad file can abort the process that loads it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys


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
