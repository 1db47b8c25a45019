"""Depthwise convolutions of several branches: what is trained, and what is left of it."""

from __future__ import annotations

import numpy as np
import pytest
from asc_models_support import NETWORKS, feature_set, n_params_at_inference, with_random_weights
from pydantic import ValidationError

from asc_models.config import TrainConfig
from asc_models.networks.families.residual_network import ModelConfig, StageConfig
from asc_models.tflite.export import convert
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.template import file_constants, find_template
from asc_models.training.averaging import estimate_statistics
from asc_models.training.branches import BranchedDepthwise
from asc_models.training.builder import build
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

BRANCHED = NETWORKS["depthwise branches"]
SHAPE = (32, 40, 3)


def layer_of(kernel_size, n_branches, stride, n_channels=5) -> BranchedDepthwise:
    """Return a layer with random weights."""
    layer = BranchedDepthwise(kernel_size, n_branches, stride)
    layer.build((None, None, None, n_channels))
    return with_random_weights(layer)


@pytest.mark.parametrize("size", [(8, 9), (9, 8)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
@pytest.mark.parametrize("kernel_size", [(3, 3), (5, 5), (3, 1)])
@pytest.mark.parametrize("n_branches", [1, 3])
def test_the_folded_convolution_answers_as_all_branches_do(kernel_size, n_branches, stride, size):
    """Each branch with the statistics of its norm, added up by hand; edges and even sizes included."""
    import keras

    layer = layer_of(kernel_size, n_branches, stride)
    x = np.random.default_rng(0).normal(size=(2, *size, 5)).astype(np.float32)
    outputs = [keras.ops.depthwise_conv(x, kernel, strides=stride, padding="same") for kernel in layer.kernels]
    outputs += [x] if stride == (1, 1) else []
    assert len(outputs) == len(layer.norms) == n_branches + (stride == (1, 1))
    expected = sum(np.asarray(norm(one, training=False)) for norm, one in zip(layer.norms, outputs, strict=True))
    np.testing.assert_allclose(np.asarray(layer(x, training=False)), expected, atol=2e-5)
    assert layer.compute_output_shape(x.shape) == expected.shape


def test_training_normalizes_each_branch_by_its_own_batch():
    """So the mean of their sum is that of the norms' shifts, whatever the input's; each norm learns statistics."""
    layer = layer_of((3, 3), 1, (1, 1))
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(64, 20, 20, 5)).astype(np.float32)
    before = [norm.moving_mean.numpy() for norm in layer.norms]
    mean = np.asarray(layer(x, training=True)).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, sum(norm.beta.numpy() for norm in layer.norms), atol=1e-4)
    moved = [np.abs(norm.moving_mean.numpy() - old).max() for norm, old in zip(layer.norms, before, strict=True)]
    assert min(moved) > 1e-4
    kernel, bias = layer.folded()
    assert (kernel.shape, bias.shape) == ((3, 3, 5), (5,))


def test_a_file_has_one_convolution_for_all_branches():
    """Its operators are those of the same network without branches, and its weights are replaced by a template."""
    plain = BRANCHED.updated(depthwise_branches=0)
    files = {}
    for config in (plain, BRANCHED):
        files[config] = convert(with_random_weights(build(config, SHAPE, 10)), SHAPE)
    kinds = [[operator.name for operator in TfliteFile(content, "file").graph.operators] for content in files.values()]
    assert kinds[0] == kinds[1]
    model = with_random_weights(build(BRANCHED, SHAPE, 10), seed=1)
    assert model.count_params() > n_params_at_inference(model) == build(plain, SHAPE, 10).count_params()
    template = find_template(files[BRANCHED], file_constants(with_random_weights(build(BRANCHED, SHAPE, 10))))
    assert template is not None
    assert template.filled(file_constants(model)) == convert(model, SHAPE)


def test_statistics_of_every_branch_are_estimated_anew_for_averaged_weights():
    """Means over one batch are those that a training step measures."""
    model = with_random_weights(build(BRANCHED, SHAPE, 10))
    x = np.random.default_rng(0).normal(size=(16, *SHAPE)).astype(np.float32)
    estimate_statistics(model, [x])
    layer = model.get_layer("block1_depthwise")
    import keras

    entering = keras.Model(model.input, layer.input)(x, training=True)
    ours = [norm.moving_mean.numpy() for norm in layer.norms]
    branches = [layer._convolved(entering, kernel.value) for kernel in layer.kernels]
    expected = [np.asarray(one).mean(axis=(0, 1, 2)) for one in branches]
    assert len(ours) == len(expected)  # the first block has a stride: no branch is its input
    for mean, measured in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mean, measured, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_training_with_branches_resumes_as_if_never_interrupted(precision, tmp_path):
    """The checkpoint has the weights and statistics of all branches."""
    data = feature_set(24, n_mels=32, n_frames=40, deltas=2)
    train = TrainConfig(batch_size=8, learning_rate=0.05, precision=precision)
    whole, first, second = (Trainer(BRANCHED, train, data, seed=0) for _ in range(3))
    whole.train_to(4)
    first.train_to(2)
    first.save(tmp_path / "checkpoint.npz")
    second.load(tmp_path / "checkpoint.npz")
    second.train_to(4)
    for ours, theirs in zip(second.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)


def test_branches_need_a_norm_of_their_own():
    """Without norms the sum of kernels is one kernel in training, too."""
    with pytest.raises(ValidationError, match="depthwise_branches 2 needs normalization: batch"):
        ModelConfig(depthwise_branches=2, normalization="none", stages=(StageConfig(filters=8),))
    assert ModelConfig(depthwise_branches=0).hash() == ModelConfig().hash()
    assert ModelConfig(depthwise_branches=1).hash() != ModelConfig().hash()
