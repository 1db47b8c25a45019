"""`config.yaml` of a candidate."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from asc_models.config import CheckpointMetric, ExportMode, TrainConfig
from asc_models.networks.families import AnyModelConfig
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import DataError
from data_prep.reader.statistics import BandStatistics
from data_prep.schema import Config, parse_config
from data_prep.yaml_file import read_yaml


class CandidateConfig(Config):
    """`config.yaml` of a candidate: all that is needed to train it again, and to run its file on new audio."""

    ADDED = frozenset({"inner_folds"})

    name: str
    """Candidate, without its seed."""
    trial_id: str | None
    """The trial that proposed it; null for a system given by name."""
    model: AnyModelConfig
    """The network."""
    train: TrainConfig
    """The recipe, with the length of this training."""
    features: FeatureSpec
    """What is extracted from audio."""
    reader: ReaderSpec
    """How features become network input."""
    statistics: BandStatistics | None = None
    """Of the training clips, if the reader standardizes by them: fitted by the training."""
    classes: tuple[str, ...]
    """Scenes in the order of the network's outputs."""
    mode: ExportMode
    """Export of the file."""
    splits: tuple[Literal["train", "validation"], ...] = Field(("train",), min_length=1)
    """What is trained on; with validation among them, nothing is chosen by it."""
    checkpoint: CheckpointMetric | None
    """What the kept epoch is best in; null keeps the last one, as a training on validation must."""
    inner_folds: int = Field(0, ge=0)
    """Parts of the inner cross-validation that its validation scores are of; 0 where they are of the validation split.
    """
    seed: int
    """Seed of the training."""
    fold: int
    """Fold that was trained on."""
    data_hash: str
    """Identity of the prepared data."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if ("validation" in self.splits) != (self.checkpoint is None):
            raise ValueError(
                f"trained on {' and '.join(self.splits)}, with checkpoint {self.checkpoint}: the validation split "
                "chooses the checkpoint or is trained on, one of the two"
            )
        if self.inner_folds and "validation" not in self.splits:
            raise ValueError("inner_folds are parts of train and validation together, and validation is not trained on")
        return self


def read_candidate_config(path: Path) -> CandidateConfig:
    """Return a candidate's configuration.

    Raises:
        ConfigError: if the file is missing or is no candidate's configuration.
    """
    return parse_config(CandidateConfig, read_yaml(path), str(path))


MODEL, CONFIG, CARD = "model.tflite", "config.yaml", "card.md"


NEEDED = (MODEL, CONFIG)
"""What it takes to run a candidate: the file; feature and reader specification, class list."""


MAX_UNPACKED_BYTES = 100_000_000
"""A package unpacks to some hundred thousand bytes; what claims to be a thousand times that is none."""


@contextmanager
def opened_candidate(path: Path) -> Iterator[Path]:
    """Yield the folder of a candidate that is given as a folder or as a zip of one.

    Raises:
        DataError: if there is none, or it lacks a file that it takes to run it.
    """
    if path.is_dir():
        missing = [name for name in NEEDED if not (path / name).is_file()]
        if missing:
            raise DataError(
                f"{path}: no candidate (it has no {' and no '.join(missing)}); candidates are folders in "
                "RUN/candidates, or the zips in them"
            )
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="asc-candidate-") as folder:
        _unpack(path, Path(folder))
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            # A zip made by hand may have the candidate's folder around the files.
            entries = {Path(name).name: name for name in archive.namelist() if Path(name).name in NEEDED}
            missing = [name for name in NEEDED if name not in entries]
            if missing:
                raise DataError(f"{path}: no candidate's zip (it has no {' and no '.join(missing)})")
            for name, entry in entries.items():
                size = archive.getinfo(entry).file_size
                if size > MAX_UNPACKED_BYTES:
                    raise DataError(f"{path}: {entry} claims {size:,} bytes, a candidate has at most 100,000,000")
                (folder / name).write_bytes(archive.read(entry))
    except FileNotFoundError:
        raise DataError(f"{path}: no candidate: there is no such folder or zip") from None
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:  # RuntimeError: encrypted
        raise DataError(f"{path}: neither a candidate's folder nor a zip of one: {error}") from None
