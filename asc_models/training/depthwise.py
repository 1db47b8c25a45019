"""Depthwise convolutions whose training is fast on processors."""

from __future__ import annotations

import os
from typing import Any

import keras
import tensorflow as tf

from asc_models.training.layers import is_exporting, register

WIDEST = 3
"""Widest kernel (in time) of which oneDNN has a fast gradient.

For wider ones it fills up every channel to a group of 16 × 16, which takes eight times as long as the convolution.
"""

Margins = tuple[tuple[int, int], tuple[int, int]]
"""Zeros before and after the bands, and before and after the frames."""


def depthwise_convolution(inputs: Any, kernel: Any, stride: tuple[int, int]) -> Any:
    """Return a 'same' depthwise convolution with any stride (frequency, time).

    TensorFlow has operators with two different strides only in oneDNN, that is neither on GPUs nor on every processor.
    So it is one with stride 1, of which the outputs are taken that the stride keeps; interpreters of files have no such
    limit.
    """
    if is_exporting():
        return tf.nn.depthwise_conv2d(inputs, kernel, (1, *stride, 1), "SAME")
    if stride[0] == stride[1]:
        return _convolution(inputs, kernel, stride[0], "SAME")
    size = tf.shape(inputs)
    margins = [_margins(size[axis + 1], kernel.shape[axis], stride[axis]) for axis in (0, 1)]
    padded = tf.pad(inputs, [(0, 0), *margins, (0, 0)])
    return _convolution(padded, kernel, 1, "VALID")[:, :: stride[0], :: stride[1]]


@register
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]  # Keras ships no types
    """The stock layer with 'same' padding, any stride, and gradients that are fast on processors."""

    def call(self, inputs: Any) -> Any:
        """Return the maps."""
        outputs = depthwise_convolution(inputs, self.kernel.value, self.strides)
        return tf.nn.bias_add(outputs, self.bias.value) if self.use_bias else outputs


def _margins(n: Any, kernel_size: int, stride: int) -> tuple[Any, Any]:
    """Return what 'same' padding adds before and after `n` values."""
    total = tf.maximum(((n + stride - 1) // stride - 1) * stride + kernel_size - n, 0)
    return total // 2, total - total // 2


def _convolution(inputs: Any, kernel: Any, stride: int, padding: str) -> Any:
    """Return TensorFlow's convolution, with the gradients of this module where its own are slow."""
    kernel = tf.convert_to_tensor(kernel)
    if not _has_slow_gradient(inputs, kernel, stride):
        return tf.nn.depthwise_conv2d(inputs, kernel, (1, stride, stride, 1), padding)
    pads = padding == "SAME"
    in_frequency, in_time = (
        _fixed_margins(inputs.shape[axis + 1], kernel.shape[axis], stride) if pads else (0, 0) for axis in (0, 1)
    )
    margins = in_frequency, in_time

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def convolution(x: Any, weights: Any) -> Any:
        """Return the maps and the function of their gradients."""
        outputs = tf.nn.depthwise_conv2d(x, weights, (1, stride, stride, 1), padding)

        def gradients(upstream: Any) -> tuple[Any, Any]:
            """Return the gradients of input and kernel."""
            if _is_half(x) and stride > 1 and weights.shape[3] == 1:
                of_input = _input_gradient(x.shape[1:3], weights, upstream, stride, margins)
            else:
                strides = (1, stride, stride, 1)
                of_input = tf.nn.depthwise_conv2d_backprop_input(tf.shape(x), weights, upstream, strides, padding)
            return of_input, _kernel_gradient(x, weights.shape, upstream, stride, margins)

        return outputs, gradients

    return convolution(inputs, kernel)


def _has_slow_gradient(inputs: Any, kernel: Any, stride: int) -> bool:
    """Return whether TensorFlow's own gradient is slow here and sizes are known.

    So are that of a wide kernel and, in bfloat16, that of the input under a stride. Measured with oneDNN; on GPUs and
    with TensorFlow's own operators neither is.
    """
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0" and not tf.config.list_physical_devices("GPU")
    if not onednn or None in inputs.shape[1:3]:
        return False
    return kernel.shape[1] > WIDEST or (stride > 1 and _is_half(inputs))


def _is_half(x: Any) -> bool:
    return bool(x.dtype == tf.bfloat16)


def _fixed_margins(n: int, kernel_size: int, stride: int) -> tuple[int, int]:
    total = max((-(-n // stride) - 1) * stride + kernel_size - n, 0)
    return total // 2, total - total // 2


def _kernel_gradient(x: Any, shape: Any, upstream: Any, stride: int, margins: Margins) -> Any:
    """Return the gradient of a kernel of `shape`, computed for at most three of its columns at once."""
    height, width, n_channels, multiplier = shape
    if width <= WIDEST:
        padding = [[0, 0], *map(list, margins), [0, 0]]
        return _columns(tf.pad(x, padding), (height, width, n_channels, multiplier), upstream, stride)
    n_frames = x.shape[2]
    parts, n_done = [], 0
    for first in [*range(0, width - WIDEST, WIDEST), width - WIDEST]:  # all equally wide: oneDNN is best at it
        begin = first - margins[1][0]
        end = begin + (upstream.shape[2] - 1) * stride + WIDEST
        within = x[:, :, max(begin, 0) : min(end, n_frames)]
        beyond = [max(-begin, 0), max(end - n_frames, 0)]
        padded = tf.pad(within, [[0, 0], list(margins[0]), beyond, [0, 0]])
        columns = _columns(padded, (height, WIDEST, n_channels, multiplier), upstream, stride)
        parts.append(columns[:, n_done - first :])
        n_done = first + WIDEST
    return tf.concat(parts, axis=1)


def _columns(padded: Any, shape: tuple[int, int, int, int], upstream: Any, stride: int) -> Any:
    return tf.nn.depthwise_conv2d_backprop_filter(padded, shape, upstream, (1, stride, stride, 1), "VALID")


def _input_gradient(size: Any, kernel: Any, upstream: Any, stride: int, margins: Margins) -> Any:
    """Return the gradient of an input of `size`: a convolution of the upstream one, spread by the stride."""
    n_channels, zeros = upstream.shape[3], (0, stride - 1)
    n_spread = [n * stride for n in upstream.shape[1:3]]
    spread = tf.pad(upstream[:, :, None, :, None], [(0, 0), (0, 0), zeros, (0, 0), zeros, (0, 0)])
    spread = tf.reshape(spread, (-1, *n_spread, n_channels))
    before = [width - 1 - margin for width, (margin, _) in zip(kernel.shape[:2], margins, strict=True)]
    after = [n + margin[0] - n_zeros for n, margin, n_zeros in zip(size, margins, n_spread, strict=True)]
    spread = spread[:, : n_spread[0] + min(after[0], 0), : n_spread[1] + min(after[1], 0)]  # zeros at the end
    paddings = [(first, max(last, 0)) for first, last in zip(before, after, strict=True)]
    padded = tf.pad(spread, [(0, 0), *paddings, (0, 0)])
    return tf.nn.depthwise_conv2d(padded, kernel[::-1, ::-1], (1, 1, 1, 1), "VALID")
