"""The ensemble's `ensemble.yaml`, and opening a candidate or an ensemble to run it.

An ensemble is a folder, or a zip of it:

    ensemble.yaml                      temperature; name, weight and SHA-256 of each member
    members/NAME/config.yaml           of the candidate NAME
    members/NAME/model.tflite
    members/NAME/devices/…             the same files of its networks of single devices, if it has any
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from asc_models.candidate import (
    CONFIG,
    ENSEMBLE,
    MAX_UNPACKED_BYTES,
    MODEL,
    NEEDED,
    CandidateConfig,
    folder_of_device,
    is_device_file,
    opened_candidate,
    opened_zip,
    read_candidate_config,
    unpack_file,
)
from asc_models.config import MAX_MEMBERS
from asc_models.metrics import Floats
from data_prep.errors import DataError
from data_prep.files.files import UNREADABLE_ZIP, file_digest
from data_prep.files.scratch import scratch_folder
from data_prep.files.yaml_file import read_yaml
from data_prep.schema import Config, parse_config
from data_prep.wording import shortened

MEMBERS = "members"
"""Folder of the members' folders."""
PACK_AGAIN = "Copy the ensemble again, or rerun `asc ensemble RUN`."
"""What to do about a damaged ensemble."""


class EnsembleMember(Config):
    """One member of an ensemble."""

    name: str = Field(min_length=1, max_length=200)
    """Name of its folder: that of the candidate."""
    weight: float = Field(gt=0, le=1)
    """Weight of its probabilities in the mean."""
    sha256: dict[str, str]
    """{file: SHA-256} of its configuration and its model file, and of those of devices' networks."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        is_one = value == PurePosixPath(value).name == PureWindowsPath(value).name
        if not is_one or value == ".." or not value.isprintable():
            raise ValueError("must be the name of one folder, without a path")
        return value

    @field_validator("sha256")
    @classmethod
    def _check_files(cls, value: dict[str, str]) -> dict[str, str]:
        if {name for name in value if not is_device_file(name)} != set(NEEDED):
            raise ValueError(f"must have the files {' and '.join(NEEDED)}")
        return value


class EnsembleManifest(Config):
    """`ensemble.yaml`: how the members' probabilities are combined, and their files."""

    temperature: float = Field(ge=0.01, le=100)
    """Applied to the weighted mean; 1.0 only normalizes it."""
    members: tuple[EnsembleMember, ...] = Field(min_length=1, max_length=MAX_MEMBERS)
    """Members, largest weight first."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError("members must have different names")
        total = sum(self.weights)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"weights must add up to 1, they add up to {total:.6f}")
        return self

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the members, in their order."""
        return tuple(member.weight for member in self.members)


def temper(probabilities: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Return p^(1/T), normalized per row, shape (n_clips, n_scenes). T > 1 flattens, T < 1 sharpens."""
    logits = np.log(np.clip(probabilities.astype(np.float64), 1e-15, None)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def combined(probabilities: Sequence[Floats], weights: Sequence[float], temperature: float) -> npt.NDArray[np.float32]:
    """Return the probabilities of an ensemble, shape (n_clips, n_scenes): the weighted mean, tempered.

    Args:
        probabilities: of each member, shape (n_clips, n_scenes), of the same clips in the same order.
        weights: of each member; they sum to 1.
        temperature: see `temper`.
    """
    mean = np.tensordot(np.asarray(weights), np.stack([p.astype(np.float64) for p in probabilities]), axes=1)
    result: npt.NDArray[np.float32] = temper(mean, temperature).astype(np.float32)
    return result


@dataclass(frozen=True)
class OpenedSystem:
    """A candidate or an ensemble whose files can be run."""

    path: Path
    """Folder or zip that was opened, for messages."""
    folders: dict[str, Path]
    """{member: folder with its configuration and its model file}; a candidate is its own only member."""
    manifest: EnsembleManifest | None
    """None for a candidate."""

    def combined(self, probabilities: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Return the system's probabilities from those of its members; a candidate's are unchanged."""
        if self.manifest is None:
            (only,) = probabilities
            return only
        return combined(probabilities, self.manifest.weights, self.manifest.temperature)

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each member."""
        return (1.0,) if self.manifest is None else self.manifest.weights

    @property
    def temperature(self) -> float:
        """Temperature of an ensemble; 1.0 for a candidate."""
        return 1.0 if self.manifest is None else self.manifest.temperature

    @property
    def model_paths(self) -> list[Path]:
        """Model file of each member."""
        return [folder / MODEL for folder in self.folders.values()]

    def of_device(self, device: str | None) -> OpenedSystem:
        """Return the system that answers clips of a device: of each member its network of the device, if it has one.

        Args:
            device: name; None if it is not known, for the general networks.

        Raises:
            ConfigError: if a configuration is invalid.
            DataError: if the network of a device is missing, or other than was scored.
        """
        return replace(self, folders={name: folder_of_device(one, device) for name, one in self.folders.items()})

    def read_configs(self) -> list[CandidateConfig]:
        """Return the configuration of each member.

        Raises:
            ConfigError: if one is not a valid candidate configuration.
            DataError: if they differ in their scenes, their order, or the features.
        """
        configs = [read_candidate_config(folder / CONFIG) for folder in self.folders.values()]
        for name, config in zip(self.folders, configs, strict=True):
            for what in ("classes", "features"):
                if getattr(config, what) != getattr(configs[0], what):
                    first = next(iter(self.folders))
                    raise DataError(
                        f"{self.path}: members {first} and {name} have different {what}. Members of an ensemble are "
                        "candidates of one run: rerun `asc ensemble RUN`."
                    )
        return configs


@contextmanager
def opened_system(path: Path) -> Iterator[OpenedSystem]:
    """Yield a candidate or an ensemble, given as a folder or a zip. The files are there until the block ends.

    Raises:
        DataError: if `path` is neither, lacks a required file, or has another one than was scored or packed.
        ConfigError: if its `ensemble.yaml` is invalid.
    """
    if not is_ensemble(path):
        with opened_candidate(path) as folder:
            yield OpenedSystem(path, {path.stem: folder}, None)
        return
    if path.is_dir():
        yield _ensemble(path, path)
        return
    with scratch_folder("asc-ensemble-") as folder:
        _unpack(path, folder)
        yield _ensemble(path, folder)


def is_ensemble(path: Path) -> bool:
    """Return whether a folder or zip has an `ensemble.yaml`; False for what is neither or cannot be read."""
    if path.is_dir():
        return (path / ENSEMBLE).is_file()
    if not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(_manifests(archive))
    except (*UNREADABLE_ZIP, OSError):
        return False


def _manifests(archive: zipfile.ZipFile) -> list[str]:
    """Return the entries named `ensemble.yaml`; a zip made by hand may contain the folder."""
    return [name for name in archive.namelist() if PurePosixPath(name).name == ENSEMBLE]


def _unpack(path: Path, folder: Path) -> None:
    """Write `ensemble.yaml` and the members' files of a zip into `folder`. No other entry is read.

    Raises:
        DataError: if the zip has several ensembles, lacks a file, or the models are too large together.
    """
    with opened_zip(path) as archive:
        entry, *others = _manifests(archive)
        if others:
            raise DataError(f"{path}: has several ensembles ({shortened(entry)}, {shortened(others[0])}); give one")
        unpack_file(path, archive, entry, folder / ENSEMBLE)
        parent, present = entry.removesuffix(ENSEMBLE), set(archive.namelist())
        inside = [
            f"{MEMBERS}/{member.name}/{name}"
            for member in _read_manifest(path, folder).members
            for name in member.sha256
        ]
        found = [name for name in inside if parent + name in present]  # `_ensemble` reports what is missing
        n_bytes = sum(archive.getinfo(parent + name).file_size for name in found)
        if n_bytes > (limit := MAX_UNPACKED_BYTES[MODEL]):
            raise DataError(f"{path}: its members have {n_bytes:,} bytes together, an ensemble's at most {limit:,}")
        for name in found:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            unpack_file(path, archive, parent + name, target)


def _ensemble(path: Path, folder: Path) -> OpenedSystem:
    """Return the ensemble in `folder`, given as `path`, whose files are those that were packed."""
    manifest = _read_manifest(path, folder)
    folders = {member.name: folder / MEMBERS / member.name for member in manifest.members}
    for member in manifest.members:
        for name in member.sha256:
            file = folders[member.name] / name
            if not file.is_file():
                raise DataError(f"{path}: its member {member.name} has no {name}. {PACK_AGAIN}")
            if file_digest(file) != member.sha256[name]:
                raise DataError(
                    f"{path}: {MEMBERS}/{member.name}/{name} has other bytes than the file that was packed (SHA-256 in "
                    f"{ENSEMBLE}). {PACK_AGAIN}"
                )
    return OpenedSystem(path, folders, manifest)


def _read_manifest(path: Path, folder: Path) -> EnsembleManifest:
    source = f"{path}: {ENSEMBLE}" if path != folder else str(path / ENSEMBLE)
    return parse_config(EnsembleManifest, read_yaml(folder / ENSEMBLE), source)
