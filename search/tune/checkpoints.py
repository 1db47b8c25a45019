"""Checkpoints of unfinished trials, in a folder or an object store reachable from every node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.files.scratch import scratch_folder
from data_prep.store.store import LocalStore, Location, open_store

SUFFIX = ".npz"


class Checkpoints:
    """One checkpoint per network of a trial, written atomically. Callers read and write them by path (`Trainer.save`).

    A network is named by the part that it is trained without (`search.inner_folds`), 0 if there are no parts.
    """

    def __init__(self, location: Location) -> None:
        self._store = open_store(location)

    @property
    def folder(self) -> Path | None:
        """The folder of the checkpoints; None for an object store."""
        return self._store.root if isinstance(self._store, LocalStore) else None

    def save(self, trial_id: str, write: Callable[[Path], None], part: int = 0) -> None:
        """Store the checkpoint that `write` writes to a path, replacing the network's earlier one.

        Raises:
            AscError: if there is no space, or the location can't be written.
        """
        if self.folder is not None:
            write(self.folder / _name(trial_id, part))
            return
        with scratch_folder("asc-checkpoint-") as folder:
            path = folder / _name(trial_id, part)
            write(path)
            self._store.write(path.name, path.read_bytes())

    @contextmanager
    def opened(self, trial_id: str, part: int = 0) -> Iterator[Path | None]:
        """Yield the path of a network's checkpoint; None if there is none.

        Raises:
            DataError: if the location can't be read.
        """
        if self.folder is not None:
            path = self.folder / _name(trial_id, part)
            yield path if path.exists() else None
            return
        try:
            data = self._store.read(_name(trial_id, part))
        except FileNotFoundError:
            yield None
            return
        with scratch_folder("asc-checkpoint-") as folder:
            path = folder / _name(trial_id, part)
            path.write_bytes(data)
            yield path

    def remove(self, trial_id: str) -> None:
        """Delete the trial's checkpoints, if any."""
        for name in self._names():
            if _trial_id(name) == trial_id:
                self._store.remove(name)

    def trial_ids(self) -> set[str]:
        """Return the trials that have a checkpoint."""
        return {_trial_id(name) for name in self._names()}

    def adopt(self, folder: Path) -> None:
        """Move the checkpoints that an earlier session left in a local folder; existing ones are kept."""
        known = self._names()
        for path in folder.glob(f"*{SUFFIX}"):
            if path.name not in known:
                self._store.write(path.name, path.read_bytes())
            path.unlink()

    def tidy(self) -> None:
        """Remove the folder and its parent if they are empty."""
        if self.folder is not None:
            for folder in (self.folder, self.folder.parent):
                with contextlib.suppress(OSError):  # not empty, or never made
                    folder.rmdir()

    def _names(self) -> list[str]:
        return [name for name in self._store.names() if name.endswith(SUFFIX)]


def _name(trial_id: str, part: int) -> str:
    return f"{trial_id}.{part}{SUFFIX}" if part else f"{trial_id}{SUFFIX}"


def _trial_id(name: str) -> str:
    return name.partition(".")[0]
