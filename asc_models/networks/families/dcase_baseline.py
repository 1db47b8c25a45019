"""The organisers' baseline of DCASE 2021 Task 1A: three 7 × 7 convolutions, two poolings, two dense layers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from asc_models.networks.network import Network, NetworkConfig, T


class BaselineConfig(NetworkConfig):
    """The organisers' convolutional baseline of DCASE 2021 Task 1A (46,246 parameters on 40 × 500 × 1)."""

    takes_any_length: ClassVar[bool] = False  # its dense layer reads every place of the map

    family: Literal["dcase_baseline"] = "dcase_baseline"
    """Which network this describes."""
    filters: tuple[int, int, int] = (16, 16, 32)
    """Channels of the three 7 × 7 convolutions."""
    dense_units: int = Field(100, ge=1)
    """Neurons of the hidden dense layer."""
    pools: tuple[tuple[int, int], tuple[int, int]] = ((5, 5), (4, 100))
    """Max pooling behind the second and the third convolution, (frequency, time)."""
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    """Share dropped behind both poolings and the hidden layer, in training."""

    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits of the input `x`."""
        for number, filters in enumerate(self.filters, start=1):
            x = net.conv(x, f"conv{number}", filters, 7, biased=True)
            if number > 1:
                x = net.pool(x, f"pool{number}", "max", self.pools[number - 2])
                x = net.dropout(x, f"dropout{number}", self.dropout)
        x = net.dense(net.flatten(x), "dense", self.dense_units, activation="relu")
        return net.classifier(net.dropout(x, "dropout", self.dropout), n_classes)
