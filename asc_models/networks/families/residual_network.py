"""The paper's kind of network: a stem, stages of residual blocks with attention, pooling, a classifier."""

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
AttentionPosition = Literal["input", "block", "stage"]
Head = Literal["average", "max", "mean_max", "attention", "convolution"]

MAX_FILTERS = 1024
"""Largest number of filters of a block."""


class BlockConfig(Config):
    """One block. It has a skip connection if its stride is 1 and its filters equal its input channels."""

    filters: int = Field(ge=1, le=MAX_FILTERS)
    """Output channels of the block."""
    stride: Stride = 1
    """Stride of the k × k convolution; a pair is (frequency, time)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        validate_stride(self.stride)
        return self


class StageConfig(BlockConfig):
    """A sequence of blocks of one width; the first block has the stride, the others stride 1."""

    repeats: int = Field(1, ge=1, le=24)
    """Number of blocks."""


def _or_blocks(schema: dict[str, Any]) -> None:
    """Let the JSON schema accept `blocks` instead of `stages`."""
    stages = {key: value for key, value in schema["properties"]["stages"].items() if key in ("type", "items")}
    schema["properties"]["blocks"] = {**stages, "description": "Alternative to stages: one stage per block."}


class StagesShape(Shorthand):
    """Four numbers that define all stages."""

    field: ClassVar = "stages"
    choices: ClassVar = {
        "n_blocks": (3, 4, 5, 6),
        "base_filters": (16, 24, 32, 40, 48, 56),
        "growth": (1.0, 1.25, 1.375, 1.5),  # 1.375 gives the widths of the paper's systems as presets assume them
        "n_strided": (2, 3),
    }

    n_blocks: int = Field(3, ge=1, le=24)
    """Number of inverted residual blocks; each is a separate stage."""
    base_filters: int = Field(32, ge=1, le=512)
    """Filters of the first block."""
    growth: float = Field(1.25, ge=1.0, le=3.0)
    """Factor from the filters of one block to those of the next, rounded to a multiple of 8. At least 1, so widths
    never decrease."""
    n_strided: int = Field(2, ge=0, le=24)
    """Number of blocks with stride 2, counted from the first."""

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
        """Return the field `stages`, one block per stage."""
        return [
            {"filters": self._filters(index), "stride": 2 if index < self.n_strided else 1}
            for index in range(self.n_blocks)
        ]

    def _filters(self, index: int) -> int:
        """Return the filters of block `index` (from 0): base_filters × growth^index, to the nearest multiple of 8."""
        return max(8, 8 * int(self.base_filters * self.growth**index / 8 + 0.5))


class ModelConfig(NetworkConfig):
    """A lightweight residual network: stem, stages of blocks with attention, pooling, classifier.

    The paper does not state widths, strides, expansion, r or the positions of attention; the presets
    (asc_models/networks/presets.py) document what they assume. `blocks: [{filters, stride}, …]` may replace `stages`
    and defines one stage per block.
    """

    ADDED = frozenset({"projection_activation", "depthwise_branches"})

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
        "projection_activation": {"block": ("residual",)},
        "depthwise_branches": {"block": ("residual",)},
    }
    shorthand: ClassVar = StagesShape

    family: Literal["inverted_residual"] = "inverted_residual"
    """Network family."""
    input_norm: bool = False
    """Batch-normalize each input channel, since log-mel and its deltas have different ranges."""
    stem_filters: int = Field(32, ge=1, le=512)
    """Output channels of the first convolution (3 × 3)."""
    stem_stride: Stride = 2
    """Stride of the first convolution; a pair is (frequency, time)."""
    stages: tuple[StageConfig, ...] = Field(
        (StageConfig(filters=32, stride=2), StageConfig(filters=40, stride=2), StageConfig(filters=48, stride=2)),
        max_length=24,
    )
    """Stages, from first to last."""
    block: str = "inverted_residual"
    """Block type: a name in asc_models.networks.blocks."""
    kernel_size: Literal[3, 5] = 3
    """Kernel size of the blocks (of the depthwise convolution in an inverted residual block)."""
    expansion: int = Field(2, ge=1, le=12)
    """Inverted residual block: factor by which the input is widened before the depthwise convolution; 1 omits the
    widening layer. Residual block: width between the two convolutions, relative to the output."""
    attention: Attention = "casam"
    """Attention type; `casam` is channel attention followed by spatial attention."""
    attention_at: AttentionPosition = "block"
    """Where attention is applied: to the input, after every block, or after every stage."""
    reduction_ratio: int = Field(8, ge=1, le=64)
    """r of channel attention; its hidden layer has max(1, C // r) units for C channels."""
    spatial_kernel_size: int = Field(7, ge=1, le=15)
    """Kernel size of spatial attention; odd."""
    activation: Activation = "relu"
    """Activation after every convolution except the projections."""
    projection_activation: bool = False
    """Inverted residual block: apply the activation after the projection, too. The paper's text reads so, "ReLU after
    every batch normalization"; MobileNetV2, which it follows, has linear projections."""
    depthwise_branches: int = Field(0, ge=0, le=4)
    """Inverted residual block: train the depthwise convolution as the sum of so many convolutions and, with stride 1,
    its input, each with a batch norm, and fold them into one for inference, without more bytes (Ding et al. 2021, arXiv
    2101.03697; Vasu et al. 2023, arXiv 2206.04040). 0: a single convolution."""
    normalization: Normalization = "batch"
    """Normalization after every convolution; with `none` the convolutions have biases."""
    head: Head = "average"
    """Classifier: global pooling followed by a dense layer, or `convolution`, a 1 × 1 convolution to one channel per
    scene, averaged over the map. The pooling is `average`, `max`, `mean_max`, the sum of both (Kong et al. 2020, arXiv
    1912.10211), or `attention`, a mean weighted by a linear score of each position (Lin et al. 2017, arXiv 1703.03130,
    with one head)."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout rate before the classifier."""

    @model_validator(mode="before")
    @classmethod
    def _blocks_are_stages(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "blocks" not in data:
            return data
        if "stages" in data:
            raise ValueError("give either stages or blocks, not both")
        others = {key: value for key, value in data.items() if key != "blocks"}
        blocks = data["blocks"]
        if isinstance(blocks, (list, tuple)):
            blocks = [block.model_dump() if isinstance(block, BlockConfig) else block for block in blocks]
        return {**others, "stages": blocks}

    @field_validator("stages")
    @classmethod
    def _some(cls, stages: tuple[StageConfig, ...]) -> tuple[StageConfig, ...]:
        if not stages:
            raise ValueError("a network needs at least one block, such as stages: [{filters: 32, stride: 2}]")
        return stages

    @field_validator("block")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in BLOCKS:
            raise ValueError(f"unknown block; known: {', '.join(BLOCKS)}")
        return name

    @model_validator(mode="after")
    def _check(self) -> Self:
        validate_stride(self.stem_stride)
        if self.depthwise_branches and self.normalization != "batch":
            raise ValueError(
                f"depthwise_branches {self.depthwise_branches} needs normalization: batch; without norms "
                "branches are a single convolution: set depthwise_branches: 0"
            )
        if self.spatial_kernel_size % 2 == 0:
            raise ValueError(
                f"spatial_kernel_size must be odd, so that the map keeps its size: got {self.spatial_kernel_size}, use "
                f"{self.spatial_kernel_size - 1} or {self.spatial_kernel_size + 1}"
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
        return net.classifier(net.dropout(self._pooled(net, x), "dropout", self.dropout), n_classes)

    def _pooled(self, net: Network[T], x: T) -> T:
        """Return one value per channel."""
        if self.head == "attention":
            return net.attentive_pool(x, "pool")
        if self.head == "mean_max":
            mean = net.keep(net.global_pool(x, "pool_mean"))
            return net.add(net.global_pool(x, "pool_max", "max"), mean, "pool")
        return net.global_pool(x, "pool", "max" if self.head == "max" else "average")

    def _blocks(self) -> Iterator[tuple[str, BlockSettings, bool]]:
        """Yield each block's name, its settings, and whether it is the last of its stage."""
        number = 0
        for stage in self.stages:
            for repeat in range(stage.repeats):
                number += 1
                stride = 1 if repeat else stage.stride
                yield (
                    f"block{number}",
                    BlockSettings(
                        stage.filters,
                        stride,
                        self.kernel_size,
                        self.expansion,
                        self.normalization,
                        self.activation,
                        self.projection_activation,
                        self.depthwise_branches,
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
