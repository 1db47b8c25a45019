"""What breaks a stock full-int8 export, built on purpose: the file still loads under XNNPACK and answers alike."""

import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set, with_random_weights

from asc_models.errors import ExportError
from asc_models.networks.families import BaselineConfig
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import convert, export
from asc_models.tflite.flatbuffer import read_tflite
from asc_models.tflite.quantization.calibration import tensor_ranges
from asc_models.tflite.quantization.probe import probe, require_running
from asc_models.tflite.quantization.recipes import apply
from asc_models.training.builder import build

pytestmark = pytest.mark.system

CLIPS = feature_set(24, deltas=1)


def answers(model, path):
    """Return the network's probabilities and those of its int8 file."""
    export(model, CLIPS.input_shape, path, "int8", CLIPS)
    require_running(path, CLIPS.inputs(slice(0, 2)))
    return model(CLIPS.inputs(slice(None)), training=False).numpy(), Artifact(path).predict(CLIPS)


def dead_relu(model):
    """Make a ReLU zero on every clip: its norm shifts everything far below zero."""
    norm = model.get_layer("block1_depthwise_norm")
    norm.beta.assign(np.full(norm.beta.shape, -1e3))


def dead_channel(model):
    """Prune a channel's kernel altogether and keep its bias, as a norm's decayed scale does."""
    norm = model.get_layer("block1_expand_norm")
    gamma = norm.gamma.numpy().copy()
    gamma[0] = 1e-12
    norm.gamma.assign(gamma)


@pytest.mark.parametrize("breaks", [dead_relu, dead_channel])
def test_what_is_dead_does_not_break_the_file(breaks, tmp_path):
    """A ReLU that is always zero, and a kernel channel that is zero but for its bias, export, load and agree."""
    model = with_random_weights(build(SMALL_MODEL, CLIPS.input_shape, 3))
    breaks(model)
    theirs, ours = answers(model, tmp_path / "model.tflite")
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_what_is_dead_before_a_pooling_does_not_break_the_file(tmp_path):
    """A map that is always zero, pooled and taken by the next convolution: the pooling hands on the widened range."""
    config = BaselineConfig(filters=(2, 2, 2), dense_units=5, pools=((5, 5), (2, 2)))
    model = with_random_weights(build(config, CLIPS.input_shape, 3))
    for name, shift in (("conv2_norm", -1e3), ("conv3_norm", -3.0)):
        norm = model.get_layer(name)
        norm.beta.assign(np.full(norm.beta.shape, shift))
    theirs, ours = answers(model, tmp_path / "model.tflite")
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_a_scale_that_xnnpack_refuses_is_found_out(tmp_path):
    """Without the floor under ranges, the same dead ReLU gives a file that the probe refuses, in words."""
    from ai_edge_quantizer import recipe

    model = with_random_weights(build(SMALL_MODEL, CLIPS.input_shape, 3))
    dead_relu(model)
    content = convert(model, CLIPS.input_shape)
    manager = type("Recipe", (), {"get_quantization_recipe": staticmethod(recipe.static_wi8_ai8)})
    path = tmp_path / "model.tflite"
    path.write_bytes(apply(content, manager, tensor_ranges(content, CLIPS)))
    assert probe(path, CLIPS.inputs(slice(0, 1)), "xnnpack")
    with pytest.raises(ExportError, match=r"model.tflite: does not run with XNNPACK.*another mode"):
        require_running(path, CLIPS.inputs(slice(0, 1)))


def test_convolutions_run_in_integers_and_softmax_in_float(tmp_path):
    """Convolutions with an activation have int8 inputs, outputs and kernels; softmax, input and output are float."""
    model = with_random_weights(build(SMALL_MODEL, CLIPS.input_shape, 3))
    answers(model, tmp_path / "model.tflite")
    graph = read_tflite(tmp_path / "model.tflite").graph
    types = {}
    for operator in graph.operators:
        used = [graph.type_name(tensor) for tensor in (*operator.inputs, *operator.outputs)]
        types.setdefault(operator.name, []).append(used)
    assert types["DEPTHWISE_CONV_2D"] == [["INT8", "INT8", "INT32", "INT8"]] * 2
    assert types["CONV_2D"].count(["INT8", "INT8", "INT32", "INT8"]) == 2  # the expansions
    assert types["SOFTMAX"] == [["FLOAT32", "FLOAT32"]]
    (entry,) = (tensor for tensor in range(graph.n_tensors) if graph.name(tensor) == "log_mel")
    assert graph.type_name(entry) == "FLOAT32"


def test_a_first_convolution_of_one_channel_runs_in_integers(tmp_path):
    """Without deltas the input has one scale of its own, and the stem is an integer convolution too."""
    clips = feature_set(8)
    model = with_random_weights(build(SMALL_MODEL, clips.input_shape, 3))
    export(model, clips.input_shape, tmp_path / "model.tflite", "int8", clips)
    graph = read_tflite(tmp_path / "model.tflite").graph
    kernels = [operator.inputs[1] for operator in graph.operators if operator.name == "CONV_2D"]
    assert [graph.type_name(kernel) for kernel in kernels].count("INT8") == 3
