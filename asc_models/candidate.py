"""The candidate's `config.yaml`, and reading a candidate from a folder or zip."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from asc_models.config import CheckpointMetric, Distillation, ExportMode, FineTuning, TrainConfig
from asc_models.networks.families import AnyModelConfig
from asc_models.rules import Quantity
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

    ADDED = frozenset({"inner_folds", "distillation", "fine_tuning", "devices", "device", "int4_limits"})

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
    int4_limits: dict[Quantity, int] = Field(default_factory=dict)
    """Limits in bytes within which `int4_int8_weights` keeps large kernels in int8; without any, all are int4."""
    splits: tuple[Literal["train", "validation"], ...] = Field(("train",), min_length=1)
    """Splits used for training; if validation is one of them, it selects nothing."""
    checkpoint: CheckpointMetric | None
    """Validation score that selects the epoch; null keeps the last epoch, as required when training on validation."""
    inner_folds: int = Field(0, ge=0)
    """Number of inner cross-validation folds that the validation scores are from; 0 if they are from the validation
    split."""
    distillation: DistilledFrom | None = None
    """Teachers that it learned from; null without any."""
    fine_tuning: FineTuning | None = None
    """How the networks of single devices are trained; null without any."""
    devices: tuple[str, ...] = ()
    """Devices with a network of their own, in the folder `devices`; the model file answers clips of all others."""
    device: str | None = None
    """The device whose network this is, fine-tuned from that of all devices; null for the latter."""
    seed: int
    """Random seed of the training."""
    fold: int
    """Fold of the data set."""
    data_hash: str
    """Hash of the prepared data."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.device is None and ("validation" in self.splits) != (self.checkpoint is None):
            raise ValueError(
                f"trained on {' and '.join(self.splits)}, with checkpoint {self.checkpoint}: the validation split "
                "either selects the checkpoint or is trained on, not both"
            )
        if self.inner_folds and "validation" not in self.splits:
            raise ValueError("inner_folds needs training on train and validation together")
        return self

    @property
    def n_epochs(self) -> int:
        """Epochs of its training, for progress: those of all devices' networks together count once."""
        return self.train.epochs + (0 if self.fine_tuning is None else self.fine_tuning.epochs)

    def of_device(self, device: str) -> Self:
        """Return the configuration of a device's network, which keeps its last epoch."""
        assert self.fine_tuning is not None  # else there are no such networks
        train = self.train.updated(**self.fine_tuning.changes(self.train))
        return self.updated(device=device, devices=(), fine_tuning=None, train=train, checkpoint=None, inner_folds=0)


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


DEVICES = "devices"
"""Folder of the networks of single devices; each is in a folder that is a candidate's, too."""


def device_folder(device: str) -> str:
    """Return the path of a device's network in the folder of its candidate, such as `devices/s1`."""
    return f"{DEVICES}/{quote(device, safe='').replace('.', '%2E')}"


def is_device_file(name: str) -> bool:
    """Return whether a path in the folder of a candidate is that of a file needed to run a device's network."""
    parts = name.split("/")
    return len(parts) == 3 and parts[0] == DEVICES and bool(_QUOTED.fullmatch(parts[1])) and parts[2] in NEEDED


_QUOTED = re.compile(r"[A-Za-z0-9_~%-]{1,250}")


def needed_files(folder: Path) -> tuple[str, ...]:
    """Return the paths, in the folder of a candidate, of all files needed to run it, those of devices included."""
    of_devices = (path.relative_to(folder).as_posix() for path in folder.glob(f"{DEVICES}/*/*"))
    return (*NEEDED, *sorted(filter(is_device_file, of_devices)))


def folder_of_device(folder: Path, device: str | None) -> Path:
    """Return the folder whose network answers clips of a device: that of the device, or the candidate's own.

    Args:
        folder: of a candidate.
        device: name; None if it is not known.

    Raises:
        ConfigError: if the candidate's configuration is invalid.
        DataError: if the device's network is missing, or other than was scored.
    """
    if device is None or device not in read_candidate_config(folder / CONFIG).devices:
        return folder
    names = [f"{device_folder(device)}/{name}" for name in NEEDED]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise DataError(f"{folder}: lacks {missing[0]}, of the network of device {device}. {RETRAIN_AGAIN}")
    require_unchanged(folder, names)
    return folder / device_folder(device)


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
        found = [name for name in archive.namelist() if Path(name).name in (*NEEDED, ENSEMBLE) and not _of_device(name)]
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
        _unpack_devices(path, archive, entries[CONFIG].removesuffix(CONFIG), folder)


def _of_device(name: str) -> bool:
    """Return whether an entry of a zip, which may contain the files in a subfolder, is a file of a device's network."""
    return is_device_file("/".join(name.split("/")[-3:]))


def _unpack_devices(path: Path, archive: zipfile.ZipFile, parent: str, folder: Path) -> None:
    """Write the networks of devices in the folder `parent` of a zip, "" or ending with /, to `folder`.

    Raises:
        DataError: if a file is too large, or all together are.
    """
    inside = [name.removeprefix(parent) for name in archive.namelist() if name.startswith(parent)]
    found = [name for name in dict.fromkeys(inside) if is_device_file(name)]
    n_bytes = sum(archive.getinfo(parent + name).file_size for name in found)
    if n_bytes > (limit := MAX_UNPACKED_BYTES[MODEL]):
        raise DataError(f"{path}: its networks of devices have {n_bytes:,} bytes together, at most {limit:,} may be")
    for name in found:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        unpack_file(path, archive, parent + name, folder / name)


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
