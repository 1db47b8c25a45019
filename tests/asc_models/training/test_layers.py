"""What the layers compute, against independent implementations."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from asc_models.networks.families import Tan2025Config
from asc_models.networks.layer_table import layers
from asc_models.training.builder import build
from asc_models.training.depthwise import DepthwiseConv2D, depthwise_convolution
from asc_models.training.layers import (
    ChannelSequence,
    ChannelShuffle,
    GatedRecurrence,
    GroupedConv2D,
    Mixture,
    exporting,
)

pytestmark = pytest.mark.system

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def randomized(layer, *inputs):
    """Return the layer, built on `inputs`, with random weights."""
    layer(inputs[0] if len(inputs) == 1 else list(inputs))
    for weight in layer.weights:
        weight.assign(normal(*weight.shape))
    return layer


@pytest.mark.parametrize(
    ("groups", "n_channels", "filters", "kernel_size", "stride", "bias"),
    [(12, 24, 24, (1, 3), 1, False), (2, 8, 6, (5, 1), 1, True), (3, 3, 9, 3, 2, False), (4, 12, 4, 1, 1, True)],
)
def test_a_grouped_convolution_is_keras_own_in_training_too(groups, n_channels, filters, kernel_size, stride, bias):
    """Values and gradients equal those of the convolutions of each group by itself; training computes what inference
    does."""
    import tensorflow as tf

    x = tf.constant(normal(2, 7, 10, n_channels))
    layer = GroupedConv2D(
        filters, kernel_size, strides=stride, padding="same", groups=groups, use_bias=bias, name="grouped"
    )
    randomized(layer, x)
    bias_value = layer.bias.value if bias else tf.zeros(filters)
    with tf.GradientTape(persistent=True) as tape:
        parts = [
            tf.nn.conv2d(part, kernel, stride, "SAME")
            for part, kernel in zip(tf.split(x, groups, -1), tf.split(layer.kernel.value, groups, -1), strict=True)
        ]
        expected = tf.concat(parts, -1) + bias_value
        trained = layer(x, training=True)
        losses = [tf.reduce_sum(tf.sin(y)) for y in (expected, trained)]
    np.testing.assert_allclose(trained, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(x, training=False), expected, rtol=1e-4, atol=1e-5)
    wanted, found = (tape.gradient(loss, layer.kernel.value) for loss in losses)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("n_steps", "units"), [(1, 4), (2, 1), (9, 6)])
def test_the_recurrent_unit_is_keras_own(n_steps, units):
    """With one bias for the gates, its states are those of Keras' GRU after each step, here as their mean; the input's
    part is computed for all steps at once."""
    x = normal(3, n_steps, 5)
    theirs = keras.layers.GRU(units, return_sequences=True, reset_after=True)
    theirs.build(x.shape)
    kernel, recurrent, of_input, of_state = (
        normal(5, 3 * units),
        normal(units, 3 * units),
        normal(3 * units),
        normal(units),
    )
    order = np.r_[units : 2 * units, :units, 2 * units : 3 * units]  # theirs has the update gate first
    candidate_only = np.concatenate([np.zeros(2 * units, np.float32), of_state])
    theirs.set_weights([kernel[:, order], recurrent[:, order], np.stack([of_input[order], candidate_only])])
    gates = (x @ kernel + of_input)[:, None]
    ours = GatedRecurrence(units)
    ours.build(gates.shape)
    ours.set_weights([recurrent, of_state])
    expected = np.asarray(theirs(x)).mean(axis=-1)
    np.testing.assert_allclose(ours(gates), expected, rtol=1e-4, atol=1e-5)
    assert np.asarray(ours(gates)).std() > 0.01


def test_a_shuffle_takes_one_channel_of_each_group_in_turn():
    """Channels 0 to 5 in two groups come out as 0, 3, 1, 4, 2, 5, at every position."""
    x = normal(2, 3, 4, 6)
    np.testing.assert_array_equal(ChannelShuffle(2)(x), x[..., [0, 3, 1, 4, 2, 5]])


def test_a_mixture_begins_as_the_mean():
    """And is p of the first and 1 − p of the second."""
    first, second = normal(2, 3, 4, 5), normal(2, 3, 4, 5)
    layer = Mixture()
    np.testing.assert_allclose(layer([first, second]), (first + second) / 2, rtol=1e-5, atol=1e-6)
    layer.share.assign([0.2])
    np.testing.assert_allclose(layer([first, second]), 0.2 * first + 0.8 * second, rtol=1e-5, atol=1e-6)


def test_the_sequence_has_a_step_per_channel():
    """A step is the channel's mean over the frames, in every band."""
    x = normal(2, 3, 4, 5)
    sequence = np.asarray(ChannelSequence()(x))
    assert sequence.shape == (2, 1, 5, 3)
    np.testing.assert_allclose(sequence[1, 0, 3], x[1, :, :, 3].mean(axis=1), rtol=1e-5, atol=1e-6)


def test_squeeze_and_excitation_scale_by_the_average():
    """σ(W₂ relu(W₁ mean + b₁) + b₂) times the map, by channel."""
    model = build(Tan2025Config(base_channels=8, gru_units=0), (32, 20, 1), 3)
    reduce, restore = model.get_layer("stem_excite_reduce"), model.get_layer("stem_excite_restore")
    scale = model.get_layer("stem_excite_scale")
    for layer in (reduce, restore):
        layer.set_weights([normal(*weight.shape) for weight in layer.weights])
    maps, scaled = keras.Model(model.input, [scale.input[0], scale.output])(normal(2, 32, 20, 1))
    maps = maps.numpy()
    (w1, b1), (w2, b2) = reduce.get_weights(), restore.get_weights()
    scores = np.maximum(maps.mean(axis=(1, 2)) @ w1 + b1, 0) @ w2 + b2
    np.testing.assert_allclose(scaled, maps / (1 + np.exp(-scores))[:, None, None], rtol=1e-4, atol=1e-5)


def test_layers_are_read_back_from_a_saved_network(tmp_path):
    """A saved network gives the same answers after `keras.models.load_model`, and has a penalty on every kernel."""
    network = Tan2025Config(base_channels=8, head_channels=4, gru_units=6)
    model = build(network, (32, 20, 1), 3, weight_decay=1e-4)
    model.save(tmp_path / "model.keras")
    x = normal(2, 32, 20, 1)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x, training=False), model(x, training=False))
    assert len(again.losses) == sum(layer.n_kernel > 0 for layer in layers(network, (32, 20, 1), 3))


@pytest.mark.parametrize("stride", [(2, 1), (1, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("kernel_size", [(3, 3), (5, 5), (5, 1)])
@pytest.mark.parametrize("size", [(16, 21), (17, 20), (5, 4)])
def test_a_stride_that_differs_is_that_of_one_operator(stride, kernel_size, size):
    """Window by window, at sizes where 'same' pads differently."""
    x = normal(2, *size, 3)
    layer = randomized(DepthwiseConv2D(kernel_size, strides=stride, padding="same", use_bias=True), x)
    kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
    n_out = [-(-n // step) for n, step in zip(size, stride, strict=True)]
    spans = zip(n_out, stride, kernel_size, size, strict=True)
    totals = [max((n - 1) * step + width - n_in, 0) for n, step, width, n_in in spans]
    padded = np.pad(x, ((0, 0), *((total // 2, total - total // 2) for total in totals), (0, 0)))
    expected = np.empty((2, *n_out, 3))
    for row, column in np.ndindex(*n_out):
        top, left = row * stride[0], column * stride[1]
        window = padded[:, top : top + kernel_size[0], left : left + kernel_size[1]]
        expected[:, row, column] = (window * kernel[..., 0]).sum(axis=(1, 2)) + bias
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 3), (2, 1)])
@pytest.mark.parametrize("kernel_size", [(1, 1), (3, 3), (5, 5), (3, 7), (7, 4), (1, 5)])
@pytest.mark.parametrize("size", [(16, 21), (17, 20), (5, 4)])
def test_gradients_of_a_depthwise_convolution_are_those_of_sums(dtype, stride, kernel_size, size):
    """Of shifted products, at sizes where 'same' pads differently; small integers, which bfloat16 adds exactly."""
    x, kernel = (RNG.integers(-2, 3, shape).astype(np.float32) for shape in ((2, *size, 16), (*kernel_size, 16, 1)))
    n_out = [-(-n // step) for n, step in zip(size, stride, strict=True)]
    upstream = RNG.integers(-1, 2, (2, *n_out, 16)).astype(np.float32)
    spans = zip(n_out, stride, kernel_size, size, strict=True)
    totals = [max((n - 1) * step + width - n_in, 0) for n, step, width, n_in in spans]
    margins = [(total // 2, total - total // 2) for total in totals]
    padded = np.pad(x, ((0, 0), *margins, (0, 0)))
    of_padded, of_kernel = np.zeros_like(padded), np.empty_like(kernel)
    for row, column in np.ndindex(*kernel_size):
        rows, columns = (
            slice(first, first + (n - 1) * step + 1, step)
            for first, n, step in zip((row, column), n_out, stride, strict=True)
        )
        of_kernel[row, column, :, 0] = (padded[:, rows, columns] * upstream).sum(axis=(0, 1, 2))
        of_padded[:, rows, columns] += upstream * kernel[row, column, :, 0]
    of_input = of_padded[:, margins[0][0] :, margins[1][0] :][:, : size[0], : size[1]]

    @tf.function
    def gradients(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            outputs = depthwise_convolution(x, kernel, stride)
            loss = tf.reduce_sum(outputs * tf.cast(upstream, dtype))
        return tape.gradient(loss, (x, kernel))

    found = [one.numpy().astype(np.float32) for one in gradients(tf.cast(x, dtype), tf.cast(kernel, dtype))]
    np.testing.assert_allclose(found[0], of_input, atol=1e-4, rtol=0.01 if dtype == "bfloat16" else 1e-5)
    np.testing.assert_allclose(found[1], of_kernel, atol=1e-4, rtol=0.01 if dtype == "bfloat16" else 1e-5)


def test_an_export_has_one_operator_for_a_stride_that_differs():
    """Whatever the training does instead."""

    def operators():
        function = tf.function(lambda x: layer(x)).get_concrete_function(tf.TensorSpec((1, 8, 8, 3)))
        return {operation.type for operation in function.graph.get_operations()}

    layer = randomized(DepthwiseConv2D(3, strides=(2, 1), padding="same"), normal(1, 8, 8, 3))
    assert {"Pad", "StridedSlice"} <= operators() or {"PadV2", "StridedSlice"} <= operators()
    with exporting():
        assert not {"Pad", "PadV2", "StridedSlice"} & operators()


WITHOUT_ONEDNN = """
import numpy as np
from asc_models.config import TrainConfig
from asc_models.networks.families import parse_network
from asc_models.training.trainer import Trainer
from asc_models_support import feature_set
for network in {networks!r}:
    data = feature_set(16, n_mels=32, n_frames=40)
    trainer = Trainer(parse_network(network), TrainConfig(batch_size=8), data, seed=0)
    trainer.train_to(1)
    assert np.isfinite(trainer.predict(data)).all()
"""


def test_networks_train_without_onednn():
    """As on a GPU or another processor, TensorFlow then has fewer operators: strides that differ, groups."""
    networks = [
        {"family": "cp_mobile", "n_blocks": [1, 1], "strides": {2: [2, 1]}},
        {"family": "tan2025", "base_channels": 8, "head_channels": 4, "gru_units": 4},
        {"family": "inverted_residual", "stages": [{"filters": 8, "stride": [1, 2]}], "depthwise_branches": 2},
    ]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    code = WITHOUT_ONEDNN.format(networks=networks)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
