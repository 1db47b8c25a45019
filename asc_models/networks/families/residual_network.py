"""The report's kind of network: a stem, stages of residual blocks with attention, pooling, a classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from asc_models.networks.blocks import BLOCKS
from asc_models.networks.blocks.settings import BlockSettings
from asc_models.networks.network import (
    Activation,
    Network,
    NetworkConfig,
    Normalization,
    Shorthand,
    Stride,
    T,
    validate_stride,
)
from data_prep.schema import Config

Attention = Literal["none", "channel", "spatial", "casam"]
AttentionPlace = Literal["input", "block", "stage"]
Head = Literal["average", "max", "convolution"]

MAX_FILTERS = 1024
"""Widest block."""


class BlockConfig(Config):
    """One block; an inverted residual's skip stands where stride is 1 and the filters stay the same."""

    filters: int = Field(ge=1, le=MAX_FILTERS)
    """Channels that the block gives."""
    stride: Stride = 1
    """Step of its k × k convolution; a pair is (frequency, time)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        validate_stride(self.stride)
        return self


class StageConfig(BlockConfig):
    """Blocks of one width, one after the other; the first of them takes the stride."""

    repeats: int = Field(1, ge=1, le=24)
    """How many blocks."""


def _or_blocks(schema: dict[str, Any]) -> None:
    """Let the schema take `blocks` in the place of `stages`."""
    stages = {key: value for key, value in schema["properties"]["stages"].items() if key in ("type", "items")}
    schema["properties"]["blocks"] = {**stages, "description": "In the place of stages: one stage a block."}


class StagesShape(Shorthand):
    """The stages in four numbers."""

    field: ClassVar = "stages"
    choices: ClassVar = {
        "n_blocks": (3, 4, 5, 6),
        "base_filters": (16, 24, 32, 40, 48, 56),
        "growth": (1.0, 1.25, 1.5),
        "n_strided": (2, 3),
    }

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
        widest = self._filters(self.n_blocks - 1)
        if widest > MAX_FILTERS:
            raise ValueError(
                f"the widest block would have {widest} filters, at most {MAX_FILTERS} are allowed: lower the largest "
                f"base_filters ({self.base_filters}), growth ({self.growth}) or n_blocks ({self.n_blocks})"
            )
        return self

    def value(self) -> list[dict[str, Any]]:
        """Return the field `stages`, one block each."""
        return [
            {"filters": self._filters(index), "stride": 2 if index < self.n_strided else 1}
            for index in range(self.n_blocks)
        ]

    def _filters(self, index: int) -> int:
        """Return the filters of block `index` (from 0): base_filters × growth^index, to the nearest multiple of 8."""
        return max(8, 8 * int(self.base_filters * self.growth**index / 8 + 0.5))


class ModelConfig(NetworkConfig):
    """A lightweight residual network: stem, stages of blocks with attention, pooling, classifier.

    The report names the parts and leaves widths, strides, expansion, r and the places of attention open; the presets
    (asc_models/networks/presets.py) document what they assume. `blocks: [{filters, stride}, …]` may stand for `stages`:
    one stage a block.
    """

    model_config = ConfigDict(json_schema_extra=_or_blocks)

    choices: ClassVar = {
        "stem_filters": (16, 24, 32),
        "kernel_size": (3, 5),
        "expansion": (2, 3, 4),
        "attention": get_args(Attention),
        "reduction_ratio": (4, 8, 16),
        "dropout": (0.0, 0.2),
    }
    without_effect: ClassVar = {
        "reduction_ratio": {"attention": ("none", "spatial")},
        "spatial_kernel_size": {"attention": ("none", "channel")},
        "attention_at": {"attention": ("none",)},
    }
    shorthand: ClassVar = StagesShape

    family: Literal["inverted_residual"] = "inverted_residual"
    """Which network this describes."""
    input_norm: bool = False
    """Batch-normalize the input by channel: log-mel and its deltas have different ranges."""
    stem_filters: int = Field(32, ge=1, le=512)
    """Channels of the first convolution (3 × 3)."""
    stem_stride: Stride = 2
    """Step of the first convolution; a pair is (frequency, time)."""
    stages: tuple[StageConfig, ...] = Field(
        (StageConfig(filters=32, stride=2), StageConfig(filters=40, stride=2), StageConfig(filters=48, stride=2)),
        max_length=24,
    )
    """The stages, first to last."""
    block: str = "inverted_residual"
    """Kind of the blocks: a name in asc_models.networks.blocks."""
    kernel_size: Literal[3, 5] = 3
    """Side of every block's kernel (the depthwise one, in an inverted residual)."""
    expansion: int = Field(2, ge=1, le=12)
    """Factor by which an inverted residual widens its input before the depthwise convolution (1 leaves that layer out);
    in a residual block, by which the map between its two convolutions is wider than its output."""
    attention: Attention = "casam"
    """CASAM is channel attention, then spatial attention."""
    attention_at: AttentionPlace = "block"
    """Where attention stands: on the input, behind every block, or behind every stage."""
    reduction_ratio: int = Field(8, ge=1, le=64)
    """r of channel attention: its hidden layer has max(1, C // r) neurons."""
    spatial_kernel_size: int = Field(7, ge=1, le=15)
    """Side of spatial attention's kernel; odd."""
    activation: Activation = "relu"
    """Behind every convolution but the projections."""
    normalization: Normalization = "batch"
    """Behind every convolution; without it the convolutions have biases."""
    head: Head = "average"
    """How scenes come of the last map: its average or maximum through a dense layer, or a 1 × 1 convolution to one
    channel a scene, averaged."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the features before the classifier dropped in training."""

    @model_validator(mode="before")
    @classmethod
    def _blocks_are_stages(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "blocks" not in data:
            return data
        if "stages" in data:
            raise ValueError("name either stages or blocks, not both")
        others = {key: value for key, value in data.items() if key != "blocks"}
        blocks = data["blocks"]
        if isinstance(blocks, (list, tuple)):
            blocks = [block.model_dump() if isinstance(block, BlockConfig) else block for block in blocks]
        return {**others, "stages": blocks}

    @field_validator("stages")
    @classmethod
    def _some(cls, stages: tuple[StageConfig, ...]) -> tuple[StageConfig, ...]:
        if not stages:
            raise ValueError("a network needs one block at least, such as stages: [{filters: 32, stride: 2}]")
        return stages

    @field_validator("block")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in BLOCKS:
            raise ValueError(f"no block is called that; there are {', '.join(BLOCKS)}")
        return name

    @model_validator(mode="after")
    def _check(self) -> Self:
        validate_stride(self.stem_stride)
        if self.spatial_kernel_size % 2 == 0:
            raise ValueError(
                f"spatial_kernel_size must be odd, so that the map keeps its size: got {self.spatial_kernel_size}, "
                f"take {self.spatial_kernel_size - 1} or {self.spatial_kernel_size + 1}"
            )
        return self

    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits of the input `x`."""
        if self.input_norm:
            x = net.norm(x, "input_norm")
        if self.attention_at == "input":
            x = self._attend(net, x, "input")
        x = net.conv(
            x,
            "stem",
            self.stem_filters,
            3,
            stride=self.stem_stride,
            normalization=self.normalization,
            activation=self.activation,
        )
        assemble_block = BLOCKS[self.block]
        for name, settings, ends_stage in self._blocks():
            x = assemble_block(net, x, name, settings)
            if self.attention_at == "block" or (ends_stage and self.attention_at == "stage"):
                x = self._attend(net, x, name)
        if self.head == "convolution":
            x = net.dropout(x, "dropout", self.dropout)
            x = net.conv(x, "classifier", n_classes, 1, normalization=self.normalization, activation="none")
            return net.global_pool(x, "logits")
        x = net.dropout(net.global_pool(x, "pool", self.head), "dropout", self.dropout)
        return net.classifier(x, n_classes)

    def _blocks(self) -> Iterator[tuple[str, BlockSettings, bool]]:
        """Yield every block's name and settings, and whether its stage ends there."""
        number = 0
        for stage in self.stages:
            for repeat in range(stage.repeats):
                number += 1
                stride = 1 if repeat else stage.stride
                yield (
                    f"block{number}",
                    BlockSettings(
                        stage.filters, stride, self.kernel_size, self.expansion, self.normalization, self.activation
                    ),
                    repeat == stage.repeats - 1,
                )

    def _attend(self, net: Network[T], x: T, name: str) -> T:
        """Return `x` scaled by channel attention, then by spatial attention (CBAM: Woo et al. 2018), as configured."""
        if self.attention in ("channel", "casam"):
            x = net.channel_attention(x, f"{name}_channel_attention", self.reduction_ratio)
        if self.attention in ("spatial", "casam"):
            x = net.spatial_attention(x, f"{name}_spatial_attention", self.spatial_kernel_size)
        return x
