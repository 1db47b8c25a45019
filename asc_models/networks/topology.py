"""Size and cost of a network from its description: the operations of `Network` on shapes, without a framework.

`asc_models.training.builder` implements the same operations in Keras; the conformance tests check that both agree in
every parameter.
"""

from __future__ import annotations

from typing import Literal

from asc_models.errors import SizeError
from asc_models.networks.network import Activation, Kernel, NetworkConfig, Normalization, Pooling, Stride
from asc_models.networks.sparsity import PRUNED_MIN_VALUES
from data_prep.config import Windows

Shape = tuple[int, int, int]
"""(frequency, time, channels)."""

LayerKind = Literal["conv", "depthwise", "dense", "norm", "factor"]
"""Kind of layer: `norm` is a batch norm kept as two vectors, `factor` the constants of other arithmetic."""

FUSED_ACTIVATIONS = ("none", "relu", "relu6")
"""Activations that TFLite fuses into a convolution; every other one is a separate operator with its own output."""


class Counter:
    """`Network` on shapes: sums sizes and costs over the layers, in values, not bytes.

    It creates no object per layer and takes about 20 microseconds per network.

    Args:
        input_shape: the file's input. It always counts as alive, since interpreters keep their inputs.
        windows: windows that are cut out of the input and stacked; every map and operation counts once per window.
            None if the network reads the whole input.
    """

    def __init__(self, input_shape: Shape, windows: Windows | None = None) -> None:
        self._input = input_shape
        self._n_input = _size(input_shape)
        self._n_windows = 1 if windows is None else windows.n_windows
        self.entry = input_shape if windows is None else (input_shape[0], windows.n_frames, input_shape[2])
        """The network's input."""
        self.n_params = 0
        self.macs = 0
        self.n_kernel = 0
        """Values of all kernels, including depthwise ones."""
        self.kernels: list[int] = []
        """Values of each kernel that is not depthwise."""
        self.depthwise_kernels: list[int] = []
        """Values of each depthwise kernel."""
        self.pruned_kernels: list[int] = []
        """Values of each kernel that `train.sparsity` prunes."""
        self.n_bias = 0
        """Values of folded biases, unfolded norms and factors."""
        self.n_norm = 0
        """Values of batch norms, four per channel."""
        self.peak_live = 0
        """Most activation values alive at once."""
        self.zero_biases: list[int] = []
        """Lengths of the zero biases added by the converter."""
        self._has_stem = False
        self._kept: Shape | None = None
        self._n_kept = 0
        self._weights = {0.0, 1.0}
        if windows is not None:  # each window alive twice: separate and stacked
            self._live(2 * _size(self.entry))

    def n_channels(self, x: Shape) -> int:
        """Return the number of channels of `x`."""
        return x[2]

    def conv(
        self,
        x: Shape,
        name: str,
        filters: int,
        kernel_size: Kernel,
        *,
        stride: Stride = 1,
        groups: int = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
        biased: bool | None = None,
    ) -> Shape:
        """Return the shape after a 'same' convolution, normalization and activation."""
        y = (*_strided(x, name, stride), filters) if stride != 1 else (x[0], x[1], filters)
        height, width = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        n_kernel = height * width * (x[2] // groups) * filters
        normalized = normalization == "batch"
        if biased is None:
            biased = not normalized
        if normalized:
            self.n_norm += 4 * filters
        n_params = n_kernel + filters * (4 * normalized + biased)
        self._weigh(name, "conv", x, y, n_params, n_kernel, filters if normalized or biased else 0, 1)
        self._has_stem = True
        return y if activation in FUSED_ACTIVATIONS else self.activate(y, name, activation)

    def depthwise(
        self,
        x: Shape,
        name: str,
        kernel_size: Kernel,
        *,
        stride: Stride = 1,
        multiplier: int = 1,
        normalization: Normalization = "batch",
        activation: Activation = "relu",
        biased: bool | None = None,
        branches: int = 0,
    ) -> Shape:
        """Return the shape after a 'same' depthwise convolution, normalization and activation; branches are folded."""
        channels = multiplier * x[2]
        y = (*_strided(x, name, stride), channels) if stride != 1 else (x[0], x[1], channels)
        height, width = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        n_kernel = height * width * channels
        normalized = normalization == "batch"
        if biased is None:
            biased = not normalized
        if normalized:
            self.n_norm += 4 * channels
        n_params = n_kernel + channels * (4 * normalized + biased)
        self._weigh(name, "depthwise", x, y, n_params, n_kernel, channels if normalized or biased else 0, 1)
        return y if activation in FUSED_ACTIVATIONS else self.activate(y, name, activation)

    def dense(self, x: Shape, name: str, units: int, *, activation: Activation = "none") -> Shape:
        """Return the shape after a fully connected layer with bias."""
        y = (1, 1, units)
        n_kernel = x[2] * units
        self._weigh(name, "dense", x, y, n_kernel + units, n_kernel, units, 1)
        return y

    def norm(self, x: Shape, name: str) -> Shape:
        """Return the shape after a batch norm that is not folded."""
        self.n_norm += 4 * x[2]
        self._weigh(name, "norm", x, x, 4 * x[2], 0, 2 * x[2], 1)
        return x

    def activate(self, x: Shape, name: str, activation: Activation) -> Shape:
        """Return the shape after an activation."""
        self._live(2 * _size(x))  # the product of swish takes the place of the sigmoid
        return (x[0], x[1], x[2])  # a new map of the same shape

    def channel_attention(self, x: Shape, name: str, reduction_ratio: int) -> Shape:
        """Return the shape after channel attention, whose layers run for the average and for the maximum."""
        return self._attended(x, name, reduction_ratio, uses=2)

    def squeeze_excite(self, x: Shape, name: str, reduction_ratio: int) -> Shape:
        """Return the shape after squeeze and excitation."""
        return self._attended(x, name, reduction_ratio, uses=1)

    def spatial_attention(self, x: Shape, name: str, kernel_size: int) -> Shape:
        """Return the shape after spatial attention."""
        pooled, mask = (x[0], x[1], 2), (x[0], x[1], 1)
        waiting, n_kernel = self._n_kept, 2 * kernel_size * kernel_size
        self._n_kept += _size(x)
        self._weigh(name, "conv", pooled, mask, n_kernel, n_kernel, 0, 1)
        self._n_kept = waiting
        return self._scaled(x, x[0] * x[1])

    def keep(self, x: Shape) -> Shape:
        """Return `x`, which counts as alive until `add`."""
        self._kept, self._n_kept = x, _size(x)
        return x

    def add(self, x: Shape, kept: Shape, name: str) -> Shape:
        """Return the shape of the sum; the kept map no longer counts as alive."""
        self._kept, self._n_kept = None, 0
        y = (max(x[0], kept[0]), x[1], x[2])
        self._live(_size(x) + _size(kept) + _size(y))
        return y

    def mix(self, x: Shape, other: Shape, name: str) -> Shape:
        """Return the shape of the mixture, whose p is a factor of one value; the kept map no longer counts as alive."""
        self._kept, self._n_kept = None, 0
        self._weigh(name, "factor", x, x, 1, 0, 1, 1)
        self._live(2 * _size(x))
        return (x[0], x[1], x[2])

    def shuffle(self, x: Shape, name: str, n_groups: int) -> Shape:
        """Return the shape of `x`, whose channels are reordered."""
        self._live(2 * _size(x))
        return (x[0], x[1], x[2])

    def pool(self, x: Shape, name: str, kind: Pooling, size: tuple[int, int]) -> Shape:
        """Return the shape after pooling.

        Raises:
            SizeError: if the map is smaller than one window.
        """
        if x[0] < size[0] or x[1] < size[1]:
            raise SizeError(
                f"{name} pools {size[0]} × {size[1]}, but its input has only {x[0]} × {x[1]} (bands × frames): nothing "
                "would be left; choose smaller pools or a larger input"
            )
        y = (x[0] // size[0], x[1] // size[1], x[2])
        self._live(_size(x) + _size(y))
        return y

    def smooth(self, x: Shape, name: str, size: int, stride: Stride) -> Shape:
        """Return the shape after 'same' average pooling."""
        y = (*_strided(x, name, stride), x[2])
        self._live(_size(x) + _size(y))
        return y

    def global_pool(self, x: Shape, name: str, kind: Pooling = "average") -> Shape:
        """Return the shape of a vector with one value per channel."""
        return (1, 1, x[2])

    def attentive_pool(self, x: Shape, name: str) -> Shape:
        """Return the shape of a vector with one value per channel; the scores are a kernel of one value per channel."""
        self._weigh(f"{name}_scores", "conv", x, (x[0], x[1], 1), x[2], x[2], 0, 1)
        self._live(2 * _size(x) + x[0] * x[1])
        return (1, 1, x[2])

    def flatten(self, x: Shape) -> Shape:
        """Return the shape of the map as a vector."""
        return (1, 1, _size(x))

    def dropout(self, x: Shape, name: str, rate: float, *, by_channel: bool = False) -> Shape:
        """Return `x`; dropout has no effect at inference."""
        return x

    def channel_gru(self, x: Shape, name: str, units: int) -> Shape:
        """Return the shape of a vector with one value per channel.

        The inputs of all steps pass one 1 × 1 convolution to the two gates and the candidate state. Before the first
        step the state is 0, so that the recurrent layer runs one time less than there are channels.
        """
        n_bands, _, n_steps = x
        sequence, gates = (1, n_steps, n_bands), (1, n_steps, 3 * units)
        self._live(_size(x) + _size(sequence))
        n_kernel = 3 * units * n_bands
        self._weigh(f"{name}_input", "conv", sequence, gates, n_kernel + 3 * units, n_kernel, 3 * units, 1)
        state, n_kernel = (1, 1, units), 3 * units * units
        self._weigh(
            f"{name}_recurrent", "dense", state, (1, 1, 3 * units), n_kernel + units, n_kernel, units, n_steps - 1
        )
        return (1, 1, n_steps)

    def response_norm(self, x: Shape, name: str) -> Shape:
        """Return the shape of `x`; γ and β count as a factor of two values."""
        self._weigh(name, "factor", x, x, 2, 0, 2, 1)
        return (x[0], x[1], x[2])

    def subspectral_norm(self, x: Shape, name: str, n_bands: int) -> Shape:
        """Return the shape of `x`, normalized by sub-bands.

        Raises:
            SizeError: if the sub-bands do not have equally many bands.
        """
        if x[0] % n_bands:
            raise SizeError(
                f"{name} normalizes {n_bands} sub-bands, but its input has {x[0]} bands, which they do not divide; "
                "choose another n_bands, fewer poolings, or another number of mel bands"
            )
        n_values = n_bands * x[2]
        self.n_norm += 4 * n_values
        self._weigh(name, "norm", x, x, 4 * n_values, 0, 2 * n_values, 1)
        return (x[0], x[1], x[2])

    def frequency_mean(self, x: Shape, name: str) -> Shape:
        """Return the shape of one band."""
        y = (1, x[1], x[2])
        self._live(_size(x) + _size(y))
        return y

    def residual_norm(self, x: Shape, name: str, weight: float) -> Shape:
        """Return the shape of `x`; equal weights are one constant in a file, and 0 and 1 none."""
        self._weigh(name, "factor", x, x, 0, 0, 0 if weight in self._weights else 1, 1)
        self._weights.add(weight)
        self._live(3 * _size(x))  # the map, its part by the shortcut, its normalized part
        return (x[0], x[1], x[2])

    def classifier(self, x: Shape, n_classes: int) -> Shape:
        """Return the shape of the logits."""
        return self.dense(x, "classifier", n_classes)

    def _attended(self, x: Shape, name: str, reduction_ratio: int, *, uses: int) -> Shape:
        """Return the shape after two layers on a value per channel, which run `uses` times, have scaled the map."""
        channels = x[2]
        hidden = attention_units(channels, reduction_ratio)
        vector, narrow = (1, 1, channels), (1, 1, hidden)
        waiting, n_kernel = self._n_kept, channels * hidden
        self._n_kept += _size(x)  # the map stays alive until it is scaled
        self._weigh(f"{name}_reduce", "dense", vector, narrow, n_kernel + hidden, n_kernel, hidden, uses)
        self._weigh(f"{name}_restore", "dense", narrow, vector, n_kernel + channels, n_kernel, channels, uses)
        self._n_kept = waiting
        return self._scaled(x, channels)

    def _scaled(self, x: Shape, n_scales: int) -> Shape:
        self._live(2 * _size(x) + n_scales)
        return (x[0], x[1], x[2])

    def _live(self, n_values: int) -> None:
        n_live = self._n_windows * (n_values + self._n_kept) + self._n_input
        if n_live > self.peak_live:
            self.peak_live = n_live

    def _weigh(
        self, name: str, kind: LayerKind, x: Shape, y: Shape, n_params: int, n_kernel: int, n_bias: int, uses: int
    ) -> int:
        """Add a layer and return the activation values alive while it runs."""
        self.n_params += n_params
        self.n_kernel += n_kernel
        self.n_bias += n_bias
        n_positions = y[0] * y[1]
        self.macs += uses * n_kernel * n_positions * self._n_windows
        if kind == "depthwise":
            self.depthwise_kernels.append(n_kernel)
        elif n_kernel:
            self.kernels.append(n_kernel)
            if self._prunes(kind, n_kernel):
                self.pruned_kernels.append(n_kernel)
        if kind in ("conv", "depthwise") and not n_bias:
            self.zero_biases.append(y[2])
        n_live = x[0] * x[1] * x[2] + n_positions * y[2]
        if x is not self._kept:
            n_live += self._n_kept
        n_live *= self._n_windows
        if x is not self._input:
            n_live += self._n_input
        if n_live > self.peak_live:
            self.peak_live = n_live
        return n_live

    def _prunes(self, kind: LayerKind, n_kernel: int) -> bool:
        """Return whether pruning applies to a kernel: not if it is depthwise or small, nor up to the first conv."""
        return kind in ("conv", "dense") and n_kernel >= PRUNED_MIN_VALUES and self._has_stem


def count(config: NetworkConfig, input_shape: Shape, n_classes: int, windows: Windows | None = None) -> Counter:
    """Return the total sizes and costs over the layers of a network.

    Args:
        config: the network.
        input_shape: (n_mels, n_frames, n_channels) at inference.
        n_classes: number of scenes.
        windows: windows whose predictions are averaged; None if the network reads the whole input.

    Raises:
        SizeError: if the input is too small for the network's strides or poolings.
    """
    counter = Counter(input_shape, windows)
    config.assemble(counter, counter.entry, n_classes)
    return counter


def attention_units(n_channels: int, reduction_ratio: int) -> int:
    """Return the hidden units of channel attention: C // r, at least 1."""
    return max(1, n_channels // reduction_ratio)


def _size(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


def _strided(x: Shape, name: str, stride: Stride) -> tuple[int, int]:
    """Return bands and frames after a strided 'same' operation."""
    frequency, time = stride if isinstance(stride, tuple) else (stride, stride)
    if x[0] < frequency or x[1] < time:
        raise SizeError(
            f"{name} has stride {frequency} × {time}, but its input has only {x[0]} × {x[1]} (bands × frames): less "
            "than one would be left; lower its stride or an earlier one, or take a larger input"
        )
    return -(-x[0] // frequency), -(-x[1] // time)
