"""Where the checkout is, and processes as the machine lists them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout: what child processes of tests run in and import from."""


def descendants(pid: int) -> dict[int, str]:
    """Return {pid: command line} of the processes below `pid`."""
    parents, commands = {}, {}
    for folder in Path("/proc").iterdir():
        try:
            status = (folder / "stat").read_text()
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            parents[int(folder.name)] = int(status.rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: commands[child] for child in found - {pid}}


def wait_until(happened: Callable[[], bool]) -> None:
    """Look at what another process does until it has happened; pytest's own limit ends a wait in vain."""
    while not happened():
        time.sleep(0.02)


def command_of(pid: int) -> str:
    """Return a process's command line; nothing of one that is no more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is more than a line in the table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
