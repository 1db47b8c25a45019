"""The files of a run in shared storage, which outlive the driver's machine and are written by several machines.

```
STORAGE/config.yaml            as RUN/config.yaml
STORAGE/ledger/00000001.jsonl  segments of the ledger (results/storage/stored_ledger.py)
STORAGE/driver/                the lock (results/storage/lock.py)
STORAGE/shards/                features, unless configured elsewhere
STORAGE/checkpoints/           checkpoints of unfinished trials, reports of running ones
STORAGE/candidates/<name>/     as RUN/candidates/<name>/, and the checkpoint of an unfinished training
STORAGE/teachers/              as RUN/teachers, with the layout of this folder
```
The run directory remains a local folder on the driver's machine. If it is lost, it is restored from the storage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.errors import RunError
from data_prep.files.files import write_text, written_whole
from data_prep.store.store import Location, Store, location_inside, location_text, open_store
from results.ledger.ledger import Ledger
from results.rundir import CANDIDATES, SHARDS, TEACHERS, RunDirectory
from results.storage.lock import StorageLock
from results.storage.stored_ledger import StoredLedger, read_segments

CHECKPOINTS = "checkpoints"


def checkpoints_of(run: RunDirectory) -> Location:
    """Return the location of the checkpoints of a run's trials: in its shared storage, if it has one."""
    if not run.storage_path.is_file():
        return run.checkpoints_dir
    return location_inside(run.storage_path.read_text(encoding="utf-8").strip(), CHECKPOINTS)


class RunStorage:
    """Locations of one run in shared storage. Use `taken` to open it with its lock."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.store: Store = open_store(location)

    @property
    def checkpoints(self) -> Location:
        """Checkpoints of unfinished trials."""
        return location_inside(self.location, CHECKPOINTS)

    @property
    def shards(self) -> Location:
        """Feature shards of the run, unless configured elsewhere."""
        return location_inside(self.location, SHARDS)

    def candidate(self, name: str) -> Location:
        """Return the location of a candidate's files."""
        return location_inside(location_inside(self.location, CANDIDATES), name)

    @property
    def teachers(self) -> RunStorage:
        """The storage of the teachers' run directory."""
        return RunStorage(location_inside(self.location, TEACHERS))

    @property
    def candidates_store(self) -> Store:
        """Store of the candidates, one folder each."""
        return open_store(location_inside(self.location, CANDIDATES))

    @property
    def lock_store(self) -> Store:
        """Store of the lock."""
        return open_store(location_inside(self.location, "driver"))

    @property
    def ledger_store(self) -> Store:
        """Store of the ledger's segments."""
        return open_store(location_inside(self.location, "ledger"))

    def pull(self, run: RunDirectory, on_note: Callable[[str], None] = lambda text: None) -> None:
        """Synchronize the ledger, and take the stored configuration if the stored ledger is ahead.

        With equal ledgers the run directory keeps its configuration, which a command may have changed since: `asc
        ensemble` and `asc submit` do not know the storage. It is written to the storage when the ledger is opened.

        Args:
            run: the run directory.
            on_note: called with a message if the end of the local ledger was damaged and removed.

        Raises:
            RunError: if the ledgers have diverged, or another process uses the run directory.
            DataError: if the storage cannot be reached.
        """
        n_stored = len(read_segments(self.ledger_store)[0])
        n_local = run.ledger_path.stat().st_size if run.ledger_path.exists() else 0
        with StoredLedger.open_stored(run.ledger_path, self.ledger_store) as ledger:
            if ledger.repair is not None:
                on_note(ledger.repair)
        if n_local < n_stored or not run.config_path.exists():
            with contextlib.suppress(FileNotFoundError):
                _write(run.config_path, self.store.read(run.config_path.name))

    def open_ledger(self, run: RunDirectory) -> StoredLedger:
        """Copy the run's configuration to the storage and return the run's ledger, locked for this process."""
        ledger = StoredLedger.open_stored(run.ledger_path, self.ledger_store)
        try:
            self.push_config(run)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def push_config(self, run: RunDirectory) -> None:
        """Copy the run's configuration to the storage."""
        if run.config_path.exists():
            self.store.write(run.config_path.name, run.config_path.read_bytes())


@contextmanager
def taken(
    run: RunDirectory, location: Location | None, on_wait: Callable[[str], None] = lambda text: None
) -> Iterator[RunStorage | None]:
    """Lock a run's shared storage for this driver and update the run directory from it.

    Args:
        run: the run directory; may be empty.
        location: the storage; None if the run has none, in which case nothing is done.
        on_wait: called with a message before waiting for another driver that may be alive, and if the local ledger was
            repaired.

    Raises:
        RunError: if another driver holds the lock, or the storage contains a different run.
        DataError: if the storage cannot be reached.
    """
    if location is None:
        yield None
        return
    storage = RunStorage(location)
    lock = StorageLock(storage.lock_store)
    lock.acquire(on_wait)
    try:
        storage.pull(run, on_wait)
        write_text(run.storage_path, f"{location_text(location)}\n")
        yield storage
    finally:
        lock.release()


def open_ledger(
    run: RunDirectory, storage: RunStorage | None, on_note: Callable[[str], None] = lambda text: None
) -> Ledger:
    """Return the run's ledger, locked for this process. It is also written to the storage, if any.

    Args:
        run: the run directory.
        storage: its storage, locked by the caller; None if it has none.
        on_note: called with a message if the end of the ledger was damaged and removed.

    Raises:
        RunError: if another process holds the lock, or the run has a storage but `storage` is None.
    """
    if storage is not None:
        return storage.open_ledger(run)
    if run.storage_path.exists():
        known = run.storage_path.read_text(encoding="utf-8").strip()
        raise RunError(
            f"{run.root}: this run's checkpoints are kept at {known}: give --storage {known}. Without it, trials start "
            f"from the beginning. If that storage no longer exists, delete {run.storage_path.name} first."
        )
    ledger = Ledger.open_for_writing(run.ledger_path)
    if ledger.repair is not None:
        on_note(ledger.repair)
    return ledger


def _write(path: Path, data: bytes) -> None:
    with written_whole(path) as temporary:
        temporary.write_bytes(data)
