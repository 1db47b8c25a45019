"""What a network is made of: the operations that every family is written in, once, for counting and for building.

A family describes its layers in terms of `Network`. `asc_models.networks.topology` interprets the description on shapes
and counts; `asc_models.training.builder` interprets it on Keras tensors. So there is one description of each network,
no framework is needed to count, and Keras is known in one place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from data_prep.schema import Config

Activation = Literal["relu", "relu6", "leaky_relu", "hard_swish", "none"]
Normalization = Literal["batch", "none"]
Pooling = Literal["average", "max"]

Stride = int | tuple[int, int]
"""Step of a convolution; a pair is (frequency, time)."""

T = TypeVar("T")


def stride_pair(stride: Stride) -> tuple[int, int]:
    """Return `stride` as (frequency, time)."""
    return stride if isinstance(stride, tuple) else (stride, stride)


def validate_stride(stride: Stride) -> None:
    """Raise ValueError unless `stride` is 1 to 4 in each direction."""
    for step in stride_pair(stride):
        if not 1 <= step <= 4:
            raise ValueError(f"a stride must be 1 to 4, or a pair (frequency, time) of such, got {stride}")


class Network(Protocol[T]):
    """The operations of a network; `T` stands for a feature map, which is a shape or a tensor.

    Names of layers are the same in the table of sizes and in the Keras model.
    """

    def n_channels(self, x: T) -> int:
        """Return the channels of `x`."""

    def conv(
        self,
        x: T,
        name: str,
        filters: int,
        kernel_size: int,
        *,
        stride: Stride = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
        biased: bool | None = None,
    ) -> T:
        """Return a 'same' convolution, then normalization and activation.

        `biased` is True where there is no normalization, unless told otherwise.
        """

    def depthwise(
        self,
        x: T,
        name: str,
        kernel_size: int,
        *,
        stride: Stride = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
    ) -> T:
        """Return a 'same' convolution of each channel by itself, then normalization and activation."""

    def dense(self, x: T, name: str, units: int, *, activation: Activation = "none") -> T:
        """Return a fully connected layer with bias on a vector."""

    def norm(self, x: T, name: str) -> T:
        """Return `x` batch-normalized by channel, at a place where no convolution can take it in."""

    def activate(self, x: T, name: str, activation: Activation) -> T:
        """Return the activation of `x`."""

    def channel_attention(self, x: T, name: str, reduction_ratio: int) -> T:
        """Return `x` scaled by channel: average and maximum over the map through one two-layer network, added."""

    def spatial_attention(self, x: T, name: str, kernel_size: int) -> T:
        """Return `x` scaled by place: mean and maximum over the channels through one convolution."""

    def keep(self, x: T) -> T:
        """Return `x`, which must stay in memory until `add` takes it."""

    def add(self, x: T, kept: T, name: str) -> T:
        """Return the sum of two maps, the second one kept."""

    def pool(self, x: T, name: str, kind: Pooling, size: tuple[int, int]) -> T:
        """Return the pooled map; a rest at the edge that fills no window is left out."""

    def smooth(self, x: T, name: str, size: int, stride: Stride) -> T:
        """Return 'same' average pooling: windows of `size` × `size` at every `stride`."""

    def global_pool(self, x: T, name: str, kind: Pooling = "average") -> T:
        """Return one value a channel, as a vector."""

    def flatten(self, x: T) -> T:
        """Return the map as a vector."""

    def dropout(self, x: T, name: str, rate: float) -> T:
        """Return `x` with a share of it dropped in training; `x` itself where `rate` is 0."""

    def response_norm(self, x: T, name: str) -> T:
        """Return `x` under global response normalization (Woo et al. 2023), with one γ and one β for all channels."""

    def classifier(self, x: T, n_classes: int) -> T:
        """Return the logits of a vector, by a dense layer."""


class Shorthand(Config, ABC):
    """A few numbers that stand for one field of a network's description, so that a search can choose them."""

    field: ClassVar[str]
    """Name of the field."""
    choices: ClassVar[Mapping[str, tuple[Any, ...]]]
    """{number: its choices in a search that names none}."""

    @abstractmethod
    def value(self) -> Any:
        """Return the field's value."""


class NetworkConfig(Config, ABC):
    """A description of a network: settings, and the layers that follow from them.

    A family derives from it, adds a field `family` with its own name as the only value, writes its layers in
    `assemble`, and is entered into `asc_models.networks.families`. Everything else (size and cost, building,
    training, export, the conformance tests) follows from that.
    """

    takes_any_length: ClassVar[bool] = True
    """False where the layers hold for one number of frames only; such a network trains on whole clips."""
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """{field: its choices in a search that names none}; they lie around the published networks."""
    without_effect: ClassVar[Mapping[str, Mapping[str, tuple[Any, ...]]]] = {}
    """{field: {other field: values of it with which the first changes nothing}}."""
    shorthand: ClassVar[type[Shorthand] | None] = None
    """Numbers that a search may choose instead of one of the fields."""

    family: str
    """Which network this describes."""

    @abstractmethod
    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits (one a scene) of the input `x`."""
