"""The operations that networks are described with, shared by counting and building.

A family describes its layers as calls on `Network`. `asc_models.networks.topology` interprets them on shapes to count
sizes and costs; `asc_models.training.builder` interprets them on Keras tensors. Each network is described once, and
counting needs no framework.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from data_prep.schema import Config

Activation = Literal["relu", "relu6", "leaky_relu", "hard_swish", "swish", "none"]
Normalization = Literal["batch", "none"]
Pooling = Literal["average", "max"]

Stride = int | tuple[int, int]
"""Stride of a convolution; a pair is (frequency, time)."""

Kernel = int | tuple[int, int]
"""Kernel size of a convolution; a pair is (frequency, time)."""

T = TypeVar("T")


def kernel_pair(kernel_size: Kernel) -> tuple[int, int]:
    """Return `kernel_size` as (frequency, time)."""
    return kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)


def stride_pair(stride: Stride) -> tuple[int, int]:
    """Return `stride` as (frequency, time)."""
    return stride if isinstance(stride, tuple) else (stride, stride)


def validate_stride(stride: Stride) -> None:
    """Raise ValueError unless `stride` is 1 to 4 in each direction."""
    for step in stride_pair(stride):
        if not 1 <= step <= 4:
            raise ValueError(f"a stride must be 1 to 4, or a pair (frequency, time) of such values, got {stride}")


class Network(Protocol[T]):
    """The operations of a network; the feature maps `T` are shapes or tensors.

    Layer names are the same in the table of sizes and in the Keras model.
    """

    def n_channels(self, x: T) -> int:
        """Return the number of channels of `x`."""

    def conv(
        self,
        x: T,
        name: str,
        filters: int,
        kernel_size: Kernel,
        *,
        stride: Stride = 1,
        groups: int = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
        biased: bool | None = None,
    ) -> T:
        """Apply a 'same' convolution, then normalization and activation.

        With several `groups`, which divide the channels and the filters, each group of filters reads one group of
        adjacent channels. `biased` defaults to True without normalization and to False with it.
        """

    def depthwise(
        self,
        x: T,
        name: str,
        kernel_size: Kernel,
        *,
        stride: Stride = 1,
        multiplier: int = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
        biased: bool | None = None,
        branches: int = 0,
    ) -> T:
        """Apply a 'same' depthwise convolution, then normalization and activation; `biased` as in `conv`.

        Each channel becomes `multiplier` adjacent channels. If `branches` is not 0, for which `multiplier` must be 1,
        the convolution with its batch norm is trained as the sum of so many convolutions and, with stride 1, the input,
        each with a batch norm. For inference they are folded into one.
        """

    def dense(self, x: T, name: str, units: int, *, activation: Activation = "none") -> T:
        """Apply a fully connected layer with bias to a vector."""

    def norm(self, x: T, name: str) -> T:
        """Batch-normalize `x` by channel, where no preceding convolution can absorb the norm."""

    def activate(self, x: T, name: str, activation: Activation) -> T:
        """Apply an activation."""

    def channel_attention(self, x: T, name: str, reduction_ratio: int) -> T:
        """Scale `x` by channel: the map's average and maximum pass one shared two-layer network and are added."""

    def squeeze_excite(self, x: T, name: str, reduction_ratio: int) -> T:
        """Scale `x` by channel: the map's average passes a two-layer network (Hu et al. 2018)."""

    def spatial_attention(self, x: T, name: str, kernel_size: int) -> T:
        """Scale `x` by position: mean and maximum over the channels pass one convolution."""

    def keep(self, x: T) -> T:
        """Mark `x` as kept in memory until it is passed to `add`, and return it."""

    def add(self, x: T, kept: T, name: str) -> T:
        """Return the sum of two maps, and release the map marked by `keep`; one band is added to all bands."""

    def mix(self, x: T, other: T, name: str) -> T:
        """Return p · x + (1 − p) · other with a learned p, and release the map marked by `keep`."""

    def shuffle(self, x: T, name: str, n_groups: int) -> T:
        """Reorder the channels: the first of each of `n_groups` groups, then the second of each, and so on."""

    def pool(self, x: T, name: str, kind: Pooling, size: tuple[int, int]) -> T:
        """Pool in windows of `size`; an incomplete window at the edge is dropped."""

    def smooth(self, x: T, name: str, size: int, stride: Stride) -> T:
        """Apply 'same' average pooling: windows of `size` × `size` every `stride` steps."""

    def global_pool(self, x: T, name: str, kind: Pooling = "average") -> T:
        """Return one value per channel, as a vector."""

    def attentive_pool(self, x: T, name: str) -> T:
        """Return the mean over the map weighted by a softmax of its positions, which a 1 × 1 convolution scores."""

    def flatten(self, x: T) -> T:
        """Return the map as a vector."""

    def dropout(self, x: T, name: str, rate: float, *, by_channel: bool = False) -> T:
        """Apply dropout in training, of whole channels if `by_channel`; return `x` itself if `rate` is 0."""

    def channel_gru(self, x: T, name: str, units: int) -> T:
        """Read the channels one after another by a gated recurrent unit (Cho et al. 2014), and return a vector.

        A channel is read as its mean over time in every band. Its value in the vector is the mean of the state after
        it.
        """

    def response_norm(self, x: T, name: str) -> T:
        """Apply global response normalization (Woo et al. 2023), with one γ and one β for all channels."""

    def subspectral_norm(self, x: T, name: str, n_bands: int) -> T:
        """Batch-normalize each channel within each of `n_bands` sub-bands (Chang et al. 2021)."""

    def frequency_mean(self, x: T, name: str) -> T:
        """Return the mean over frequency, a map of one band."""

    def residual_norm(self, x: T, name: str, weight: float) -> T:
        """Return `weight` · x plus x normalized by its mean and variance over time and channels (Kim et al. 2021)."""

    def classifier(self, x: T, n_classes: int) -> T:
        """Return the logits: a dense layer applied to a vector."""


class Shorthand(Config, ABC):
    """A few numbers that define one field of a network's description, so that a search can sample them."""

    field: ClassVar[str]
    """Name of the field they define."""
    choices: ClassVar[Mapping[str, tuple[Any, ...]]]
    """{number: choices in a search space that names none}."""

    @abstractmethod
    def value(self) -> Any:
        """Return the field's value."""


class NetworkConfig(Config, ABC):
    """Base class of network descriptions: settings, and the layers that follow from them.

    A family subclasses it, adds a field `family` whose only value is the family's name, implements `assemble`, and is
    registered in `asc_models.networks.families`. Counting, building, training, export and the conformance tests then
    work without further code.
    """

    takes_any_length: ClassVar[bool] = True
    """False if the layers require a fixed number of frames; such a network trains on whole clips."""
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """{field: choices in a search space that names none}, near the values of published networks."""
    without_effect: ClassVar[Mapping[str, Mapping[str, tuple[Any, ...]]]] = {}
    """{field: {other field: values that make the first field irrelevant}}."""
    shorthand: ClassVar[type[Shorthand] | None] = None
    """Numbers that a search may sample instead of one of the fields."""

    family: str
    """Network family."""

    @abstractmethod
    def assemble(self, net: Network[T], x: T, n_classes: int) -> T:
        """Return the logits (one per scene) of the input `x`."""
