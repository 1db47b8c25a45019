"""What the search is told: how the trials are spent (search/space/config.py: what is searched)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from asc_models.config import ExportMode
from asc_models.networks.presets import PRESETS
from data_prep.schema import Config
from search.objectives import Objective, Objectives


class SearchConfig(Config):
    """Section `search`: how many trials, how long, and when one is stopped early."""

    n_trials: int = Field(64, ge=1)
    """Candidates that are trained; proposals over the limit are not trained and don't count."""
    seed: int = Field(0, ge=0)
    """Seed of the proposals and of every trial's training."""
    epochs: int = Field(62, ge=1)
    """Epochs of a trial that is never stopped; 62 is the end of a warm-restart cycle."""
    min_epochs: int = Field(6, ge=1)
    """No trial is compared before it has trained this long; rungs are the ends of cycles from here on."""
    scheduler: Literal["pareto", "asha", "hyperband", "none"] = "pareto"
    """Who trains on at a rung: `pareto` pauses trials and promotes along the front of all objectives, so that small
    networks survive beside large ones; `asha` and `hyperband` stop all but the most accurate; `none` stops nobody."""
    eta: int = Field(2, ge=2)
    """Reduction factor: at each rung about one trial in eta goes on."""
    objectives: tuple[Objective, ...] | None = None
    """A score (macro_accuracy or log_loss), then costs (weight_bytes, macs); null means macro_accuracy, weight_bytes,
    and macs where the rules limit them."""
    strategy: Literal["random", "reject", "repair", "front"] = "front"
    """How candidates are proposed: `front` trains next what is expected to push the front out most; `reject` and
    `repair` draw from Optuna's TPE, and draw again or shrink what is over the limit; `random` draws at random."""
    presets: tuple[str, ...] = ("cao2021-system1", "cao2021-system2", "cao2021-system3", "cao2021-system4")
    """Named networks to begin with, each as the point of the space that is nearest to it."""
    n_startup: int = Field(8, ge=1)
    """Trials drawn at random before the model of the space proposes."""
    mode: ExportMode = "int8_weights"
    """Export in which trials are held against the limit and scored."""
    cpus_per_trial: int = Field(1, ge=1)
    """Threads of a trial."""
    gpus_per_trial: float = Field(0.0, ge=0.0)
    """GPUs of a trial; with a fraction several share one, each taking the memory that it needs."""
    n_concurrent: int | None = Field(None, ge=1)
    """Trials side by side; null means as many as the processors carry."""
    max_failures: int = Field(2, ge=0)
    """How often a trial whose process or node died is taken up again at its last rung."""
    max_failed_share: float = Field(0.5, ge=0.0, le=1.0)
    """The search ends, with a summary, once more than this share of its trials has failed (and five at least)."""

    @field_validator("presets")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in PRESETS:
                raise ValueError(f"no network is called {name!r}; there are {', '.join(PRESETS)}")
        return names

    @field_validator("objectives")
    @classmethod
    def _comparable(cls, names: tuple[Objective, ...] | None) -> tuple[Objective, ...] | None:
        return names if names is None else Objectives(names).names
