"""BC-ResNet for scenes, the network of DCASE 2021 Task 1A's winner.

B. Kim, S. Yang, J. Kim, S. Chang: "QTI submission to DCASE 2021: residual normalization for device-imbalanced acoustic
scene classification with efficient design", technical report, and "Domain generalization on efficient acoustic scene
classification using residual normalization", arXiv 2111.06531; blocks as in B. Kim, S. Chang, J. Lee, D. Sung:
"Broadcasted residual learning for efficient keyword spotting", Interspeech 2021, arXiv 2106.04140.

A block convolves along frequency and normalizes by sub-bands (Chang et al., ICASSP 2021); the mean over frequency is
convolved along time, mixed between channels and added to every band. A stage's first block sets its width by a 1 × 1
convolution and has no skip. Residual normalization (`residual_norm`) attenuates what is specific to a device: the
statistics of each band.

The authors pad both edges equally, whereas 'same' padding pads the later edge first. Shapes, parameters and MACs are
the same.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from asc_models.networks.network import Network, NetworkConfig, T

STEM_FACTOR = 2
"""Output channels of the stem, relative to those of the first stage."""


class BcResnetConfig(NetworkConfig):
    """BC-ResNet for scenes. Defaults give the authors' network with 315,000 parameters for ten scenes."""

    choices: ClassVar = {
        "base_channels": (16, 24, 32, 40, 48, 56),
        "n_blocks": ((2, 2, 2, 3), (1, 2, 2, 2), (1, 1, 1, 2)),
        "residual_norm": (True, False),
    }

    family: Literal["bc_resnet"] = "bc_resnet"
    """Network family."""
    base_channels: int = Field(80, ge=4, le=256)
    """Channels of the first stage; the stem has twice as many."""
    multipliers: tuple[float, ...] = (1.0, 1.5, 2.0, 2.5)
    """Channels of each stage relative to `base_channels`, rounded down."""
    n_blocks: tuple[int, ...] = (2, 2, 2, 3)
    """Number of blocks in each stage."""
    n_pools: int = Field(2, ge=0)
    """Number of stages, from the first, that are followed by a max pooling of 2 × 2."""
    n_bands: int = Field(4, ge=1, le=16)
    """Sub-bands that are normalized separately; must divide the bands of every stage: with two poolings a half, a
    quarter and an eighth of the mel bands."""
    residual_norm: bool = True
    """Apply residual normalization to the input and after every stage."""
    residual_weight: float = Field(0.1, ge=0.0, le=10.0)
    """Weight λ of the shortcut in residual normalization."""
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    """Dropout rate at the end of every block's temporal path."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.n_blocks) != len(self.multipliers) or not self.n_blocks:
            raise ValueError(
                f"n_blocks and multipliers need one value per stage, got {len(self.n_blocks)} and "
                f"{len(self.multipliers)}"
            )
        if min(self.n_blocks) < 1:
            raise ValueError(f"every stage needs at least one block, got n_blocks {self.n_blocks}")
        if any(not 0.25 <= factor <= 8.0 for factor in self.multipliers):
            raise ValueError(f"multipliers must be 0.25 to 8, got {self.multipliers}")
        if self.n_pools > len(self.n_blocks):
            raise ValueError(f"n_pools must be at most the number of stages, {len(self.n_blocks)}; got {self.n_pools}")
        return self

    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits of the input `x`."""
        x = self._normalized(net, x, "input")
        x = net.conv(x, "stem", STEM_FACTOR * self.base_channels, 5, stride=2)
        for stage, (factor, n_blocks) in enumerate(zip(self.multipliers, self.n_blocks, strict=True), start=1):
            for block in range(1, n_blocks + 1):
                name = f"stage{stage}_block{block}"
                if block == 1:
                    x = net.conv(x, f"{name}_widen", int(self.base_channels * factor), 1)
                x = self._block(net, x, name, skips=block > 1)
            x = self._normalized(net, x, f"stage{stage}")
            if stage <= self.n_pools:
                x = net.pool(x, f"stage{stage}_pool", "max", (2, 2))
        x = net.conv(x, "classifier", n_classes, 1, normalization="none", activation="none")
        return net.global_pool(x, "logits")

    def _normalized(self, net: Network[T], x: T, name: str) -> T:
        return net.residual_norm(x, f"{name}_residual_norm", self.residual_weight) if self.residual_norm else x

    def _block(self, net: Network[T], x: T, name: str, *, skips: bool) -> T:
        entry = net.keep(x) if skips else x
        x = net.depthwise(x, f"{name}_frequency", (3, 1), normalization="none", activation="none", biased=False)
        x = net.subspectral_norm(x, f"{name}_subspectral", self.n_bands)
        mean = net.frequency_mean(x, f"{name}_mean")
        if skips:
            x = net.add(x, entry, f"{name}_skip")
        x = net.keep(x)
        mean = net.depthwise(mean, f"{name}_time", (1, 3), activation="swish")
        mean = net.conv(
            mean, f"{name}_mix", net.n_channels(x), 1, normalization="none", activation="none", biased=False
        )
        mean = net.dropout(mean, f"{name}_dropout", self.dropout)
        return net.activate(net.add(mean, x, f"{name}_broadcast"), f"{name}_out", "relu")
