"""`config.yaml` of a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from asc_models.config import CheckpointMetric, ExportMode, TrainConfig
from asc_models.families import AnyModelConfig
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.reader.statistics import BandStatistics
from data_prep.schema import Config, parse_config
from search.config import parse_yaml


class CandidateConfig(Config):
    """`config.yaml` of a candidate: all that is needed to train it again, and to run its file on new audio."""

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
        return self


def read_candidate_config(path: Path) -> CandidateConfig:
    """Return a candidate's configuration.

    Raises:
        ConfigError: if the file is missing or is no candidate's configuration.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_config(CandidateConfig, parse_yaml(text, str(path)), str(path))
