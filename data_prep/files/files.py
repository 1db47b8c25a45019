"""Atomic and durable writing of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import lzma
import os
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import AscError, DataError

UNREADABLE_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),  # unknown methods, encryption, wrong numbers
)
"""What `zipfile` raises for damaged archives, besides OSError for some, as for a failure of the disk."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, which is renamed to `path` if the block succeeds, else deleted.

    Readers see the old file or the new one, never a partial one, even after a crash: the bytes are flushed to disk
    before the rename, and the new name after it. Temporary files of killed writers have the suffix `.tmp` and are
    overwritten or ignored.

    Raises:
        AscError: if the disk is full or the folder can't be written, with the path and the space left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        make_folder(path.parent)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # the parent is a file: the failure is already reported
            temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Create a folder with its parents; their names are on disk when this returns."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, which flushing a file does not do; without effect where it is impossible."""
    with contextlib.suppress(OSError):  # Windows and some network file systems cannot
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def write_error(path: Path, error: OSError) -> AscError:
    """Return the error for the user if writing `path` failed with `error`."""
    if error.errno == errno.ENOSPC:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        free = shutil.disk_usage(folder).free
        return AscError(
            f"{path}: no space left on the disk ({free:,} bytes free). Finished work is kept: free some space and "
            "rerun the same command."
        )
    return AscError(f"{path}: cannot be written: {error.strerror or error}")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def remove_stale(folder: Path, known: re.Pattern[str], written: Collection[str]) -> None:
    """Delete files of an earlier call from a folder that others may keep files in.

    Args:
        folder: need not exist.
        known: names that such a call may write.
        written: names that this call has written, which are kept.
    """
    for path in folder.glob("*"):
        if path.is_file() and known.fullmatch(path.name) and path.name not in written:
            path.unlink()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        DataError: if the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, a number without end
        raise DataError(f"{path}: cannot be read as JSON: {error}") from None
