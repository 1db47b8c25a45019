"""Temporary folders; those left behind by a killed process are removed when the next one starts."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

SETTLE_S = 60.0
"""Age in seconds below which a folder is kept: its owner may not have locked it yet."""


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield a new temporary folder, locked while it is in use and removed afterwards.

    Unlocked folders with the same prefix belong to processes that were killed; they are removed first.

    Args:
        prefix: of the folder's name.
        parent: folder to create it in; None means the system's folder for temporary files.
    """
    parent = parent or Path(tempfile.gettempdir())
    for left in parent.glob(f"{prefix}*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = os.open(folder, os.O_RDONLY)
    try:
        lock_descriptor(lock)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder of this user if no process has locked it."""
    with suppress(OSError):  # another process may remove it at the same time
        status = folder.lstat()
        if status.st_uid != os.getuid() or time.time() - status.st_mtime < SETTLE_S:
            return
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if lock_descriptor(lock, blocking=False):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
