"""The candidate's `config.yaml`, and reading a candidate from a folder or zip."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from asc_models.config import CheckpointMetric, Distillation, ExportMode, TrainConfig
from asc_models.networks.families import AnyModelConfig
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import DataError
from data_prep.files.files import UNREADABLE_ZIP, file_digest, read_json
from data_prep.files.scratch import scratch_folder
from data_prep.files.yaml_file import MAX_BYTES, read_yaml
from data_prep.reader.statistics import BandStatistics
from data_prep.schema import Config, parse_config
from data_prep.wording import shortened


class DistilledFrom(Distillation):
    """Teachers of a candidate."""

    teachers: tuple[str, ...] = ()
    """Names of the networks, with their seeds."""
    probabilities: str | None = None
    """SHA-256 of the file of stored probabilities; null without one."""


class CandidateConfig(Config):
    """`config.yaml` of a candidate: everything needed to retrain it, and to run its model on new audio."""

    ADDED = frozenset({"inner_folds", "distillation"})

    name: str
    """Name of the candidate, without its seed."""
    trial_id: str | None
    """ID of its trial; null for a named system."""
    model: AnyModelConfig
    """Network description."""
    train: TrainConfig
    """Training recipe, with the number of epochs of this training."""
    features: FeatureSpec
    """Features extracted from audio."""
    reader: ReaderSpec
    """Conversion of features to network input."""
    statistics: BandStatistics | None = None
    """Band statistics of the training clips, if the reader standardizes; null otherwise."""
    classes: tuple[str, ...]
    """Scenes, in the order of the network's outputs."""
    mode: ExportMode
    """Export mode of the model file."""
    splits: tuple[Literal["train", "validation"], ...] = Field(("train",), min_length=1)
    """Splits used for training; if validation is one of them, it selects nothing."""
    checkpoint: CheckpointMetric | None
    """Validation score that selects the epoch; null keeps the last epoch, as required when training on validation."""
    inner_folds: int = Field(0, ge=0)
    """Number of inner cross-validation folds that the validation scores are from; 0 if they are from the validation
    split."""
    distillation: DistilledFrom | None = None
    """Teachers that it learned from; null without any."""
    seed: int
    """Random seed of the training."""
    fold: int
    """Fold of the data set."""
    data_hash: str
    """Hash of the prepared data."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if ("validation" in self.splits) != (self.checkpoint is None):
            raise ValueError(
                f"trained on {' and '.join(self.splits)}, with checkpoint {self.checkpoint}: the validation split "
                "either selects the checkpoint or is trained on, not both"
            )
        if self.inner_folds and "validation" not in self.splits:
            raise ValueError("inner_folds needs training on train and validation together")
        return self


def read_candidate_config(path: Path) -> CandidateConfig:
    """Return a candidate's configuration.

    Raises:
        ConfigError: if the file is missing or not a valid candidate configuration.
    """
    return parse_config(CandidateConfig, read_yaml(path), str(path))


MODEL, CONFIG, CARD = "model.tflite", "config.yaml", "card.md"
KERAS = "model.keras"
"""The network before its export; in a candidate's folder, not in its zip."""


ENSEMBLE = "ensemble.yaml"
"""File that makes a folder or zip that of an ensemble (`asc_models.ensemble`)."""


METRICS = "metrics.json"
"""Scores and sizes of a candidate, and the SHA-256 of the files that they were measured on."""


RETRAIN_AGAIN = "Restore it from a copy, or delete the candidate's folder and rerun `asc retrain`."
"""What to do about a damaged file of a candidate."""


NEEDED = (MODEL, CONFIG)
"""Files needed to run a candidate: the model; feature and reader settings and class list."""


MAX_UNPACKED_BYTES = {MODEL: 100_000_000, CONFIG: MAX_BYTES, ENSEMBLE: MAX_BYTES}
"""Largest accepted unpacked size of each file in a zip. Real candidates have a few hundred thousand bytes."""


def require_unchanged(folder: Path, names: Collection[str] | None = None) -> None:
    """Check that the files of a candidate's folder are those that its scores were measured on.

    Args:
        folder: of the candidate. Without `metrics.json`, or with that of an older version, nothing is checked.
        names: files to check; None checks all.

    Raises:
        DataError: if a file is missing or has other bytes.
    """
    if not (folder / METRICS).is_file():
        return
    try:
        metrics = read_json(folder / METRICS)
    except DataError as error:
        raise DataError(f"{error}. {RETRAIN_AGAIN}") from None
    digests = metrics.get("sha256") if isinstance(metrics, Mapping) else None
    for name, digest in digests.items() if isinstance(digests, Mapping) else ():
        path = folder / name
        if names is not None and name not in names:
            continue
        if not path.is_file() or file_digest(path) != digest:
            state = "has other bytes than" if path.is_file() else "is missing, which was"
            raise DataError(f"{path}: {state} the file that was scored (SHA-256 in {METRICS}). {RETRAIN_AGAIN}")


@contextmanager
def opened_candidate(path: Path) -> Iterator[Path]:
    """Yield the folder of a candidate given as a folder or a zip.

    Raises:
        DataError: if `path` is not a candidate, lacks a required file, or has another one than was scored.
    """
    if path.is_dir():
        if (path / ENSEMBLE).is_file():
            raise _ensemble_error(path)
        missing = [name for name in NEEDED if not (path / name).is_file()]
        if missing:
            raise DataError(
                f"{path}: not a candidate (it has no {' and no '.join(missing)}). Candidates are the folders in "
                f"RUN/candidates, and the zips in them; an ensemble is RUN/ensemble.zip, or a folder with {ENSEMBLE}"
            )
        require_unchanged(path, NEEDED)
        yield path
        return
    with scratch_folder("asc-candidate-") as folder:
        _unpack(path, folder)
        yield folder


def _ensemble_error(path: Path) -> DataError:
    return DataError(f"{path}: is an ensemble, where a candidate is needed: a folder in RUN/candidates, or its zip")


def _unpack(path: Path, folder: Path) -> None:
    with opened_zip(path) as archive:
        # A zip made by hand may contain the files in a subfolder.
        found = [name for name in archive.namelist() if Path(name).name in (*NEEDED, ENSEMBLE)]
        entries = {Path(name).name: name for name in found}
        if ENSEMBLE in entries:
            raise _ensemble_error(path)
        if len(entries) < len(found):  # model and configuration would be of different candidates
            raise DataError(f"{path}: has the files of several candidates ({', '.join(map(shortened, found[:3]))}, …)")
        missing = [name for name in NEEDED if name not in entries]
        if missing:
            raise DataError(f"{path}: not a candidate's zip (it has no {' and no '.join(missing)})")
        for name, entry in entries.items():
            unpack_file(path, archive, entry, folder / name)


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield the zip of a candidate or ensemble, open for reading.

    Raises:
        DataError: if `path` is not a zip that can be read; also for what fails while it is open.
    """
    if path.exists() and not path.is_file():  # a pipe would never end
        raise DataError(f"{path}: must be a folder or a regular file; it is a pipe or device.")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise DataError(f"{path}: no such candidate folder or zip") from None
    except (*UNREADABLE_ZIP, OSError) as error:
        raise DataError(f"{path}: neither a candidate's folder nor a zip of one: {error}") from None


def unpack_file(path: Path, archive: zipfile.ZipFile, entry: str, target: Path) -> None:
    """Write one entry of the zip at `path` to `target`, whatever path the entry has.

    Raises:
        DataError: if the entry has more bytes than a file with the name of `target` may have.
    """
    size, limit = archive.getinfo(entry).file_size, MAX_UNPACKED_BYTES[target.name]
    if size > limit:
        raise DataError(f"{path}: {shortened(entry)} has {size:,} bytes, a candidate's at most {limit:,}")
    target.write_bytes(archive.read(entry))
