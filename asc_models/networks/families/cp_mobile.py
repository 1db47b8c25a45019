"""CP-Mobile, the network of DCASE 2023 Task 1's winner.

F. Schmid, T. Morocutti, S. Masoudian, K. Koutini, G. Widmer: "Distilling the knowledge of transformers and CNNs with
CP-Mobile", DCASE Workshop 2023. Two strided 3 × 3 convolutions; three stages of inverted residual blocks, each with
global response normalization (Woo et al. 2023, with one γ and one β per block) and an activation after the sum; a
1 × 1 convolution with batch norm to one channel per scene, averaged over the map. The skip of a strided block that
keeps its width is an average pooling. With `response_norm: false` and other strides this is the baseline of DCASE 2024
Task 1.

The authors pad both edges equally, whereas 'same' padding pads the later edge first; their average pooling includes the
padding, this one does not. Shapes, parameters and MACs are the same.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from asc_models.networks.network import Network, NetworkConfig, Stride, T, stride_pair, validate_stride


def divisible_by_8(width: float) -> int:
    """Return the multiple of 8 nearest to `width`, at least 8 and at least 0.9 · `width` (MobileNetV2's rounding)."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class CpMobileConfig(NetworkConfig):
    """CP-Mobile, with the authors' parameter names. Defaults give the network with 12,310 parameters."""

    choices: ClassVar = {
        "base_channels": (8, 16, 24, 32),
        "channels_multiplier": (1.25, 1.5, 1.75, 2.0),
        "expansion_rate": (1.5, 1.75, 2.0, 2.5),
    }

    family: Literal["cp_mobile"] = "cp_mobile"
    """Network family."""
    base_channels: int = Field(16, ge=8, le=256)
    """Output channels of the second convolution; a multiple of 8."""
    channels_multiplier: float = Field(1.5, ge=1.0, le=4.0)
    """Factor from the channels of one stage to those of the next, rounded to a multiple of 8."""
    expansion_rate: float = Field(1.75, ge=1.0, le=8.0)
    """Factor by which a block widens its input, rounded to a multiple of 8."""
    n_blocks: tuple[int, ...] = (3, 2, 1)
    """Number of blocks in each stage."""
    strides: dict[int, Stride] = Field({2: (2, 2), 4: (2, 1)})
    """{block number, from 1: stride (frequency, time)}; all other blocks have stride 1."""
    response_norm: bool = True
    """Apply global response normalization after every block."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.base_channels % 8:
            raise ValueError(f"base_channels must be a multiple of 8, got {self.base_channels}")
        if not self.n_blocks or min(self.n_blocks) < 1:
            raise ValueError(
                f"n_blocks needs at least one stage, and every stage at least one block; got {self.n_blocks}"
            )
        for number, stride in self.strides.items():
            if not 1 <= number <= sum(self.n_blocks):
                raise ValueError(f"strides names block {number}, but there are blocks 1 to {sum(self.n_blocks)}")
            validate_stride(stride)
        return self

    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits of the input `x`."""
        x = net.conv(x, "stem1", self.base_channels // 4, 3, stride=2)
        x = net.conv(x, "stem2", self.base_channels, 3, stride=2)
        number = 0
        for stage, n_blocks in enumerate(self.n_blocks):
            width = divisible_by_8(self.base_channels * self.channels_multiplier**stage)
            for _ in range(n_blocks):
                number += 1
                x = self._block(net, x, f"block{number}", width, self.strides.get(number, 1))
        x = net.conv(x, "classifier", n_classes, 1, activation="none")
        return net.global_pool(x, "logits")

    def _block(self, net: Network[T], x: T, name: str, width: int, stride: Stride) -> T:
        entry, n_channels = x, net.n_channels(x)
        skips = n_channels == width
        if skips:
            net.keep(entry)
        x = net.conv(x, f"{name}_expand", divisible_by_8(n_channels * self.expansion_rate), 1)
        x = net.depthwise(x, f"{name}_depthwise", 3, stride=stride)
        x = net.conv(x, f"{name}_project", width, 1, activation="none")
        if skips:
            strided = stride_pair(stride) != (1, 1)
            shortcut = net.smooth(entry, f"{name}_shortcut", 3, stride) if strided else entry
            x = net.add(x, shortcut, f"{name}_skip")
        if self.response_norm:
            x = net.response_norm(x, f"{name}_response_norm")
        return net.activate(x, f"{name}_out", "relu")
