"""Archives of a data set → one folder. Each archive is downloaded, verified, unpacked and removed before the next.

soundata's download restarts interrupted archives from the first byte and keeps all archives in addition to the unpacked
files. With archives of 1.7 GB and data sets of 27 GB, neither is acceptable, so this module implements its own.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from data_prep.download.sets import KNOWN, Archive, DataSet
from data_prep.errors import AscError, DataError
from data_prep.files.files import UNREADABLE_ZIP, read_json, write_error, write_json
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
    pending = [archive for archive in data_set.archives if archive.filename not in done]
    _validate_space(data_set, pending, folder)
    total = _total_bytes(data_set) or 0
    n_before = total * len(done) // len(data_set.archives)

    def report(n_bytes: int) -> None:
        """Report the progress of the current archive."""
        if on_progress is not None:
            on_progress(n_before + n_bytes, max(total, n_before + n_bytes))

    for archive in pending:
        path = folder / f".{archive.filename}.part"
        n_loaded = _fetch(archive, path, report)
        _validate_checksum(archive, path)
        _unpack(path, folder, top=archive.filename.split(".")[0])
        done.append(archive.filename)
        write_json(folder / STATE_NAME, {"name": data_set.name, "done": done})
        path.unlink()
        n_before += n_loaded
    return len(data_set.archives)


def needed_bytes(data_set: DataSet, n_done: int = 0) -> int | None:
    """Return the approximate space in bytes that the download needs, or None if the size is unknown."""
    total = _total_bytes(data_set)
    if total is None:
        return None
    share = 1 - n_done / len(data_set.archives)
    return int(share * total * UNPACKED) + total // len(data_set.archives)


def _total_bytes(data_set: DataSet) -> int | None:
    known = KNOWN.get(data_set.name)
    return sum(archive.n_bytes or 0 for archive in data_set.archives) or (known.n_bytes if known is not None else None)


def _begin(data_set: DataSet, folder: Path) -> list[str]:
    """Return the archives that earlier calls unpacked into `folder`."""
    state = folder / STATE_NAME
    if state.exists():
        held: Any = read_json(state)
        if isinstance(held, dict) and held.get("name") == data_set.name and isinstance(held.get("done"), list):
            return [str(name) for name in held["done"]]
        raise AscError(f"{folder}: contains the download of another data set ({state}). Give another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise AscError(f"{folder}: is not empty, and contains no unfinished download. Give a new folder.")
    except OSError as error:
        raise write_error(folder, error) from error
    write_json(state, {"name": data_set.name, "done": []})
    return []


def _validate_space(data_set: DataSet, pending: list[Archive], folder: Path) -> None:
    needed = needed_bytes(data_set, len(data_set.archives) - len(pending))
    free = shutil.disk_usage(folder).free
    if needed is not None and pending and needed > free:
        raise AscError(
            f"{folder}: {data_set.name} takes about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free. Free some "
            "space, or choose a folder on another disk."
        )


def _fetch(archive: Archive, path: Path, report: Callable[[int], None]) -> int:
    """Download the rest of an archive; return its size in bytes."""
    for n_tries in range(1, N_TRIES + 1):
        try:
            return _transfer(archive, path, report)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # range not satisfiable: the archive is already complete
                return path.stat().st_size
            raise _failed(archive, f"HTTP status {error.code} ({error.reason})") from None
        except urllib.error.URLError as error:
            raise _failed(archive, str(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.filename is not None:  # an error of the disk, not of the connection
                raise write_error(path, error) from error
            if n_tries == N_TRIES:
                raise _failed(archive, f"the connection broke {N_TRIES} times ({error})") from None
            time.sleep(PAUSE_S * n_tries)
    raise AssertionError("the last try returns or raises")


def _transfer(archive: Archive, path: Path, report: Callable[[int], None]) -> int:
    start = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        if start and response.status != 206:
            start = 0  # the server does not support resuming
        with path.open("ab" if start else "wb") as file:
            report(start)
            while block := response.read(BLOCK):
                try:
                    file.write(block)
                except OSError as error:
                    raise write_error(path, error) from error
                report(file.tell())
            n_bytes = file.tell()
    if response.length:  # a connection closed early looks like the end of the file
        raise http.client.IncompleteRead(b"", response.length)
    return n_bytes


def _failed(archive: Archive, reason: str) -> AscError:
    return AscError(
        f"{archive.url}: cannot be downloaded: {reason}. Finished parts are kept: rerun the same command to resume "
        "once the connection works."
    )


def _validate_checksum(archive: Archive, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != archive.md5:
        path.unlink()
        raise AscError(
            f"{archive.url}: is damaged: MD5 {found}, expected {archive.md5}. The archive was deleted: rerun the same "
            "command to download it again."
        )


def _unpack(path: Path, folder: Path, top: str) -> None:
    """Unpack an archive into `folder`, without the top folder `top` of TAU's and TUT's archives."""
    try:
        with zipfile.ZipFile(path) as packed:
            for member in packed.infolist():
                parts = PurePosixPath(member.filename).parts
                parts = parts[1:] if parts[:1] == (top,) else parts
                if member.is_dir() or not parts:
                    continue
                if ".." in parts or PurePosixPath(member.filename).is_absolute():
                    raise DataError(
                        f"{path}: its member {member.filename!r} has a path outside the folder. It was not unpacked."
                    )
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(member) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, BLOCK)
    except UNREADABLE_ZIP as error:
        raise DataError(f"{path}: cannot be unpacked: {error}. Delete it and rerun the same command.") from None
    except OSError as error:
        raise write_error(folder, error) from error
