"""What is special to a family of networks in a space: its shape in a few numbers, its default knobs."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from data_prep.augment.registry import WHILE_TRAINING
from data_prep.schema import Config

MAX_FILTERS = 1024
"""Widest block that a network's description takes."""


class StagesShape(Config):
    """The stages of an inverted_residual network in four numbers."""

    n_blocks: int = Field(3, ge=1, le=24)
    """Inverted residual blocks, each a stage of its own."""
    base_filters: int = Field(32, ge=1, le=512)
    """Filters of the first block."""
    growth: float = Field(1.25, ge=1.0, le=3.0)
    """Factor from one block's filters to the next one's, rounded to a multiple of 8; at least 1, so that widths never
    fall."""
    n_strided: int = Field(2, ge=0, le=24)
    """How many of the first blocks have stride 2."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        widest = block_filters(self.base_filters, self.growth, self.n_blocks - 1)
        if widest > MAX_FILTERS:
            raise ValueError(
                f"the widest block would have {widest} filters, at most {MAX_FILTERS} are allowed: lower the largest "
                f"base_filters ({self.base_filters}), growth ({self.growth}) or n_blocks ({self.n_blocks})"
            )
        return self

    def stages(self) -> list[dict[str, Any]]:
        """Return the field `stages` of the network."""
        return [
            {
                "filters": block_filters(self.base_filters, self.growth, index),
                "stride": 2 if index < self.n_strided else 1,
            }
            for index in range(self.n_blocks)
        ]


SHAPED = "inverted_residual"
"""The family whose stages `StagesShape` describes."""


SHAPE = frozenset(StagesShape.model_fields)
"""Names of its numbers."""


def block_filters(base_filters: int, growth: float, index: int) -> int:
    """Return the filters of block `index` (from 0): base_filters × growth^index, to the nearest multiple of 8."""
    return max(8, 8 * int(base_filters * growth**index / 8 + 0.5))


def is_shape(family: str, name: str) -> bool:
    """Return whether `name` is one of the numbers that describe the stages."""
    return family == SHAPED and name in SHAPE


DEFAULT_SHAPE: dict[str, tuple[Any, ...]] = {
    "n_blocks": (3, 4, 5, 6),
    "base_filters": (16, 24, 32, 40, 48, 56),
    "growth": (1.0, 1.25, 1.5),
    "n_strided": (2, 3),
}
"""Choices of the stages' numbers, unless `stages` is a knob itself."""


DEFAULTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "inverted_residual": {
        "stem_filters": (16, 24, 32),
        "kernel_size": (3, 5),
        "expansion": (2, 3, 4),
        "attention": ("none", "channel", "spatial", "casam"),
        "reduction_ratio": (4, 8, 16),
        "dropout": (0.0, 0.2),
    },
    "cp_mobile": {
        "base_channels": (8, 16, 24, 32),
        "channels_multiplier": (1.25, 1.5, 1.75, 2.0),
        "expansion_rate": (1.5, 1.75, 2.0, 2.5),
    },
}
"""{family: {knob: choices}} that a space has unless it names others; they lie around the published networks."""


WITHOUT_EFFECT: dict[str, dict[str, tuple[Any, ...]]] = {
    "reduction_ratio": {"attention": ("none", "spatial")},
    "spatial_kernel_size": {"attention": ("none", "channel")},
    "attention_at": {"attention": ("none",)},
    **{
        f"train.{setting}": {f"train.{switch}": (entry.off,) for switch in entry.switches}
        for entry in WHILE_TRAINING
        if len(entry.switches) == 1  # with two, either gives a setting its effect, which no condition can say
        for setting in entry.settings
    },
}
"""{knob: {other knob: values of it with which the first has no effect}}, whether or not the space says so."""
