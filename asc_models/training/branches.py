"""Depthwise convolutions that are several branches in training and one convolution afterwards."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from asc_models.training.depthwise import depthwise_convolution
from asc_models.training.layers import FusedBatchNormalization, register


@register
class BranchedDepthwise(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A 'same' depthwise convolution with batch norm; in training, the sum of several branches.

    Branches are `n_branches` convolutions with kernels of one size and, with stride 1, the input itself, each with its
    own batch norm (Ding et al. 2021, "RepVGG", arXiv 2101.03697; for depthwise convolutions Vasu et al. 2023,
    "MobileOne", arXiv 2206.04040). All are linear in the input, so that at inference one kernel and one bias do the
    same: an exported file has these alone. MobileOne's branch with a 1 × 1 kernel is left out, as batch norm cancels
    its only factor per channel, which makes it the branch of the input.

    Args:
        kernel_size: (frequency, time), odd.
        n_branches: number of convolutions.
        stride: (frequency, time).
        momentum: of batch norm's running statistics.
        regularizer: applied to every kernel; None for none.
    """

    def __init__(
        self,
        kernel_size: tuple[int, int],
        n_branches: int,
        stride: tuple[int, int] = (1, 1),
        *,
        momentum: float = 0.99,
        regularizer: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.kernel_size, self.n_branches = (kernel_size[0], kernel_size[1]), n_branches
        self.stride = (stride[0], stride[1])
        self.momentum = momentum
        self.regularizer = keras.regularizers.get(regularizer)
        self.skips = self.stride == (1, 1)
        """Whether the input is a branch."""
        self.norms = [
            FusedBatchNormalization(momentum=momentum, name=f"norm{number}")
            for number in range(n_branches + self.skips)
        ]
        """Batch norm of each branch, that of the input last."""

    def build(self, input_shape: Any) -> None:
        """Create a kernel for each convolution."""
        n_channels = input_shape[-1]
        self.kernels = [
            self.add_weight(
                shape=(*self.kernel_size, n_channels, 1),
                initializer="he_normal",
                regularizer=self.regularizer,
                name=f"kernel{number}",
            )
            for number in range(self.n_branches)
        ]
        for norm in self.norms:
            norm.build((None, None, None, n_channels))
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the normalized maps; update the moving means and variances in training."""
        if not training:
            kernel, bias = self._folded()
            return tf.nn.bias_add(self._convolved(inputs, kernel), bias)
        branches = [self._convolved(inputs, kernel.value) for kernel in self.kernels]
        if self.skips:
            branches.append(inputs)
        total, *rest = [norm(branch, training=True) for norm, branch in zip(self.norms, branches, strict=True)]
        for branch in rest:
            total = total + branch
        return total

    def folded(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return kernel (height, width, channels) and bias (channels,) that do at inference what all branches do."""
        kernel, bias = self._folded()
        return kernel.numpy()[..., 0], bias.numpy()

    @property
    def n_dropped(self) -> int:
        """Parameters that are there for training alone: those of one kernel and one batch norm do the same."""
        n_channels: int = self.kernels[0].shape[2]
        n_kernel = math.prod(self.kernel_size) * n_channels
        return (self.n_branches - 1) * n_kernel + (len(self.norms) - 1) * 4 * n_channels

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the maps."""
        batch, *size, n_channels = input_shape
        bands, frames = (None if n is None else -(-n // step) for n, step in zip(size, self.stride, strict=True))
        return (batch, bands, frames, n_channels)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "n_branches": self.n_branches,
            "stride": self.stride,
            "momentum": self.momentum,
            "regularizer": keras.regularizers.serialize(self.regularizer),
        }

    def _convolved(self, x: Any, kernel: Any) -> Any:
        return depthwise_convolution(x, kernel, self.stride)

    def _folded(self) -> tuple[Any, Any]:
        """Return kernel (height, width, channels, 1) and bias as tensors, which a converter computes once."""
        factors = [norm.gamma.value * tf.math.rsqrt(norm.moving_variance.value + norm.epsilon) for norm in self.norms]
        shifts = [
            norm.beta.value - norm.moving_mean.value * factor for norm, factor in zip(self.norms, factors, strict=True)
        ]
        parts = [
            kernel.value * factor[:, None]
            for kernel, factor in zip(self.kernels, factors[: self.n_branches], strict=True)
        ]
        if self.skips:
            margins = [[size // 2, size // 2] for size in self.kernel_size]
            parts.append(tf.pad(factors[-1][None, None, :, None], [*margins, [0, 0], [0, 0]]))
        kernel, bias = parts[0], shifts[0]
        for part, shift in zip(parts[1:], shifts[1:], strict=True):
            kernel, bias = kernel + part, bias + shift
        return kernel, bias
