"""The ledger: an append-only event log, one JSON object per line, from which a run is rebuilt after a crash.

Guarantees: when `append` returns, the event and the file's name are on disk; a line truncated by a crash is ignored on
reading and removed before the next append (its `append` never returned); there is one writer at a time; readers need no
lock. `results/ledger/lines.py` has the format of a line and its checks.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, Self

from filelock import lock_descriptor

from data_prep.errors import RunError
from data_prep.files.files import make_folder, sync_folder, write_error, written_whole
from results.ledger.events import EventKind
from results.ledger.lines import FORMAT_VERSION, VERSION, EventReader, ledger_line, n_whole_bytes

N_TRIES = 5
"""Number of attempts to take the lock, 20 ms apart."""
LOCKS_LEDGER = os.name == "posix"
"""Whether the ledger itself is locked, too: the lock file can be deleted under a working driver, this lock cannot.
Windows would keep readers from the locked file."""


class Ledger:
    """The events of one run. Reading takes no lock; the first `append` locks the run until `close`.

    `with Ledger.open_for_writing(path) as ledger:` takes the lock immediately; drivers use it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repair: str | None = None
        """What was removed from the end of the file when it was opened for writing; None if nothing was lost by it."""
        self._file: int | None = None
        self._lock: int | None = None
        self._is_first = True

    @classmethod
    def open_for_writing(cls, path: Path) -> Self:
        """Return the ledger at `path`, locked for this process.

        Raises:
            RunError: if another process holds the lock.
        """
        ledger = cls(path)
        ledger._open()
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock. Can be called repeatedly."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            os.close(self._lock)  # closing releases the lock
            self._lock = None

    def append(self, event: EventKind, **fields: Any) -> None:
        """Write one event; it is on disk when this returns.

        Args:
            event: kind of the event.
            fields: fields of this kind (see `events`). NumPy values and paths are converted to plain values; NaN and
                infinities become null.

        Raises:
            RunError: if another process writes to this ledger, or it was removed or replaced meanwhile.
            AscError: if the disk is full; no part of the line is kept.
        """
        self._write(self._line(event, fields))

    def _line(self, event: EventKind, fields: dict[str, Any]) -> bytes:
        """Return an event as a line; the first one of each writer states the version of the format."""
        version = {VERSION: FORMAT_VERSION} if self._is_first else {}
        self._is_first = False
        return ledger_line(event, {**version, **fields})

    def _write(self, data: bytes) -> None:
        """Write complete lines, or nothing if the disk is full."""
        if self._file is None:
            self._open()
        assert self._file is not None
        self._require_in_place(self._file)
        size = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)  # part of the line may have been written
            raise write_error(self.path, error) from error

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first; [] if the ledger does not exist yet.

        Raises:
            RunError: if a line is not an event; a truncated last line is ignored.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return EventReader(self.path).read(data)

    def _open(self) -> None:
        if self._file is not None:
            return
        try:
            make_folder(self.path.parent)
            self._lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
            self._take(self._lock)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            if LOCKS_LEDGER:
                self._take(self._file)
            sync_folder(self.path.parent)
            self._cut_torn_tail()
        except RunError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise write_error(self.path, error) from error

    def _take(self, file: int) -> None:
        if not _try_lock(file):
            raise _is_taken(self.path)

    def _require_in_place(self, file: int) -> None:
        """Raise RunError if the open file is no longer the one at `path`: what is appended would be lost."""
        try:
            is_same = os.path.samestat(os.fstat(file), self.path.stat())
        except OSError:
            is_same = False
        if not is_same:
            raise RunError(
                f"{self.path}: was removed, moved or replaced while asc was working on this run, so it stops. Restore "
                "the file and rerun the same command."
            )

    def _cut_torn_tail(self) -> None:
        """Remove the end of the file that a crash left incomplete; a copy is kept of more than one partial line."""
        assert self._file is not None
        data = self.path.read_bytes()
        whole = n_whole_bytes(data)
        if whole == len(data):
            return
        if b"\0" in data[whole:]:
            copy = self.path.with_suffix(".torn")
            with written_whole(copy) as temporary:
                temporary.write_bytes(data[whole:])
            self.repair = (
                f"{self.path}: its last {len(data) - whole:,} bytes are damaged, probably by a power cut. They were "
                f"removed; a copy is {copy.name}. The work that they recorded is repeated."
            )
        os.ftruncate(self._file, whole)


class LedgerTail:
    """Follows a ledger that is being written and returns each event once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._reader = EventReader(path)

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events appended since the last call; the first call returns all. Incomplete lines are left unread.

        Raises:
            RunError: if a line is not an event.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        events = self._reader.read(data)
        self._offset += n_whole_bytes(data)
        return events


def require_idle(path: Path) -> None:
    """Raise RunError if a process is working on the run of the ledger at `path`, whose files it would replace, too."""
    if is_being_written(path):
        raise _is_taken(path)


def _is_taken(path: Path) -> RunError:
    return RunError(
        f"{path.parent}: another asc process is working on this run. Wait until it ends or stop it, then rerun the "
        "same command."
    )


def is_being_written(path: Path) -> bool:
    """Return whether a process holds the lock of the ledger at `path`, that is, whether the run is active."""
    try:
        lock = os.open(path if LOCKS_LEDGER else path.with_suffix(".lock"), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(lock)  # held for an instant only; drivers and other readers retry
    finally:
        os.close(lock)


def _try_lock(lock: int) -> bool:
    """Lock the open file until it is closed and return whether that succeeded; retries while others test the lock."""
    for _ in range(N_TRIES - 1):
        if lock_descriptor(lock, blocking=False):
            return True
        time.sleep(0.02)
    return lock_descriptor(lock, blocking=False)
