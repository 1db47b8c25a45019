"""What the search is told: the choices of every knob, and how the trials are spent."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from asc_models.config import ExportMode
from asc_models.families import Attention
from asc_models.network import Stride, stride_pair, validate_stride
from data_prep.schema import Config
from search.objectives import Objective, Objectives

MAX_FILTERS = 1024
"""Widest block that a network's description takes."""


def block_filters(base_filters: int, growth: float, index: int) -> int:
    """Return the filters of block `index` (from 0): base_filters × growth^index, to the nearest multiple of 8."""
    return max(8, 8 * int(base_filters * growth**index / 8 + 0.5))


class SpaceConfig(Config):
    """Section `space`: the choices of each knob; a knob with one choice is fixed. Defaults lie around the seed's."""

    stem_filters: tuple[Annotated[int, Field(ge=1, le=512)], ...] = (16, 24, 32)
    """Channels of the first convolution."""
    stem_stride: tuple[Stride, ...] = (2,)
    """Step of the first convolution; a pair is (frequency, time)."""
    n_blocks: tuple[Annotated[int, Field(ge=1, le=24)], ...] = (3, 4, 5, 6)
    """Inverted residual blocks."""
    base_filters: tuple[Annotated[int, Field(ge=1, le=512)], ...] = (16, 24, 32, 40, 48, 56)
    """Filters of the first block."""
    growth: tuple[Annotated[float, Field(ge=1.0, le=3.0)], ...] = (1.0, 1.25, 1.5)
    """Factor from one block's filters to the next one's, rounded to a multiple of 8."""
    n_strided: tuple[Annotated[int, Field(ge=0, le=24)], ...] = (2, 3)
    """How many of the first blocks have stride 2."""
    kernel_size: tuple[Literal[3, 5], ...] = (3, 5)
    """Side of the depthwise kernels."""
    expansion: tuple[Annotated[int, Field(ge=1, le=12)], ...] = (2, 3, 4)
    """Factor by which a block widens its input."""
    reduction_ratio: tuple[Annotated[int, Field(ge=1, le=64)], ...] = (4, 8, 16)
    """r of channel attention."""
    attention: tuple[Attention, ...] = ("none", "channel", "spatial", "casam")
    """What follows each block."""
    dropout: tuple[Annotated[float, Field(ge=0.0, lt=1.0)], ...] = (0.0, 0.2)
    """Share of the pooled features dropped before the classifier, in training."""

    @field_validator("*", mode="before")
    @classmethod
    def _one_is_a_list(cls, choices: Any) -> Any:
        return choices if isinstance(choices, (list, tuple)) else (choices,)

    @field_validator("*")
    @classmethod
    def _ordered(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        if not choices:
            raise ValueError("needs one choice at least")
        if len(set(choices)) != len(choices):
            raise ValueError(f"names a choice twice: {list(choices)}")
        return choices if isinstance(choices[0], str) else tuple(sorted(choices, key=ordinal))

    @model_validator(mode="after")
    def _check(self) -> Self:
        for stride in self.stem_stride:
            validate_stride(stride)
        widest = block_filters(self.base_filters[-1], self.growth[-1], self.n_blocks[-1] - 1)
        if widest > MAX_FILTERS:
            raise ValueError(
                f"the widest block would have {widest} filters, at most {MAX_FILTERS} are allowed: lower the largest "
                f"base_filters ({self.base_filters[-1]}), growth ({self.growth[-1]}) or n_blocks ({self.n_blocks[-1]})"
            )
        return self


def ordinal(choice: Any) -> float:
    """Return where a numeric choice stands in its knob's order; a stride counts by the positions it leaves out."""
    if isinstance(choice, tuple):
        frequency, time = stride_pair(choice)
        return math.sqrt(frequency * time)
    return float(choice)


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
    n_startup: int = Field(8, ge=1)
    """Trials drawn at random before the model of the space proposes."""
    mode: ExportMode = "int8_weights"
    """Export in which trials are held against the limit and scored."""
    cpus_per_trial: int = Field(1, ge=1)
    """Threads of a trial."""
    n_concurrent: int | None = Field(None, ge=1)
    """Trials side by side; null means as many as the processors carry."""
    max_failures: int = Field(2, ge=0)
    """How often a trial whose process or node died is taken up again at its last rung."""
    max_failed_share: float = Field(0.5, ge=0.0, le=1.0)
    """The search ends, with a summary, once more than this share of its trials has failed (and five at least)."""

    @field_validator("objectives")
    @classmethod
    def _comparable(cls, names: tuple[Objective, ...] | None) -> tuple[Objective, ...] | None:
        return names if names is None else Objectives(names).names
