"""Descriptions of a network, of its training, and of its export. Defaults are the seed report's settings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from data_prep.schema import Config

Attention = Literal["none", "channel", "spatial", "casam"]
ExportMode = Literal["float32", "float16", "int8_weights"]
EXPORT_MODES: tuple[ExportMode, ...] = ("float32", "float16", "int8_weights")

CheckpointMetric = Literal["macro_accuracy", "log_loss"]
"""What the best epoch of a training is best in."""

Stride = int | tuple[int, int]
"""Step of a convolution; a pair is (frequency, time)."""


def validate_stride(stride: Stride) -> None:
    """Raise ValueError unless `stride` is 1 to 4 in each direction."""
    for step in stride_pair(stride):
        if not 1 <= step <= 4:
            raise ValueError(f"a stride must be 1 to 4, or a pair (frequency, time) of such, got {stride}")


def stride_pair(stride: Stride) -> tuple[int, int]:
    """Return `stride` as (frequency, time)."""
    return stride if isinstance(stride, tuple) else (stride, stride)


class BlockConfig(Config):
    """One inverted residual block; its skip stands where stride is 1 and the filters stay the same."""

    filters: int = Field(ge=1, le=1024)
    """Channels that the block gives."""
    stride: Stride = 1
    """Step of its depthwise convolution; a pair is (frequency, time)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        validate_stride(self.stride)
        return self


class ModelConfig(Config):
    """A lightweight residual network: stem, inverted residual blocks with attention, pooling, classifier.

    The report names the parts and leaves widths, strides, expansion, r and the places of attention open; the presets
    (asc_models/presets.py) document what they assume.
    """

    family: Literal["inverted_residual"] = "inverted_residual"
    """Which builder reads this description."""
    stem_filters: int = Field(32, ge=1, le=512)
    """Channels of the first convolution (3 × 3)."""
    stem_stride: Stride = 2
    """Step of the first convolution; a pair is (frequency, time)."""
    blocks: tuple[BlockConfig, ...] = Field(
        (BlockConfig(filters=32, stride=2), BlockConfig(filters=40, stride=2), BlockConfig(filters=48, stride=2)),
        min_length=1,
        max_length=24,
    )
    """The inverted residual blocks, first to last."""
    kernel_size: Literal[3, 5] = 3
    """Side of every depthwise kernel."""
    expansion: int = Field(2, ge=1, le=12)
    """Factor by which a block widens its input before the depthwise convolution; 1 leaves that layer out."""
    attention: Attention = "casam"
    """What follows each block: CASAM is channel attention, then spatial attention."""
    reduction_ratio: int = Field(8, ge=1, le=64)
    """r of channel attention: its hidden layer has max(1, C // r) neurons."""
    spatial_kernel_size: int = Field(7, ge=1, le=15)
    """Side of spatial attention's kernel; odd."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the pooled features dropped before the classifier, in training."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        validate_stride(self.stem_stride)
        if self.spatial_kernel_size % 2 == 0:
            raise ValueError(f"spatial_kernel_size must be odd, got {self.spatial_kernel_size}")
        return self


class BaselineConfig(Config):
    """The organisers' convolutional baseline of DCASE 2021 Task 1A (46,246 parameters on 40 × 500 × 1)."""

    family: Literal["dcase_baseline"] = "dcase_baseline"
    """Which builder reads this description."""
    filters: tuple[int, int, int] = (16, 16, 32)
    """Channels of the three 7 × 7 convolutions."""
    dense_units: int = Field(100, ge=1)
    """Neurons of the hidden dense layer."""
    pools: tuple[tuple[int, int], tuple[int, int]] = ((5, 5), (4, 100))
    """Max pooling behind the second and the third convolution, (frequency, time)."""
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    """Share dropped behind both poolings and the hidden layer, in training."""


class TrainConfig(Config):
    """The seed's recipe: SGD with warm restarts, mixup over adjacent batches, random crops."""

    epochs: int = Field(600, ge=1)
    """Length of the training; the rate is lowest at 2, 6, 14, 30, 62, 126, 254, 510."""
    batch_size: int = Field(16, ge=1)
    """Examples in a step; with mixup each step draws two batches and makes one."""
    learning_rate: float = Field(0.1, gt=0.0)
    """Rate at the start of every cycle."""
    min_learning_rate: float = Field(1e-5, ge=0.0)
    """Rate at the end of every cycle."""
    momentum: float = Field(0.9, ge=0.0, lt=1.0)
    """Momentum of SGD."""
    weight_decay: float = Field(0.0, ge=0.0)
    """L2 penalty on kernels: half of this times the sum of squares is added to the loss."""
    first_cycle: int = Field(2, ge=1)
    """Epochs of the first cosine cycle."""
    cycle_factor: int = Field(2, ge=1)
    """Each cycle is this much longer than the one before."""
    mixup_alpha: float = Field(0.4, ge=0.0)
    """α of mixup's Beta(α, α), drawn per example; 0 turns it off."""
    crop_fraction: float = Field(400 / 423, gt=0.0, le=1.0)
    """Share of the frames that a training example keeps, at a random place."""
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the target that is spread evenly over the classes."""
    time_roll: bool = False
    """Roll every training example by a random number of frames, the end coming back at the start."""
    frequency_shift: int = Field(0, ge=0)
    """Move every training example up or down by at most this many mel bands, as another pitch would; 0 turns it off."""
    time_stretch: float = Field(1.0, ge=1.0, le=4.0)
    """Play every training example at a speed between 1/this and this, on the features; 1 turns it off."""
    frequency_mask: int = Field(0, ge=0)
    """SpecAugment: one frequency mask of fewer than this many bins; 0 turns it off (the recipe's is 13)."""
    time_mask: int = Field(0, ge=0)
    """SpecAugment: one time mask of fewer than this many frames; 0 turns it off (the recipe's is 40)."""
    freq_mixstyle_p: float = Field(0.0, ge=0.0, le=1.0)
    """Probability that Freq-MixStyle mixes a batch's per-band statistics; 0 turns it off."""
    freq_mixstyle_alpha: float = Field(0.3, gt=0.0)
    """α of Freq-MixStyle's Beta(α, α)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate must not exceed learning_rate: {self.min_learning_rate} > {self.learning_rate}"
            )
        return self
