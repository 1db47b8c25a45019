"""The ledger of a run in shared storage: a local file for reading, and segments in the storage.

Object stores cannot append, so the ledger is stored as numbered, immutable segments, `00000001.jsonl` and so on, whose
concatenation is the ledger. A segment is only created if it does not exist yet (`Store.create`), so if two drivers are
active at the same time, one of them fails at its first event.

Guarantees, in addition to those of `results/ledger/ledger.py`: when `append` returns, the event is in the storage; it
is written there before it is written to the local file. Only events of `LIGHT` kinds may be held back until the next
event.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from data_prep.errors import AscError, RunError
from data_prep.store.store import Store
from results.ledger.events import EventKind
from results.ledger.ledger import Ledger

LIGHT: frozenset[EventKind] = frozenset({"infeasible"})
"""Kinds of events that are cheap to reproduce; there may be hundreds of them between two other events."""
N_READERS = 16
"""Number of segments that are read in parallel."""


class StoredLedger(Ledger):
    """A ledger whose events are written to `store` first, then to the local file."""

    def __init__(self, path: Path, store: Store) -> None:
        super().__init__(path)
        self._store = store
        self._n_segments = 0
        self._waiting = b""

    @classmethod
    def open_stored(cls, path: Path, store: Store) -> Self:
        """Return the ledger, locked for this process, after synchronizing the local file and the storage.

        Raises:
            RunError: if another process locks the local file, or local file and storage have diverged.
            DataError: if the storage cannot be reached.
        """
        ledger = cls(path, store)
        ledger._open()
        try:
            ledger._reconcile()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def append(self, event: EventKind, **fields: Any) -> None:
        """Write one event; it is in the storage and on disk when this returns (`LIGHT` kinds: on disk).

        Raises:
            RunError: if another driver has taken over the run.
            AscError: if the storage cannot be reached, or the disk is full.
        """
        line = self._line(event, fields)
        if event in LIGHT:
            self._waiting += line
        else:
            self._upload(self._waiting + line)
            self._waiting = b""
        self._write(line)

    def close(self) -> None:
        """Write pending events to the storage, if it can be reached, and release the lock."""
        if self._waiting:
            with contextlib.suppress(AscError):  # they are in the local file; `open_stored` uploads them next time
                self._upload(self._waiting)
            self._waiting = b""
        super().close()

    def _reconcile(self) -> None:
        """Copy events missing in the local file from the storage, or the other way round."""
        stored, self._n_segments = read_segments(self._store)
        local = self.path.read_bytes()
        if stored.startswith(local):
            if len(stored) > len(local):
                self._write(stored[len(local) :])
        elif local.startswith(stored):
            self._upload(local[len(stored) :])
        else:
            raise RunError(
                f"{self.path}: contradicts {self._store.path_text('')}: both were written to since they were last "
                "equal. Delete the one that is not wanted (the local file is rebuilt from the storage), or choose "
                "another --storage."
            )

    def _upload(self, lines: bytes) -> None:
        name = segment_name(self._n_segments + 1)
        if not self._store.create(name, lines):
            raise RunError(
                f"{self._store.path_text(name)}: another asc process has written to this run, so this one stops. "
                "Finished work is kept. If no other process is running, rerun the same command."
            )
        self._n_segments += 1


def segment_name(number: int) -> str:
    """Return the name of a segment; segments are numbered from 1."""
    return f"{number:08d}.jsonl"


def read_segments(store: Store) -> tuple[bytes, int]:
    """Return the concatenated lines of a stored ledger and the number of segments.

    Raises:
        RunError: if a segment is missing.
    """
    names = [name for name in store.names() if name.endswith(".jsonl")]
    expected = [segment_name(number) for number in range(1, len(names) + 1)]
    if names != expected:
        missing = next(name for name in expected if name not in names)
        raise RunError(
            f"{store.path_text(missing)}: this segment of the ledger is missing, but later ones exist. Restore it "
            "(from the bucket's versions, if enabled), or start a new run."
        )
    with ThreadPoolExecutor(N_READERS) as pool:
        return b"".join(pool.map(store.read, names)), len(names)
