"""The ledger of a run in shared storage: a local file to read, and in the storage what outlives the machine.

An object store can't append, so the ledger lives there as numbered segments, `00000001.jsonl` and so on, never changed
once written. Joined in order they are the ledger. Each is written on the condition that nobody has (`Store.create`),
so of two drivers that both think themselves alone one fails at its first event.

Promises, beside those of `results/ledger/ledger.py`: an event that `append` returned from is in the storage, before it
is in the local file. Only events of `LIGHT` kinds may wait for the next one: they cost nothing to find again.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from data_prep.errors import AscError, RunError
from data_prep.store import Store
from results.ledger.events import Kind
from results.ledger.ledger import Ledger, ledger_line

LIGHT: frozenset[Kind] = frozenset({"infeasible"})
"""Kinds of events behind which no work stands; there may be hundreds of them between two others."""
N_READERS = 16
"""Segments that are fetched at once."""


class StoredLedger(Ledger):
    """A ledger whose events are in `store` before they count."""

    def __init__(self, path: Path, store: Store) -> None:
        super().__init__(path)
        self._store = store
        self._n_segments = 0
        self._waiting = b""

    @classmethod
    def open_stored(cls, path: Path, store: Store) -> Self:
        """Return the ledger, locked for this process, its local file and the storage brought to the same events.

        Raises:
            RunError: if another process holds the local file, or the two hold different histories.
            DataError: if the storage can't be reached.
        """
        ledger = cls(path, store)
        ledger._open()
        try:
            ledger._reconcile()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def append(self, event: Kind, **fields: Any) -> None:
        """Write one event: when this returns, it is in the storage and on the disk.

        Raises:
            RunError: if another driver has taken the run over.
            AscError: if the storage can't be reached, or the disk is full.
        """
        line = ledger_line(event, fields)
        if event in LIGHT:
            self._waiting += line
        else:
            self._upload(self._waiting + line)
            self._waiting = b""
        self._write(line)

    def close(self) -> None:
        """Bring what still waits into the storage, as far as it can be reached, and give the lock back."""
        if self._waiting:
            with contextlib.suppress(AscError):  # the local file has it, and the next opening brings it there
                self._upload(self._waiting)
            self._waiting = b""
        super().close()

    def _reconcile(self) -> None:
        """Give the local file what only the storage has, or the storage what only the local file has."""
        there, self._n_segments = read_segments(self._store)
        here = self.path.read_bytes()
        if there.startswith(here):
            if len(there) > len(here):
                self._write(there[len(here) :])
        elif here.startswith(there):
            self._upload(here[len(there) :])
        else:
            raise RunError(
                f"{self.path}: holds another history than {self._store.place('')}: since they were last the same, both "
                "were written to. Delete the one that is not wanted (the storage is the run's truth; the local file "
                "is made anew from it), or take another --storage."
            )

    def _upload(self, lines: bytes) -> None:
        name = segment_name(self._n_segments + 1)
        if not self._store.create(name, lines):
            raise RunError(
                f"{self._store.place(name)}: another asc has written to this run meanwhile, so this one stops. Nothing "
                "that was finished is lost; if no other is at work, give the same command again."
            )
        self._n_segments += 1


def segment_name(number: int) -> str:
    """Return the name of a segment, counted from 1."""
    return f"{number:08d}.jsonl"


def read_segments(store: Store) -> tuple[bytes, int]:
    """Return a stored ledger's lines, joined, and how many segments they come from.

    Raises:
        RunError: if a segment is missing.
    """
    names = [name for name in store.names() if name.endswith(".jsonl")]
    expected = [segment_name(number) for number in range(1, len(names) + 1)]
    if names != expected:
        missing = next(name for name in expected if name not in names)
        raise RunError(
            f"{store.place(missing)}: the ledger has later segments but lacks this one, so something deleted it. Bring "
            "it back (a bucket with versions keeps it), or begin a new run."
        )
    with ThreadPoolExecutor(N_READERS) as pool:
        return b"".join(pool.map(store.read, names)), len(names)
