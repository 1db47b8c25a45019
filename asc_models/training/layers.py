"""Keras layers: normalizations, pooling, and statistics over channels or frequency."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

if keras.config.backend() != "tensorflow":
    raise ImportError(f"Keras uses the backend {keras.config.backend()}: import asc_models before keras.")
keras.config.set_floatx("float32")  # overrides the user's keras.json
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")

register = keras.saving.register_keras_serializable(package="asc_models")


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
