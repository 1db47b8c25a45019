"""Keras layers: normalizations, pooling, and statistics over channels or frequency."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np
import tensorflow as tf

if keras.config.backend() != "tensorflow":
    raise ImportError(f"Keras uses the backend {keras.config.backend()}: import asc_models before keras.")
keras.config.set_floatx("float32")  # overrides the user's keras.json
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")

register = keras.saving.register_keras_serializable(package="asc_models")

_EXPORTING = ContextVar("exporting", default=False)


@contextmanager
def exporting() -> Iterator[None]:
    """Let layers trace the operators of an exported file, which need not run here."""
    token = _EXPORTING.set(True)
    try:
        yield
    finally:
        _EXPORTING.reset(token)


def is_exporting() -> bool:
    """Return whether the operators of an exported file are traced."""
    return _EXPORTING.get()


@register
class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras ships no types
    """Batch normalization over the last axis of (batch, height, width, channels) in one fused kernel.

    Keras 3 on TensorFlow composes batch norm from single operators, which read and write the largest maps of the
    network several times. Parameters and results equal those of the stock layer, except that the moving variance uses
    the unbiased estimate (times n / (n − 1)).
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the normalized maps; update the moving mean and variance in training."""
        if not training:
            output, _, _ = tf.compat.v1.nn.fused_batch_norm(
                inputs,
                self.gamma.value,
                self.beta.value,
                mean=self.moving_mean.value,
                variance=self.moving_variance.value,
                epsilon=self.epsilon,
                is_training=False,
            )
            return output
        output, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.value.assign_sub((moving.value - batch) * (1.0 - self.momentum))
        return output


@register
class ChannelStatistics(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """Mean and maximum over the channels: (batch, height, width, channels) → (batch, height, width, 2)."""

    def call(self, inputs: Any) -> Any:
        """Return the two maps, stacked as channels."""
        return tf.concat(
            [tf.reduce_mean(inputs, axis=-1, keepdims=True), tf.reduce_max(inputs, axis=-1, keepdims=True)], axis=-1
        )


@register
class AttentivePooling(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """Mean over the map, weighted by a softmax over its positions.

    Inputs are maps (batch, height, width, channels) and scores (batch, height, width, 1); the output has one value per
    channel (batch, channels).
    """

    def call(self, inputs: Any) -> Any:
        """Return the weighted mean, computed in float32 in every precision."""
        maps, scores = (tf.cast(one, tf.float32) for one in inputs)
        _, height, n_frames, _ = maps.shape
        width = tf.shape(maps)[2] if n_frames is None else n_frames
        weights = tf.nn.softmax(tf.reshape(scores, (-1, height * width)))
        return tf.reduce_sum(maps * tf.reshape(weights, (-1, height, width, 1)), axis=(1, 2))


@register
class GlobalResponseNormalization(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """x + γ · x · n(x) + β, where n is each channel's energy over the map relative to the channels' mean energy.

    Global response normalization (Woo et al., "ConvNeXt V2", 2023) as in CP-Mobile: one γ and one β for all channels,
    both initially 0. The energy is the root mean square over the map; its ratio equals that of the L2 norms.
    """

    def build(self, input_shape: Any) -> None:
        """Create γ and β."""
        self.gamma = self.add_weight(shape=(1,), initializer="zeros", name="gamma")
        self.beta = self.add_weight(shape=(1,), initializer="zeros", name="beta")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return maps of the inputs' shape."""
        # The square root has infinite slope at 0, the energy of a dead channel. The floor is a maximum instead of an
        # added ε, which would be one more constant in the exported file.
        energy = tf.sqrt(tf.maximum(tf.reduce_mean(tf.square(inputs), axis=(1, 2), keepdims=True), 1e-12))
        relative = energy / tf.reduce_mean(energy, axis=-1, keepdims=True)
        return inputs + (inputs * (relative * self.gamma.value) + self.beta.value)


@register
class SubspectralNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # likewise
    """Batch normalization of each channel within each of several sub-bands of equal width.

    Chang et al., "Subspectral normalization for neural audio data processing", ICASSP 2021. Weights are vectors of
    sub-bands × channels, the sub-bands of lower frequencies first.

    Args:
        n_bands: number of sub-bands; divides the bands of the input.
    """

    def __init__(self, n_bands: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.n_bands = n_bands

    def build(self, input_shape: Any) -> None:
        """Create the four vectors."""
        super().build((*input_shape[:-1], self.n_bands * input_shape[-1]))
        self.input_spec = None  # the stock layer's refers to as many channels as it has weights

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the normalized maps; update the moving mean and variance in training."""
        _, n_mels, n_frames, n_channels = inputs.shape
        frames = tf.shape(inputs)[2] if n_frames is None else n_frames
        # Bands of one sub-band are adjacent: four dimensions suffice, which every interpreter broadcasts.
        bands = tf.reshape(inputs, (-1, self.n_bands, n_mels // self.n_bands * frames, n_channels))
        shape = (1, self.n_bands, 1, n_channels)
        mean, variance = self.moving_mean.value, self.moving_variance.value
        if training:
            batch_mean, batch_variance = (tf.reshape(one, (-1,)) for one in tf.nn.moments(bands, axes=(0, 2)))
            for moving, batch in ((self.moving_mean, batch_mean), (self.moving_variance, batch_variance)):
                moving.value.assign_sub((moving.value - batch) * (1.0 - self.momentum))
            mean, variance = batch_mean, batch_variance
        scale = self.gamma.value * tf.math.rsqrt(variance + self.epsilon)
        shift = self.beta.value - mean * scale
        normalized = bands * tf.reshape(scale, shape) + tf.reshape(shift, shape)
        return tf.reshape(normalized, (-1, n_mels, frames, n_channels))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "n_bands": self.n_bands}


@register
class FrequencyMean(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """Mean over frequency: (batch, bands, frames, channels) → (batch, 1, frames, channels)."""

    def call(self, inputs: Any) -> Any:
        """Return the map of one band."""
        return tf.reduce_mean(inputs, axis=1, keepdims=True)


@register
class ResidualNormalization(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """λ · x + (x − μ) / σ, with mean μ and standard deviation σ of each band over frames and channels.

    Kim et al. (DCASE 2021): instance normalization by frequency with a shortcut. It removes what a device does to a
    band, and the shortcut keeps some of what a scene does.

    Args:
        weight: λ.
    """

    FLOOR = 1e-5
    """Least variance."""

    def __init__(self, weight: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.weight = weight

    def call(self, inputs: Any) -> Any:
        """Return maps of the inputs' shape."""
        centred = inputs - tf.reduce_mean(inputs, axis=(2, 3), keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=(2, 3), keepdims=True)
        # A maximum instead of an added ε, which would be one more constant in the exported file.
        normalized = centred / tf.sqrt(tf.maximum(variance, self.FLOOR))
        if self.weight == 0.0:
            return normalized
        return (inputs if self.weight == 1.0 else inputs * self.weight) + normalized

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "weight": self.weight}


@register
class GroupedConv2D(keras.layers.Conv2D):  # type: ignore[misc]  # likewise
    """A convolution in groups of channels: each group of filters reads one group of adjacent channels.

    Weights and results are those of the stock layer. That one compiles the convolution with XLA, which takes many times
    as long on CPUs, and without oneDNN TensorFlow has neither its gradient nor its fused form there. The kernel is
    therefore filled up with zeros to one of all channels, which is faster than a depthwise convolution and sums; in an
    exported file the convolution is one operator in groups.
    """

    def call(self, inputs: Any) -> Any:
        """Return the maps of the filters."""
        kernel = self.kernel.value
        if not is_exporting():
            channels, filters = np.arange(inputs.shape[-1]), np.arange(self.filters)
            is_read = channels[:, None] // kernel.shape[2] == filters // (self.filters // self.groups)
            kernel = tf.tile(kernel, (1, 1, self.groups, 1)) * tf.constant(is_read, kernel.dtype)
        outputs = tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper())
        return tf.nn.bias_add(outputs, self.bias.value) if self.use_bias else outputs


@register
class ChannelShuffle(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """Reordering of the channels: the first of each group, then the second of each, and so on (Zhang et al. 2018).

    Args:
        n_groups: number of groups of adjacent channels; divides the channels.
    """

    def __init__(self, n_groups: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.n_groups = n_groups

    def call(self, inputs: Any) -> Any:
        """Return maps of the inputs' shape."""
        _, n_mels, n_frames, n_channels = inputs.shape
        frames = tf.shape(inputs)[2] if n_frames is None else n_frames
        groups = tf.reshape(inputs, (-1, self.n_groups, n_channels // self.n_groups))  # three dimensions suffice
        return tf.reshape(tf.transpose(groups, (0, 2, 1)), (-1, n_mels, frames, n_channels))

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {**super().get_config(), "n_groups": self.n_groups}


@register
class Mixture(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """p · x + (1 − p) · y of two inputs, with one learned p, initially ½."""

    def build(self, input_shape: Any) -> None:
        """Create p."""
        self.share = self.add_weight(shape=(1,), initializer=keras.initializers.Constant(0.5), name="share")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return maps of the inputs' shape."""
        first, second = inputs
        return second + (first - second) * self.share.value  # one constant in the exported file, not p and 1 − p


@register
class ChannelSequence(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """The channels as time: (batch, bands, frames, channels) → means over the frames (batch, 1, channels, bands)."""

    def call(self, inputs: Any) -> Any:
        """Return a map whose frames are the channels, and whose channels are the bands."""
        return tf.transpose(tf.reduce_mean(inputs, axis=2, keepdims=True), (0, 2, 3, 1))


@register
class GatedRecurrence(keras.layers.Layer):  # type: ignore[misc]  # likewise
    """The recurrent part of a gated recurrent unit: (batch, 1, steps, 3 · units) → (batch, steps).

    The input has what each step's input adds to the reset gate r, the update gate z and the candidate state n, with
    their biases. The result is the mean of the state h after each step:

        r, z = σ(input + R h);  n = tanh(input + r · (R h + b));  h ← n + z · (h − n)

    This is the variant of cuDNN, PyTorch and Keras (`reset_after`), without the second biases of r and z, which would
    only be added to those of the input. The number of steps is fixed, and they are unrolled: exported files have
    neither loops nor variables.

    Args:
        units: size of the state; it is 0 before the first step.
        kernel_regularizer: penalty on R.
    """

    def __init__(self, units: int, kernel_regularizer: Any = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.units = units
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        """Create R and b."""
        self.kernel = self.add_weight(
            shape=(self.units, 3 * self.units),
            initializer="orthogonal",
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return the mean state after each step."""
        gates, candidates = tf.split(tf.squeeze(inputs, axis=1), [2 * self.units, self.units], axis=-1)
        kernel, bias = self.kernel.value, self.bias.value
        states: list[Any] = []
        for gate, candidate in zip(tf.unstack(gates, axis=1), tf.unstack(candidates, axis=1), strict=True):
            if not states:  # without products with the state 0, whose constants the file would hold once more
                reset, update = tf.split(tf.sigmoid(gate), 2, axis=-1)
                new = tf.tanh(candidate + reset * bias)
                states.append(new - update * new)
                continue
            of_gate, of_candidate = tf.split(states[-1] @ kernel, [2 * self.units, self.units], axis=-1)
            reset, update = tf.split(tf.sigmoid(gate + of_gate), 2, axis=-1)
            new = tf.tanh(candidate + reset * (of_candidate + bias))
            states.append(new + update * (states[-1] - new))
        return tf.reduce_mean(tf.stack(states, axis=1), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        penalty = keras.regularizers.serialize(self.kernel_regularizer)
        return {**super().get_config(), "units": self.units, "kernel_regularizer": penalty}
