"""The ledger: an append-only event log, one JSON object per line, from which a run is rebuilt after a crash.

Guarantees: when `append` returns, the event is on disk; a line truncated by a crash is ignored on reading and removed
before the next append (its `append` never returned); there is one writer at a time; readers need no lock.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from filelock import lock_descriptor

from data_prep.errors import RunError
from data_prep.files import write_error
from results.ledger.events import Kind

N_TRIES = 5
"""Number of attempts to take the lock, 20 ms apart."""


class Ledger:
    """The events of one run. Reading takes no lock; the first `append` locks the run until `close`.

    `with Ledger.open_for_writing(path) as ledger:` takes the lock immediately; drivers use it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._lock: int | None = None

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

    def append(self, event: Kind, **fields: Any) -> None:
        """Write one event; it is on disk when this returns.

        Args:
            event: kind of the event.
            fields: fields of this kind (see `events`). NumPy values and paths are converted to plain values; NaN and
                infinities become null.

        Raises:
            RunError: if another process writes to this ledger.
            AscError: if the disk is full; no part of the line is kept.
        """
        self._write(ledger_line(event, fields))

    def _write(self, data: bytes) -> None:
        """Write complete lines, or nothing if the disk is full."""
        if self._file is None:
            self._open()
        assert self._file is not None
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
        return _parse_lines(self.path, data, 1)

    def _open(self) -> None:
        if self._file is not None:
            return
        lock_path = self.path.with_suffix(".lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _try_lock(self._lock):
                raise RunError(
                    f"{self.path.parent}: another asc is working on this run. Wait until it ends or stop it, "
                    "then give the same command again."
                )
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._cut_torn_line()
        except RunError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise write_error(self.path, error) from error

    def _cut_torn_line(self) -> None:
        assert self._file is not None
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)


def ledger_line(event: str, fields: Mapping[str, Any]) -> bytes:
    """Return an event as a line of a ledger, UTF-8 encoded and with its newline."""
    return (json.dumps(new_event(event, **fields), ensure_ascii=False, allow_nan=False) + "\n").encode()


class LedgerTail:
    """Follows a ledger that is being written and returns each event once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._n_lines = 0

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
        events = _parse_lines(self.path, data, self._n_lines + 1)
        self._offset += data.rfind(b"\n") + 1
        self._n_lines += len(events)
        return events


def is_being_written(path: Path) -> bool:
    """Return whether a process holds the lock of the ledger at `path`, that is, whether the run is active."""
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(lock)  # held for an instant only; drivers and other readers retry
    finally:
        os.close(lock)


def new_event(event: str, **fields: Any) -> dict[str, Any]:
    """Return an event as a mapping of plain values; `time` is the current time unless `fields` contains it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    plain: dict[str, Any] = _plain({"event": event, "time": now, **fields})
    return plain


def _try_lock(lock: int) -> bool:
    """Lock the open file until it is closed and return whether that succeeded; retries while others test the lock."""
    for _ in range(N_TRIES - 1):
        if lock_descriptor(lock, blocking=False):
            return True
        time.sleep(0.02)
    return lock_descriptor(lock, blocking=False)


def _parse_lines(path: Path, data: bytes, first: int) -> list[dict[str, Any]]:
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    return [_parse(path, line, number) for number, line in enumerate(lines, start=first)]


def _parse(path: Path, line: bytes, number: int) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        event = error
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise RunError(
            f"{path}, line {number}: not an event of a run ({line[:60]!r}). The ledger is only ever appended "
            "to, so something else changed it: restore the file, or begin a new run directory."
        )
    return event


def _plain(value: Any) -> Any:
    """Return `value` converted to JSON types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
