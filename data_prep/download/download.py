"""Archives of a data set → one folder. Each archive is downloaded, verified, unpacked and removed before the next.

soundata's download restarts interrupted archives from the first byte and keeps all archives in addition to the unpacked
files. With archives of 1.7 GB and data sets of 27 GB, neither is acceptable, so this module implements its own.
"""

from __future__ import annotations

import hashlib
import http.client
import lzma
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.download.sets import KNOWN, DataSet, Part
from data_prep.errors import AscError, DataError
from data_prep.files import read_json, write_error, write_json
from data_prep.progress import ProgressCallback

STATE_NAME = ".download.json"
"""Records which data set is downloaded into a folder, and which of its archives are unpacked."""
UNPACKED = 1.2
"""Unpacked bytes per byte of archive; zipped 24-bit PCM has 84 to 90 % of its size."""
BLOCK = 1 << 20
TIMEOUT_S = 60
N_TRIES = 3
"""Number of attempts of a transfer before a broken connection is reported."""
PAUSE_S = 2.0
"""Seconds before a transfer is resumed; increases with each attempt."""


def download(data_set: DataSet, folder: Path, *, on_progress: ProgressCallback | None = None) -> int:
    """Download a data set into `folder` (lists and `audio/`) and return the number of archives.

    Can be interrupted at any time; the same call resumes, also within an archive.

    Args:
        data_set: the data set to download.
        folder: empty, missing, or started by an earlier call.
        on_progress: called with (bytes done, total bytes); the total grows if it is not known in advance.

    Raises:
        AscError: if the folder contains something else, the disk is too small, the connection fails, or the checksum of
            an archive differs.
    """
    done = _begin(data_set, folder)
    pending = [part for part in data_set.parts if part.filename not in done]
    _validate_space(data_set, pending, folder)
    total = _total_bytes(data_set) or 0
    n_before = total * len(done) // len(data_set.parts)

    def told(n_bytes: int) -> None:
        """Report the progress of the current archive."""
        if on_progress is not None:
            on_progress(n_before + n_bytes, max(total, n_before + n_bytes))

    for part in pending:
        archive = folder / f".{part.filename}.part"
        n_loaded = _fetch(part, archive, told)
        _validate_checksum(part, archive)
        _unpack(archive, folder, top=part.filename.split(".")[0])
        done.append(part.filename)
        write_json(folder / STATE_NAME, {"name": data_set.name, "done": done})
        archive.unlink()
        n_before += n_loaded
    return len(data_set.parts)


def needed_bytes(data_set: DataSet, n_done: int = 0) -> int | None:
    """Return the approximate space in bytes that the download needs, or None if the size is unknown."""
    total = _total_bytes(data_set)
    if total is None:
        return None
    share = 1 - n_done / len(data_set.parts)
    return int(share * total * UNPACKED) + total // len(data_set.parts)


def _total_bytes(data_set: DataSet) -> int | None:
    known = KNOWN.get(data_set.name)
    return sum(part.n_bytes or 0 for part in data_set.parts) or (known.n_bytes if known is not None else None)


def _begin(data_set: DataSet, folder: Path) -> list[str]:
    """Return the archives that earlier calls unpacked into `folder`."""
    state = folder / STATE_NAME
    if state.exists():
        held: Any = read_json(state)
        if isinstance(held, dict) and held.get("name") == data_set.name and isinstance(held.get("done"), list):
            return [str(name) for name in held["done"]]
        raise AscError(f"{folder}: another data set was begun here ({state}). Give another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise AscError(f"{folder}: is not empty, and nothing was begun to be loaded here. Give a new folder.")
    except OSError as error:
        raise write_error(folder, error) from error
    write_json(state, {"name": data_set.name, "done": []})
    return []


def _validate_space(data_set: DataSet, pending: list[Part], folder: Path) -> None:
    needed = needed_bytes(data_set, len(data_set.parts) - len(pending))
    free = shutil.disk_usage(folder).free
    if needed is not None and pending and needed > free:
        raise AscError(
            f"{folder}: {data_set.name} takes about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free. Free some "
            "space, or give a folder on another disk."
        )


def _fetch(part: Part, archive: Path, told: Callable[[int], None]) -> int:
    """Download the rest of an archive; return its size in bytes."""
    for n_tries in range(1, N_TRIES + 1):
        try:
            return _transfer(part, archive, told)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # range not satisfiable: the archive is already complete
                return archive.stat().st_size
            raise _failed(part, f"HTTP status {error.code} ({error.reason})") from None
        except urllib.error.URLError as error:
            raise _failed(part, str(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:  # an error of the disk, not of the connection
                raise write_error(archive, error) from error
            if n_tries == N_TRIES:
                raise _failed(part, f"the connection broke {N_TRIES} times ({error})") from None
            time.sleep(PAUSE_S * n_tries)
    raise AssertionError("the last try returns or raises")


def _transfer(part: Part, archive: Path, told: Callable[[int], None]) -> int:
    start = archive.stat().st_size if archive.exists() else 0
    request = urllib.request.Request(part.url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        if start and response.status != 206:
            start = 0  # the server does not support resuming
        with archive.open("ab" if start else "wb") as file:
            told(start)
            while block := response.read(BLOCK):
                try:
                    file.write(block)
                except OSError as error:
                    raise write_error(archive, error) from error
                told(file.tell())
            n_bytes = file.tell()
    if response.length:  # a connection closed early looks like the end of the file
        raise http.client.IncompleteRead(b"", response.length)
    return n_bytes


def _failed(part: Part, reason: str) -> AscError:
    return AscError(
        f"{part.url}: cannot be loaded: {reason}. What was loaded is kept: give the same command again to go on, once "
        "the connection is there."
    )


def _validate_checksum(part: Part, archive: Path) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != part.md5:
        archive.unlink()
        raise AscError(
            f"{part.url}: came damaged: MD5 {found}, expected {part.md5}. The archive was removed: give the same "
            "command again to download it again."
        )


def _unpack(archive: Path, folder: Path, top: str) -> None:
    """Unpack an archive into `folder`, without the top folder `top` of TAU's and TUT's archives."""
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                parts = PurePosixPath(member.filename).parts
                parts = parts[1:] if parts[:1] == (top,) else parts
                if member.is_dir() or not parts:
                    continue
                if ".." in parts or PurePosixPath(member.filename).is_absolute():
                    raise DataError(f"{archive}: its member {member.filename!r} leads out of the folder. Not unpacked.")
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(member) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, BLOCK)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive}: cannot be unpacked: {error}. Delete it and load it again.") from None
    except OSError as error:
        raise write_error(folder, error) from error
