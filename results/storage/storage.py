"""A run's part in shared storage: what outlives the machine that drives it, and what several machines write.

```
STORAGE/config.yaml            as RUN/config.yaml
STORAGE/ledger/00000001.jsonl  the ledger's segments (results/storage/stored_ledger.py)
STORAGE/driver/                the lock (results/storage/lock.py)
STORAGE/shards/                features, unless another place is named
STORAGE/checkpoints/           of unfinished trials
STORAGE/candidates/<name>/     as RUN/candidates/<name>/, and the checkpoint of an unfinished training
```
The run directory stays a folder of the driver's machine. Where it is lost, it is made anew from here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import RunError
from data_prep.files import write_text, written_whole
from data_prep.store import Location, Store, location_inside, location_text, open_store
from results.ledger.ledger import Ledger
from results.rundir import CANDIDATES, SHARDS, RunDirectory
from results.storage.lock import StorageLock
from results.storage.stored_ledger import StoredLedger, read_segments


class RunStorage:
    """The places of one run in shared storage. `taken` gives it out, locked."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.store: Store = open_store(location)

    @property
    def checkpoints(self) -> Location:
        """Where trials keep their states."""
        return location_inside(self.location, "checkpoints")

    @property
    def shards(self) -> Location:
        """Where the run's features are prepared, unless another place is named."""
        return location_inside(self.location, SHARDS)

    def candidate(self, name: str) -> Location:
        """Return where the files of a candidate are."""
        return location_inside(location_inside(self.location, CANDIDATES), name)

    @property
    def candidates_store(self) -> Store:
        """Where the candidates are, a folder each."""
        return open_store(location_inside(self.location, CANDIDATES))

    @property
    def lock_store(self) -> Store:
        """Where the lock is."""
        return open_store(location_inside(self.location, "driver"))

    @property
    def ledger_store(self) -> Store:
        """Where the ledger's segments are."""
        return open_store(location_inside(self.location, "ledger"))

    def pull(self, run: RunDirectory) -> None:
        """Bring configuration and ledger into the run directory, where the storage has more of them.

        Raises:
            RunError: if run directory and storage hold different histories, or another process works in the directory.
            DataError: if the storage can't be reached.
        """
        n_there = len(read_segments(self.ledger_store)[0])
        n_here = run.ledger_path.stat().st_size if run.ledger_path.exists() else 0
        with StoredLedger.open_stored(run.ledger_path, self.ledger_store):
            pass
        if n_here <= n_there or not run.config_path.exists():
            with contextlib.suppress(FileNotFoundError):
                _write(run.config_path, self.store.read(run.config_path.name))

    def open_ledger(self, run: RunDirectory) -> StoredLedger:
        """Return the run's ledger, locked, after bringing the run's configuration into the storage."""
        ledger = StoredLedger.open_stored(run.ledger_path, self.ledger_store)
        try:
            self.push_config(run)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def push_config(self, run: RunDirectory) -> None:
        """Bring the run's configuration into the storage."""
        if run.config_path.exists():
            self.store.write(run.config_path.name, run.config_path.read_bytes())


@contextmanager
def taken(
    run: RunDirectory, location: Location | None, on_wait: Callable[[str], None] = lambda text: None
) -> Iterator[RunStorage | None]:
    """Hold a run's shared storage for this driver, the run directory brought up to date from it.

    Args:
        run: the run directory; it may be empty.
        location: the storage; None where the run has none, and nothing is done.
        on_wait: told whom it waits for, where another driver may still be alive.

    Raises:
        RunError: if another driver has it, or it holds another run.
        DataError: if it can't be reached.
    """
    if location is None:
        yield None
        return
    storage = RunStorage(location)
    lock = StorageLock(storage.lock_store)
    lock.acquire(on_wait)
    try:
        storage.pull(run)
        write_text(run.storage_path, f"{location_text(location)}\n")
        yield storage
    finally:
        lock.release()


def open_ledger(run: RunDirectory, storage: RunStorage | None) -> Ledger:
    """Return the run's ledger, locked for this process: in the storage too where there is one.

    Raises:
        RunError: if another process holds it, or the run has a storage and is opened without it.
    """
    if storage is not None:
        return storage.open_ledger(run)
    if run.storage_path.exists():
        known = run.storage_path.read_text(encoding="utf-8").strip()
        raise RunError(
            f"{run.root}: this run's checkpoints are kept at {known}: give --storage {known}. Without it trials begin "
            f"again; where that place is gone for good, remove {run.storage_path.name} first."
        )
    return Ledger.open_for_writing(run.ledger_path)


def _write(path: Path, data: bytes) -> None:
    with written_whole(path) as temporary:
        temporary.write_bytes(data)
