"""Candidates in a run's shared storage, for training on machines without access to the run directory."""

from __future__ import annotations

import contextlib
from pathlib import Path

from asc_models.candidate import METRICS
from data_prep.files.files import written_whole
from data_prep.store.store import Location, open_store
from results.rundir import CandidateFiles, RunDirectory
from results.storage.storage import RunStorage
from search.retrain.training import remove_leftovers


class StoredCandidate:
    """Files of one candidate in shared storage, and of its training until it is finished."""

    def __init__(self, location: Location) -> None:
        self._store = open_store(location)

    def pull_checkpoint(self, files: CandidateFiles) -> None:
        """Download the checkpoint of an unfinished training, and its finished networks of devices, if any."""
        path = files.checkpoint_path
        with contextlib.suppress(FileNotFoundError):
            _write(path, self._store.read(path.name))
        self._pull_devices(files)

    def push_checkpoint(self, files: CandidateFiles) -> None:
        """Upload the checkpoint of an unfinished training."""
        path = files.checkpoint_path
        self._store.write(path.name, path.read_bytes())

    def push_devices(self, files: CandidateFiles) -> None:
        """Upload the finished networks of devices that the storage lacks, of each the results last."""
        for own in map(CandidateFiles, files.devices_dir.glob("*")):
            paths = {path.relative_to(files.root).as_posix(): path for path in _trained(own)}
            if own.trained_path.is_file() and not self._has(*[*paths.items()][-1]):
                for name, path in paths.items():
                    self._store.write(name, path.read_bytes())

    def _has(self, name: str, path: Path) -> bool:
        """Return whether the storage has the file at `path` as `name`."""
        try:
            return bool(self._store.read(name) == path.read_bytes())
        except FileNotFoundError:
            return False

    def _pull_devices(self, files: CandidateFiles) -> None:
        """Download the networks of devices."""
        for name in self._store.names():
            if name.startswith(f"{files.devices_dir.name}/"):
                _write(files.root / name, self._store.read(name))

    def pull_trained(self, files: CandidateFiles) -> None:
        """Download the files of a finished training: configuration, network, exported file and results."""
        self._pull_devices(files)
        for path in _trained(files):
            try:
                _write(path, self._store.read(path.name))
            except FileNotFoundError:
                if path != files.history_path:  # older versions have none
                    raise

    def push_trained(self, files: CandidateFiles) -> None:
        """Upload the files of a finished training. The results come last, since they mark it as complete."""
        for path in _trained(files):
            self._store.write(path.name, path.read_bytes())

    def push_network(self, files: CandidateFiles) -> None:
        """Upload the network of a training."""
        self._store.write(files.keras_path.name, files.keras_path.read_bytes())

    def pull_network(self, files: CandidateFiles) -> None:
        """Download the network of a training."""
        _write(files.keras_path, self._store.read(files.keras_path.name))

    def push_finished(self, files: CandidateFiles) -> None:
        """Upload a finished candidate, its metrics last, and remove files that only the training needed."""
        written = [path for path in sorted(files.root.rglob("*")) if path.is_file() and path != files.metrics_path]
        for path in [*written, files.metrics_path]:
            self._store.write(path.relative_to(files.root).as_posix(), path.read_bytes())
        for name in self._store.names():
            if not (files.root / name).exists():
                self._store.remove(name)

    def push_part(self, files: CandidateFiles, part: int) -> None:
        """Upload the predictions of a part of the inner cross-validation, after what it was trained with, and remove
        what only its training needed."""
        inner = files.inner(part)
        for path in (inner.config_path, inner.predictions_path("validation")):
            self._store.write(path.relative_to(files.root).as_posix(), path.read_bytes())
        self._store.remove(inner.checkpoint_path.relative_to(files.root).as_posix())
        devices = f"{inner.devices_dir.relative_to(files.root).as_posix()}/"
        for name in self._store.names():
            if name.startswith(devices):
                self._store.remove(name)


def exchange_candidates(run: RunDirectory, storage: RunStorage) -> None:
    """Copy missing files of candidates from shared storage to the run directory, and finished candidates back.

    Checkpoints of unfinished trainings are not copied.
    """
    store = storage.candidates_store
    names = [name for name in store.names() if Path(name).name[0] != "."]
    metrics = [name for name in names if Path(name).name == METRICS]
    for name in [*(name for name in names if name not in metrics), *metrics]:  # metrics last: they mark it finished
        path = run.candidates_dir / name
        if not path.exists() and path.name != CandidateFiles(path.parent).checkpoint_path.name:
            _write(path, store.read(name))
    for files in run.candidates():
        remove_leftovers(files)
        if f"{files.name}/{METRICS}" not in metrics:  # an earlier call was killed before the upload
            StoredCandidate(storage.candidate(files.name)).push_finished(files)


def _trained(files: CandidateFiles) -> tuple[Path, ...]:
    of_network = files.config_path, files.keras_path, files.tflite_path, files.float_path
    return *of_network, files.history_path, files.trained_path


def _write(path: Path, data: bytes) -> None:
    with written_whole(path) as temporary:
        temporary.write_bytes(data)
