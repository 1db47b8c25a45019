"""Keras layers: batch norm with TensorFlow's fused kernel, channel statistics, global response normalization."""

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
