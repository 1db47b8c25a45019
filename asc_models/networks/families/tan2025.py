"""The CNN-GRU of team SNTL-NTU at DCASE 2025 Task 1.

E.-L. Tan, J. W. Yeow, S. Peksi, H. Li, Z. Yang, W.-S. Gan: "Acoustic scene classification using CNN-GRU model without
knowledge distillation", technical report, DCASE 2025 Task 1, arXiv 2509.09931; github.com/joesephgit/DCASE2025.

A stem of two convolutions, a k × 1 and a 1 × k convolution; two equal paths, one after max and one after average
pooling, each of a 1 × 1, a k × 1 and a 1 × k convolution with squeeze and excitation; both poolings again, of both
paths, mixed by learned scalars; a 1 × 1 convolution with a skip, channel shuffle, a strided k × 1 convolution and a
k × 1 convolution to a few channels. A gated recurrent unit reads these channels, not the frames: each step is a
channel, described by its mean over time in every band. The mean of each state, mixed with the channel's mean by one
more scalar, goes to the classifier.

The published figures are 58,171 parameters, in float16 116,342 bytes, and 10,902,300 MACs. They include the two trained
values per channel of batch norm, and two biases per gate of the recurrent unit. Two biases of the reset and update
gates are only added to each other, so here these gates have one, which is 2 · 64 values less. Exported, the unit is
unrolled over its 28 steps, with one copy of its weights. The authors pad both edges equally, whereas 'same' padding
pads the later edge first. Shapes are the same.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from asc_models.networks.network import Network, NetworkConfig, Pooling, T


class Tan2025Config(NetworkConfig):
    """CNN-GRU of SNTL-NTU, DCASE 2025. Defaults give the network of their first system."""

    choices: ClassVar = {
        "base_channels": (16, 20, 24, 28, 32),
        "channels_multiplier": (1.25, 1.5, 1.75, 2.0),
        "head_channels": (20, 28, 36),
        "gru_units": (0, 32, 48, 64),
    }
    without_effect: ClassVar = {"gru_dropout": {"gru_units": (0,)}}

    family: Literal["tan2025"] = "tan2025"
    """Network family."""
    stem_channels: int = Field(7, ge=1, le=64)
    """Output channels of the first convolution (3 × 3)."""
    base_channels: int = Field(24, ge=4, le=256)
    """Output channels of the stem; a multiple of 4."""
    channels_multiplier: float = Field(1.5, ge=1.0, le=4.0)
    """Channels of each path relative to `base_channels`, rounded down to an even number."""
    expansion: int = Field(2, ge=1, le=4)
    """Factor by which the k × 1 convolution widens each path, and once more after the paths."""
    head_channels: int = Field(28, ge=2, le=64)
    """Channels before the classifier, which the recurrent unit reads one after another. The authors use a fifth of
    those of the widest map."""
    kernel_size: Literal[3, 5, 7] = 5
    """Kernel size k after the stem; in the stem it is 3."""
    reduction_ratio: int = Field(2, ge=1, le=64)
    """r of squeeze and excitation; its hidden layer has max(1, C // r) units for C channels."""
    gru_units: int = Field(64, ge=0, le=256)
    """Size of the recurrent unit's state; 0 omits the unit."""
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    """Dropout rate of whole channels before the last convolution."""
    gru_dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Dropout rate of the recurrent unit's steps."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.base_channels % 4:
            raise ValueError(f"base_channels must be a multiple of 4, got {self.base_channels}")
        return self

    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits of the input `x`."""
        x = self._stem(net, x)
        average = net.keep(net.pool(x, "average_pool", "average", (2, 2)))
        maximum = net.keep(self._path(net, net.pool(x, "max_pool", "max", (2, 2)), "max"))
        average = self._path(net, average, "average")
        x = self._mixed(net, maximum, average)
        skip = net.keep(x)
        x = net.conv(x, "merge", net.n_channels(x), 1, activation="none")
        x = net.add(x, skip, "merge_skip")
        x = net.shuffle(x, "merge_shuffle", net.n_channels(x) // 2)
        k = self.kernel_size
        x = net.depthwise(x, "widen", (k, 1), stride=(2, 1), multiplier=self.expansion, activation="swish")
        x = net.dropout(x, "dropout", self.dropout, by_channel=True)
        x = net.conv(x, "head", self.head_channels, (k, 1), activation="swish")
        mean = net.global_pool(x, "head_mean")
        if self.gru_units:
            states = net.channel_gru(x, "gru", self.gru_units)
            mean = net.mix(mean, net.dropout(states, "gru_dropout", self.gru_dropout), "gru_mix")
        return net.classifier(net.activate(mean, "head_out", "swish"), n_classes)

    def _stem(self, net: Network[T], x: T) -> T:
        half = self.base_channels // 2
        x = net.conv(x, "stem1", self.stem_channels, 3, activation="none")
        x = net.conv(x, "stem2", half, 1, activation="none")
        x = net.shuffle(x, "stem_shuffle", half // 2)
        x = net.depthwise(x, "stem_frequency", (3, 1), multiplier=2, activation="none")
        x = net.conv(x, "stem_time", self.base_channels, (1, 3), groups=half, activation="swish")
        return net.squeeze_excite(x, "stem_excite", self.reduction_ratio)

    def _path(self, net: Network[T], x: T, name: str) -> T:
        width = max(2, int(self.base_channels * self.channels_multiplier) // 2 * 2)
        k = self.kernel_size
        x = net.conv(x, f"{name}_widen", width, 1, activation="none")
        x = net.depthwise(x, f"{name}_frequency", (k, 1), multiplier=self.expansion, activation="none")
        x = net.depthwise(x, f"{name}_time", (1, k), stride=2, activation="swish")
        return net.squeeze_excite(x, f"{name}_excite", self.reduction_ratio)

    def _mixed(self, net: Network[T], maximum: T, average: T) -> T:
        """Return both paths, each pooled in both ways, as one map."""
        kinds: tuple[Pooling, Pooling] = ("max", "average")
        max_max, max_average = (net.pool(maximum, f"max_{kind}_pool", kind, (2, 2)) for kind in kinds)
        average_max, average_average = (net.pool(average, f"average_{kind}_pool", kind, (2, 2)) for kind in kinds)
        average = net.mix(average_average, max_average, "average_mix")
        maximum = net.mix(max_max, average_max, "max_mix")
        return net.mix(average, maximum, "mix")
