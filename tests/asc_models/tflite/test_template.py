"""Files made from a template are the converter's own, whatever the network."""

import keras
import numpy as np
import pytest
from asc_models_support import NETWORK_CONFIGS, NETWORKS, SMALL_MODEL, STAGES, with_random_weights
from hypothesis import given, settings
from hypothesis import strategies as st

from asc_models.networks.families import ModelConfig, StageConfig
from asc_models.tflite.export import convert
from asc_models.tflite.flatbuffer import TfliteFile, buffer_views
from asc_models.tflite.quantization.quantize import quantize
from asc_models.tflite.template import file_constants, find_template
from asc_models.training.builder import build

pytestmark = pytest.mark.system

SHAPE = (32, 40, 3)


def assert_filled_is_converted(config, conversion="float32", seed=0):
    """A template of one set of weights, filled with another, is the file that the converter makes of the latter."""
    model = with_random_weights(build(config, SHAPE, 10), seed)
    template = find_template(convert(model, SHAPE, conversion), file_constants(model))
    assert template is not None
    with_random_weights(model, seed + 1)
    assert template.filled(file_constants(model)) == convert(model, SHAPE, conversion)


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_every_network_has_a_template(config):
    """Each family's and block's file, filled with other weights, is byte for byte the converter's of those weights."""
    assert_filled_is_converted(config)


def test_float16_files_are_templates_too():
    """So are the converter's files of half the width."""
    assert_filled_is_converted(ModelConfig(stages=STAGES, stem_filters=8), "float16")


@pytest.mark.parametrize("attention", ["none", "channel", "spatial", "casam"])
def test_every_kind_of_attention_has_a_template(attention):
    """So is that of each kind of attention, with a batch norm that can't fold and strides that differ."""
    assert_filled_is_converted(ModelConfig(stages=STAGES, stem_filters=8, attention=attention, input_norm=True))


@settings(max_examples=6, deadline=None)
@given(config=st.one_of(*NETWORK_CONFIGS.values()), seed=st.integers(0, 9))
def test_random_networks_have_templates(config, seed):
    """So are those of networks of any settings: blocks, kernels, activations, heads, with and without batch norm."""
    assert_filled_is_converted(config, seed=seed)


@pytest.mark.full
@pytest.mark.timeout(3600)
@settings(max_examples=200, deadline=None)
@given(config=st.one_of(*NETWORK_CONFIGS.values()), seed=st.integers(0, 9))
def test_hundreds_of_random_networks_have_templates(config, seed):
    """The same over two hundred networks."""
    assert_filled_is_converted(config, seed=seed)


def test_zeros_and_equal_constants_hold_the_template_while_they_stay():
    """An untrained network's biases are zeros like the converter's own: its template takes no others in their place."""
    config = SMALL_MODEL.updated(normalization="none", attention="casam")
    model = build(config, SHAPE, 10)
    template = find_template(convert(model, SHAPE), file_constants(model))
    assert template.fixed
    stem = model.get_layer("stem")
    stem.kernel.assign(0.5 * stem.kernel)
    assert template.filled(file_constants(model)) == convert(model, SHAPE)
    stem.bias.assign(stem.bias + 0.25)
    assert template.filled(file_constants(model)) is None


def test_weights_that_the_file_holds_in_another_form_give_no_template():
    """Where a layer computes its factors from its weights, nobody can tell which they are: no template."""

    class Doubled(keras.layers.Layer):
        """Twice a weight times the input."""

        def build(self, input_shape):
            """Make the weight."""
            self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

        def call(self, inputs):
            """Return the product."""
            return inputs * (2 * self.factor.value)

    inputs = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(Doubled(name="doubled")(inputs))
    model = with_random_weights(keras.Model(inputs, keras.layers.Dense(4, name="logits")(x)))
    assert find_template(convert(model, SHAPE), file_constants(model)) is None


def test_the_converters_own_quantization_has_no_template():
    """A file whose kernels the converter has quantized holds none of the network's own: it is converted every time."""
    model = with_random_weights(build(ModelConfig(), SHAPE, 10))
    assert find_template(convert(model, SHAPE, "dynamic_range"), file_constants(model)) is None


def test_views_of_buffers_are_the_files_constants():
    """Each buffer's view holds the bytes that the file's reader gives, behind the flatbuffer as in it."""
    stages = tuple(StageConfig(filters=64, stride=2) for _ in range(3))
    model = with_random_weights(build(ModelConfig(stages=stages, block="residual"), SHAPE, 10))
    floats = convert(model, SHAPE)
    for content in (floats, quantize(floats, "int8_weights")):
        graph, views = TfliteFile(content, "test").graph, buffer_views(bytearray(content))
        constants = [tensor for tensor in range(graph.n_tensors) if graph.data(tensor) is not None]
        assert len(constants) > 10
        for tensor in constants:
            np.testing.assert_array_equal(views[graph.buffer(tensor)], graph.data(tensor))
