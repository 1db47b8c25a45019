"""The official baseline of DCASE 2021 Task 1A: three 7 × 7 convolutions, two poolings, two dense layers."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from asc_models.networks.network import Network, NetworkConfig, T


class BaselineConfig(NetworkConfig):
    """The official convolutional baseline of DCASE 2021 Task 1A (46,246 parameters for input 40 × 500 × 1)."""

    takes_any_length: ClassVar[bool] = False  # the dense layer's input size depends on the number of frames

    family: Literal["dcase_baseline"] = "dcase_baseline"
    """Network family."""
    filters: tuple[int, int, int] = (16, 16, 32)
    """Output channels of the three 7 × 7 convolutions."""
    dense_units: int = Field(100, ge=1)
    """Units of the hidden dense layer."""
    pools: tuple[tuple[int, int], tuple[int, int]] = ((5, 5), (4, 100))
    """Window (frequency, time) of the max pooling after the second and third convolution."""
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    """Dropout rate after both poolings and the hidden layer."""

    @classmethod
    def adapted(cls, n_mels: int, n_frames: int) -> Self:
        """Return the baseline with poolings that scale with the input, as those of 40 × 500 do.

        The first leaves 8 bands and 100 to 199 frames (fewer if there are fewer), the second 2 bands and 1 frame. The
        number of parameters therefore depends on the number of scenes and channels only.
        """
        first = (max(1, n_mels // 8), max(1, n_frames // 100))
        left = (n_mels // first[0], n_frames // first[1])
        return cls(pools=(first, (max(1, left[0] // 2), left[1])))

    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits of the input `x`."""
        for number, filters in enumerate(self.filters, start=1):
            x = net.conv(x, f"conv{number}", filters, 7, biased=True)
            if number > 1:
                x = net.pool(x, f"pool{number}", "max", self.pools[number - 2])
                x = net.dropout(x, f"dropout{number}", self.dropout)
        x = net.dense(net.flatten(x), "dense", self.dense_units, activation="relu")
        return net.classifier(net.dropout(x, "dropout", self.dropout), n_classes)
