"""Writing a whole folder: it appears with all of its files, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from data_prep.errors import DataError
from data_prep.files.files import make_folder, sync_folder, write_error


def require_new(out: Path) -> None:
    """Check that a folder can be written to `out`, before any work is done.

    Raises:
        DataError: if it is a file, or a folder that has entries.
    """
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        what = "the folder is not empty" if out.is_dir() else "is a file"
        raise DataError(f"{out}: {what}; the files need a new or empty folder. Name another.")


def write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files to the new folder `out`, which appears with all of them or not at all.

    Args:
        out: folder; it may exist if it is empty.
        files: {path in the folder: content}.

    Raises:
        DataError: as `require_new`.
        AscError: if the disk is full or the parent can't be written.
    """
    require_new(out)
    out = out.absolute()  # `.` has no name of its own
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        make_folder(out.parent)
        shutil.rmtree(temporary, ignore_errors=True)  # of a killed process with this number
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if out.is_dir():
            out.rmdir()
        temporary.replace(out)
        sync_folder(out.parent)
    except OSError as error:
        raise write_error(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
