"""Section `search` of the configuration; the section `space` is in search/space/config.py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from asc_models.config import ExportMode
from asc_models.networks.presets import PRESETS
from data_prep.schema import Config
from search.objectives import Objective, Objectives


class SearchConfig(Config):
    """Section `search`: number and length of the trials, proposals, and early stopping."""

    ADDED = frozenset({"inner_folds"})

    n_trials: int = Field(64, ge=1)
    """Candidates that are trained; proposals over the limit are not trained and don't count."""
    seed: int = Field(0, ge=0)
    """Random seed of the proposals and of every trial's training."""
    epochs: int = Field(62, ge=1)
    """Epochs of a trial that is not stopped early; 62 is the end of a warm-restart cycle."""
    min_epochs: int = Field(6, ge=1)
    """Epochs before trials are compared; rungs are the ends of cycles from here on."""
    inner_folds: int = Field(0, ge=0)
    """Score trials by cross-validation on train and validation together, cut by location into this many parts, instead
    of on the validation split: a trial has a network without one part at the first rung, networks without further parts
    at later rungs, and one for each part at the last; 0 turns it off."""
    scheduler: Literal["pareto", "asha", "hyperband", "none"] = "pareto"
    """Which trials continue at a rung: `pareto` pauses trials and promotes along the Pareto front of all objectives, so
    that small networks survive next to large ones; `asha` and `hyperband` keep the most accurate and stop the others;
    `none` keeps all."""
    eta: int = Field(2, ge=2)
    """Reduction factor: at each rung about one trial in eta continues."""
    objectives: tuple[Objective, ...] | None = None
    """A score (macro_accuracy or log_loss), then costs (weight_bytes, nonzero_weight_bytes, macs); null means
    macro_accuracy, weight_bytes (nonzero_weight_bytes with `train.sparsity`), and macs if the rules limit them."""
    strategy: Literal["random", "reject", "repair", "front"] = "front"
    """How candidates are proposed: `front` maximizes the expected improvement of the Pareto front; `reject` and
    `repair` sample from Optuna's TPE, and resample or shrink candidates over the limit; `random` samples uniformly."""
    presets: tuple[str, ...] = ("cao2021-system1", "cao2021-system2", "cao2021-system3", "cao2021-system4")
    """Named networks to propose first, each as the nearest point of the space."""
    n_startup: int = Field(8, ge=1)
    """Random trials before the strategy's model proposes."""
    mode: ExportMode = "int8_weights"
    """Export mode in which trials are sized and scored."""
    cpus_per_trial: int = Field(1, ge=1)
    """Threads per trial."""
    gpus_per_trial: float = Field(0.0, ge=0.0)
    """GPUs per trial; with a fraction several trials share one, each taking the memory that it needs."""
    n_concurrent: int | None = Field(None, ge=1)
    """Trials trained at the same time; null means as many as there are processors for."""
    max_failures: int = Field(2, ge=0)
    """How often a trial whose process or node died is resumed at its last rung."""
    max_failed_share: float = Field(0.5, ge=0.0, le=1.0)
    """The search ends with a summary once more than this share of its trials, and at least five, have failed."""

    @field_validator("inner_folds")
    @classmethod
    def _several(cls, n_parts: int) -> int:
        if n_parts == 1:
            raise ValueError("must be 0 or at least 2: a single part leaves nothing to train on")
        return n_parts

    @field_validator("presets")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in PRESETS:
                raise ValueError(f"unknown network {name!r}; presets: {', '.join(PRESETS)}")
        return names

    @field_validator("objectives")
    @classmethod
    def _comparable(cls, names: tuple[Objective, ...] | None) -> tuple[Objective, ...] | None:
        return names if names is None else Objectives(names).names
