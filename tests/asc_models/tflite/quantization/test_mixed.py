"""Large kernels in int8 where a limit allows it, chosen by how sensitive they are."""

from __future__ import annotations

import numpy as np
import pytest
from asc_models_support import NETWORKS, feature_set, with_random_weights

from asc_models.errors import ExportError
from asc_models.networks.estimate import estimate, layer_bytes
from asc_models.networks.families import BcResnetConfig, BlockConfig, CpMobileConfig, ModelConfig, Tan2025Config
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.compact import compact
from asc_models.tflite.export import convert, export
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.measure import measure, sizes_of
from asc_models.tflite.quantization.drift import layer_name
from asc_models.tflite.quantization.mixed import mixed_within, sensitivities
from asc_models.tflite.quantization.probe import require_running
from asc_models.training.builder import build

pytestmark = pytest.mark.system

CLIPS = feature_set(12)
WIDE = ModelConfig(stem_filters=8, blocks=(BlockConfig(filters=32),) * 3, expansion=5, attention="none")
LARGE = {
    "inverted_residual": ModelConfig(stem_filters=8, blocks=(BlockConfig(filters=64),) * 2, reduction_ratio=1),
    "dcase_baseline": NETWORKS["dcase_baseline"].updated(filters=(16, 16, 24), dense_units=100),
    "cp_mobile": CpMobileConfig(base_channels=64, n_blocks=(1,), strides={}),
    "bc_resnet": BcResnetConfig(base_channels=48, multipliers=(1.0,), n_blocks=(1,), n_pools=0),
    "tan2025": Tan2025Config(base_channels=24, head_channels=4, gru_units=40),
}
"""Networks of every family with large kernels, among them kernels that several operators read."""


@pytest.fixture(scope="module")
def wide():
    """Return the float32 file of a network with four large kernels."""
    return convert(random_network(), CLIPS.input_shape)


def random_network(seed=0):
    """Return a network with kernels of normal values, whose activations stay in range."""
    model, rng = build(WIDE, CLIPS.input_shape, 3), np.random.default_rng(seed)
    for variable in model.weights:
        if len(variable.shape) > 1:
            fan_in = np.prod(variable.shape[:-1])
            variable.assign(rng.normal(0, 1.4 / np.sqrt(fan_in), variable.shape))
        elif "bias" in variable.name or "beta" in variable.name:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    return model


def int4_layers(content, floats):
    """Return the names of the layers whose kernels are int4, in order; the quantizer keeps the order of operators."""
    before, after = TfliteFile(floats, "floats").graph, TfliteFile(content, "file").graph
    stored = {operator.outputs[0]: operator.inputs[0] for operator in after.operators if operator.name == "DEQUANTIZE"}
    quantized = [operator for operator in after.operators if operator.name != "DEQUANTIZE"]
    return [
        layer_name(before.name(one.outputs[0]))
        for one, other in zip(before.operators, quantized, strict=True)
        if len(other.inputs) > 1 and after.type_name(stored.get(other.inputs[1], 0)) == "INT4"
    ]


def sizes(content):
    return sizes_of(TfliteFile(compact(content), "file"))


def test_the_file_fills_the_limit_as_computed(wide):
    """From all int4 to all int8, the file is within the limit, and as large as the estimate with the chosen layers."""
    table = estimate(WIDE, CLIPS.input_shape, 3)
    least, most = table.weight_bytes["int4_int8_weights"], table.weight_bytes["int8_weights"]
    found = []
    for limit in (least, (least + most) // 2, most - 1, most):
        content = mixed_within(wide, CLIPS, {"weight_bytes": limit})
        names = int4_layers(content, wide)
        chosen = [layer for layer in table.layers if any(name.startswith(layer.name) for name in names)]
        saved = sum(layer_bytes(one, "int8_weights") - layer_bytes(one, "int4_int8_weights") for one in chosen)
        assert sizes(content).weight_bytes == most - saved <= limit
        found.append(len(chosen))
    assert found == [4, 2, 1, 0]


def test_the_choice_is_the_same_every_time(wide):
    """Byte for byte."""
    limits = {"weight_bytes": estimate(WIDE, CLIPS.input_shape, 3).weight_bytes["int8_weights"] - 1}
    assert mixed_within(wide, CLIPS, limits) == mixed_within(wide, CLIPS, limits)


def test_a_fragile_layer_stays_in_int8():
    """A layer of which every output channel has one huge weight, so that the steps of int4 leave nothing of the others.

    The huge weights read a channel that is always zero: the network's answers are not changed by them. To save enough
    for all other large kernels, these are int4, and that one stays int8.
    """
    model = random_network()
    content = convert(model, CLIPS.input_shape)
    names = {kernel.name for kernel in sensitivities(content, CLIPS)}
    fragile = next(name for name in sorted(names) if name.startswith("block2_project"))
    dead = model.get_layer("block2_depthwise_norm")
    for variable, value in ((dead.gamma, 1e-6), (dead.beta, 0.0)):
        values = variable.numpy()
        values[0] = value
        variable.assign(values)
    kernel = model.get_layer("block2_project").kernel
    values = np.asarray(kernel).copy()
    values[:, :, 0] = 8 * np.abs(values).max(axis=(0, 1, 2))
    kernel.assign(values)
    content = convert(model, CLIPS.input_shape)
    kernels = sensitivities(content, CLIPS)
    ranked = sorted(kernels, key=lambda one: one.divergence)
    assert ranked[-1].name == fragile
    assert ranked[-1].divergence > 3 * ranked[-2].divergence
    need = sum(one.saved["weight_bytes"] for one in ranked[:-1])
    whole = estimate(WIDE, CLIPS.input_shape, 3).weight_bytes["int8_weights"]
    mixed = mixed_within(content, CLIPS, {"weight_bytes": whole - need})
    assert sizes(mixed).weight_bytes == whole - need
    assert set(int4_layers(mixed, content)) == names - {fragile}


@pytest.mark.parametrize("family", LARGE)
def test_every_family_has_mixed_files(family, tmp_path):
    """Halfway between all int4 and all int8, each family's file runs, is within the limit, and between the two."""
    network, clips = LARGE[family], feature_set(6, n_mels=32, n_frames=40, deltas=2)
    model = with_random_weights(build(network, clips.input_shape, 3))
    table = estimate(network, clips.input_shape, 3)
    least, most = table.weight_bytes["int4_int8_weights"], table.weight_bytes["int8_weights"]
    limit, path = (least + most) // 2, tmp_path / "model.tflite"
    export(model, clips.input_shape, path, "int4_int8_weights", clips, {"weight_bytes": limit})
    assert least < measure(path).weight_bytes <= limit < most
    require_running(path, clips.inputs(slice(0, 1)))
    np.testing.assert_allclose(Artifact(path).predict(clips).sum(axis=1), 1.0, atol=1e-5)


def test_a_limit_below_all_int4_is_told(wide):
    """The error has the bytes, the limit and the way out."""
    least = estimate(WIDE, CLIPS.input_shape, 3).weight_bytes["int4_int8_weights"]
    told = f"all 4 large kernels in int4: weight_bytes {least:,} over {least - 1:,} by 1. Narrow.*raise the limit"
    with pytest.raises(ExportError, match=told):
        mixed_within(wide, CLIPS, {"weight_bytes": least - 1})


def test_all_limits_are_kept(wide):
    """Non-zero bytes are counted as they are stored, and a limit on the file narrows further kernels."""
    every = sizes(mixed_within(wide, CLIPS, {"weight_bytes": 10**9}))
    limit = every.nonzero_weight_bytes - 1
    by_nonzero = sizes(mixed_within(wide, CLIPS, {"nonzero_weight_bytes": limit}))
    assert by_nonzero.nonzero_weight_bytes <= limit
    limits = {"nonzero_weight_bytes": limit, "file_bytes": by_nonzero.file_bytes - 1_000}
    smaller = sizes(mixed_within(wide, CLIPS, limits))
    assert smaller.nonzero_weight_bytes < by_nonzero.nonzero_weight_bytes
    assert smaller.file_bytes <= limits["file_bytes"]
