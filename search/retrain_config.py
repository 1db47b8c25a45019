"""Section `retrain`: what is trained at full length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from asc_models.config import CheckpointMetric, Distillation, ExportMode, FineTuning, TrainConfig
from asc_models.networks.families import AnyModelConfig
from asc_models.networks.network import NetworkConfig
from asc_models.networks.presets import PRESETS, preset
from data_prep.config import ReaderSpec
from data_prep.schema import Config


class SystemConfig(Config):
    """A fixed network that is trained without a search: a preset or a description."""

    ADDED = frozenset({"train", "reader", "seeds"})

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """The candidate's name."""
    preset: str | None = None
    """Name of a preset network; exclusive with `model`."""
    model: AnyModelConfig | None = None
    """Description of the network; exclusive with `preset`."""
    epochs: int | None = Field(None, ge=1)
    """Epochs of its training; null means train.epochs."""
    train: dict[str, Any] = Field(default_factory=dict)
    """Keys of the section `train` that differ for this system."""
    reader: dict[str, Any] = Field(default_factory=dict)
    """Keys of the section `reader` that differ for this system."""
    seeds: tuple[NonNegativeInt, ...] | None = Field(None, min_length=1)
    """Random seeds of this system; null means those of the section."""

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return None if seeds is None else _distinct_seeds(seeds)

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if re.search(r"^t\d{4,}$|-(s\d+|e\d+|full|kd)$", name):
            raise ValueError(
                "this form of name is reserved for trials and variants of candidates (t0001, a-s0, a-e510, a-full, "
                "a-kd)"
            )
        return name

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f"unknown network; presets: {', '.join(PRESETS)}")
        return name

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.preset is None) == (self.model is None):
            raise ValueError("needs either a preset or a model")
        return self

    @property
    def network(self) -> NetworkConfig:
        """The network's description."""
        return self.model if self.model is not None else preset(str(self.preset))

    def recipe(self, train: TrainConfig) -> TrainConfig:
        """Return the recipe of this system, where `train` is that of the run.

        Raises:
            ValueError: if the keys of its own section `train` are unknown or invalid.
        """
        epochs = {} if self.epochs is None else {"epochs": self.epochs}
        return train.updated(**{**self.train, **epochs})

    def input(self, reader: ReaderSpec) -> ReaderSpec:
        """Return the reader of this system, where `reader` is that of the run.

        Raises:
            ValueError: if the keys of its own section `reader` are unknown or invalid.
        """
        return reader.updated(**self.reader)


class DistillationConfig(Distillation):
    """Section `retrain.distillation`: candidates also learn from the probabilities of teachers, which are averaged.
    Names of such candidates have `-kd` after that of the trial or network, as in t0003-kd-s0 and t0003-kd-full-s0."""

    teachers: tuple[SystemConfig, ...] = ()
    """Networks of any size, trained first on the same clips. They are kept in RUN/teachers and never submitted. They
    use the candidates' training settings, changed by the keys of their own `train`, and must accept their input."""
    seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1)
    """Random seeds; each of `teachers` is trained once per seed."""
    candidates: tuple[str, ...] = ()
    """Finished candidates of the run that teach, such as t0003-s0."""
    probabilities: str | None = None
    """CSV, TSV or Parquet file with a teacher's probabilities of the training clips: a file name and one column per
    scene in each row. The teacher must not have seen the test clips."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.teachers or self.candidates or self.probabilities):
            raise ValueError("names no teacher: set teachers, candidates or probabilities")
        for name, values in (("seeds", self.seeds), ("candidates", self.candidates)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must differ, got {', '.join(map(str, values))}")
        names = [system.name for system in self.teachers]
        if len(set(names)) < len(names):
            raise ValueError(f"names of teachers must differ, got {', '.join(names)}")
        if readers := [system.name for system in self.teachers if system.reader]:
            raise ValueError(
                f"{readers[0]}: a teacher answers the input of the candidates: leave out its section reader"
            )
        return self


class RetrainConfig(Config):
    """Section `retrain`: training at full length of the search's best candidates and of fixed systems."""

    ADDED = frozenset({"all_clips", "inner_folds", "distillation", "fine_tuning", "train", "int4_limit_bytes"})

    n_candidates: int = Field(4, ge=0)
    """Number of the search's best trials to retrain."""
    seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1)
    """Random seeds; each candidate is trained once per seed."""
    mode: ExportMode = "int8_weights"
    """Export mode of the retrained models."""
    int4_limit_bytes: int | None = Field(None, ge=1)
    """With `int4_int8_weights`: size to fill. Large kernels whose int4 changes the answers most are stored in int8
    until so many bytes are used. Counted as the rules count, e.g. non-zero weights under dcase2021; weights if they
    limit no bytes. null: all large kernels are int4, as in a search."""
    checkpoint: CheckpointMetric = "macro_accuracy"
    """Validation score by which the best epoch is selected; the other score breaks ties."""
    systems: tuple[SystemConfig, ...] = ()
    """Fixed networks to train, in addition to the search's candidates or without a search."""
    all_clips: bool = False
    """Train on train and validation together for a fixed number of epochs. No checkpoint is selected: the end of the
    last cycle, or the averaged weights (`train.swa_share`), are kept. Without `inner_folds` such candidates have no
    score to choose by."""
    inner_folds: int = Field(0, ge=0)
    """With `all_clips`: score each candidate by the out-of-fold predictions of that many further trainings, each
    without one part of the locations; 0 turns it off."""
    distillation: DistillationConfig | None = None
    """Teachers of the candidates; null trains on the labels alone."""
    fine_tuning: FineTuning | None = None
    """A network for each recording device, which answers its clips; null trains one network for all. Only for rules
    under which the device of a clip is known: dcase2025 and custom."""
    train: dict[str, Any] = Field(default_factory=dict)
    """Keys of the section `train` that differ at full length. A search compares its trials at the ends of warm-restart
    cycles; candidates may have another `schedule`, or averaged weights (`swa_share`)."""

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return _distinct_seeds(seeds)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.inner_folds == 1:
            raise ValueError("inner_folds must be 0 or at least 2: a single part leaves nothing to train on")
        if self.inner_folds and not self.all_clips:
            raise ValueError(
                f"inner_folds {self.inner_folds} score candidates that are trained on all clips: set all_clips: true"
            )
        if self.inner_folds and self.distillation is not None and self.distillation.probabilities is not None:
            raise ValueError(
                "distillation.probabilities and inner_folds: stored probabilities come from a teacher that has seen "
                "all training clips, so that no part is left out. Use distillation.teachers or candidates, or set "
                "inner_folds: 0"
            )
        return self

    @field_validator("systems")
    @classmethod
    def _distinct(cls, systems: tuple[SystemConfig, ...]) -> tuple[SystemConfig, ...]:
        names = [system.name for system in systems]
        if len(set(names)) < len(names):
            raise ValueError(f"names of systems must differ, got {', '.join(names)}")
        return systems

    def with_seeds(self, seeds: Sequence[int]) -> Self:
        """Return the section with these seeds, for every system."""
        systems = tuple(system.updated(seeds=None) for system in self.systems)
        return self.updated(seeds=tuple(seeds), systems=systems)


def _distinct_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must differ, got {', '.join(map(str, seeds))}")
    return seeds
