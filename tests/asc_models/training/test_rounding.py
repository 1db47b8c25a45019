"""Training for int4: rounded kernels in steps, between epochs, in averages and in files."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from asc_models_support import feature_set
from hypothesis import given
from hypothesis import strategies as st

from asc_models.config import TrainConfig
from asc_models.networks.estimate import is_int4
from asc_models.networks.families import (
    BaselineConfig,
    BcResnetConfig,
    BlockConfig,
    CpMobileConfig,
    ModelConfig,
    Tan2025Config,
)
from asc_models.networks.layer_table import layers
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import convert, export
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.quantization.recipes import is_rounded, large_kernels
from asc_models.training.fit import fit
from asc_models.training.kernels import kernels_of
from asc_models.training.rounding import LARGEST, ranges, rounded
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

NETWORK = ModelConfig(
    stem_filters=40, blocks=(BlockConfig(filters=40, stride=2), BlockConfig(filters=40)), expansion=3, attention="casam"
)
"""Two expansions and two projections are int4: 40 · 120 weights each."""
RECIPE = TrainConfig(epochs=5, batch_size=8, learning_rate=0.05, schedule="cosine", int4_share=0.4)
CLIPS = feature_set(24, 4, n_mels=32, n_frames=24)
FAMILIES = {
    "inverted_residual": NETWORK,
    "branches": NETWORK.updated(depthwise_branches=3, attention="none"),
    "dcase_baseline": BaselineConfig(filters=(16, 16, 24), dense_units=100, pools=((4, 2), (2, 2))),
    "cp_mobile": CpMobileConfig(base_channels=64, n_blocks=(1,), strides={}),
    "bc_resnet": BcResnetConfig(base_channels=48, multipliers=(1.0,), n_blocks=(1,), n_pools=0),
    "tan2025": Tan2025Config(base_channels=24, head_channels=4, gru_units=40),
}


def int4_names(network):
    return [layer.name for layer in layers(network, CLIPS.network_shape, 4) if is_int4(layer)]


def kernels(trainer, model=None):
    """Return copies of the kernels that are int4 in the file."""
    return [kernel.numpy() for kernel in kernels_of(model or trainer.model, int4_names(NETWORK))]


def started(**changes):
    return Trainer(NETWORK, RECIPE.updated(**changes), CLIPS, seed=3, mode="int4_int8_weights")


@cache
def plain():
    """Return the kernels after three epochs without rounding, which is how the recipe begins."""
    trainer = started(int4_share=0.0)
    trainer.train_to(3)
    return kernels(trainer)


def on_grid(kernel):
    """Return whether a kernel of Keras's order has at most 15 values per channel, multiples of a seventh."""
    return is_rounded(np.moveaxis(kernel, -1, 0))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(400, 800),
    st.sampled_from(["normal", "laplace", "logistic"]),
    st.sampled_from([1e-4, 1.0, 50.0]),
)
def test_ranges_minimize_the_squared_error_of_rounding(seed, n_weights, distribution, scale):
    """No range of a fine grid has an error smaller by more than 2 %, by OCTAV's own model: uniform noise, clipping."""
    kernel = getattr(np.random.default_rng(seed), distribution)(0.0, scale, (n_weights, 3)).astype(np.float32)
    found = ranges(kernel)
    assert np.all(found <= np.abs(kernel).max(axis=0) * (1 + 1e-6))
    magnitudes = np.abs(kernel).astype(float)

    def error(c):
        return np.where(magnitudes >= c, (magnitudes - c) ** 2, 4.0**-4 / 3 * c**2).sum(axis=0)

    others = [error(share * magnitudes.max(axis=0)) for share in np.linspace(0.02, 1.0, 99)]
    assert np.all(error(found) <= 1.02 * np.min(others, axis=0))


def test_ranges_are_the_exports():
    """They are those that the quantizer computes for the same kernel, so that a training learns what is exported."""
    from ai_edge_quantizer.algorithms.uniform_quantize import octav

    kernel = np.random.default_rng(0).normal(0.0, 0.1, (120, 40)).astype(np.float32)
    theirs = octav._guess_clipping_with_octav(kernel, 4, 0, 10, 3.0)[0]
    np.testing.assert_allclose(ranges(kernel), theirs, rtol=1e-4)


@pytest.mark.parametrize(
    "kernel",
    [np.zeros((6, 2)), np.full((6, 2), -0.25), np.array([[1e-30, 3.0], [-1e-30, -3.0]])],
    ids=["zeros", "one magnitude", "tiny"],
)
def test_degenerate_channels_are_rounded_without_loss(kernel):
    np.testing.assert_allclose(rounded(kernel.astype(np.float32)), kernel, rtol=1e-6)


def test_the_last_epochs_are_rounded_and_those_before_untouched():
    """Until the last two epochs nothing differs from a plain training; then kernels have 15 values, others more."""
    trainer = started()
    trainer.train_to(3)
    assert all(np.array_equal(one, other) for one, other in zip(kernels(trainer), plain(), strict=True))
    assert not any(on_grid(kernel) for kernel in kernels(trainer))
    for epoch in (4, 5):
        trainer.train_to(epoch)
        assert len(kernels(trainer)) == 4
        assert all(on_grid(kernel) for kernel in kernels(trainer))
        assert all(len(np.unique(kernel[..., 0])) <= 2 * LARGEST + 1 for kernel in kernels(trainer))
        exact = trainer._rounder.exact
        assert not any(on_grid(kernel) for kernel in exact)
        for kernel, before in zip(kernels(trainer), exact, strict=True):
            np.testing.assert_array_equal(kernel, rounded(before))
    others = [w for w in trainer.model.trainable_weights if w.name == "kernel" and w.shape.num_elements() > 100]
    assert sum(not on_grid(w.numpy()) for w in others) == len(others) - 4


def test_the_gradient_is_that_of_rounded_kernels_and_moves_the_exact_ones():
    """A step of plain SGD: the exact kernels less the rate times the gradient at the rounded ones."""
    recipe = {"momentum": 0.0, "epochs": 1, "int4_share": 1.0, "mixup_alpha": 0.0, "crop_fraction": 1.0}
    trainer = started(**recipe)
    x, y = next(iter(trainer._batches.epoch(0)))
    before = kernels(trainer)
    trainer._rounder.set_ranges()
    trainer._rounded_step(*map(tf.constant, (x, y, np.float32(0.1), np.float32(1))))
    after = kernels(trainer)

    again = started(**recipe)
    variables = kernels_of(again.model, int4_names(NETWORK))
    for variable, exact in zip(variables, before, strict=True):
        variable.assign(rounded(exact))
    with tf.GradientTape() as tape:
        logits = again._logits(tf.constant(x), training=True)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    for old, new, gradient in zip(before, after, tape.gradient(loss, variables), strict=True):
        np.testing.assert_allclose(new, old - 0.1 * gradient.numpy(), rtol=1e-4, atol=1e-6)
        assert np.abs(gradient.numpy()).max() > 1e-4


@pytest.mark.parametrize(
    "switches",
    [
        {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1, "ema_decay": 0.9},
        {"optimizer": "nesterov", "gradient_clip": 0.5, "swa_share": 0.6, "sparsity": 0.5, "sparsity_span": (0.0, 0.4)},
    ],
    ids=["moving average", "stochastic averaging of a pruned network"],
)
def test_a_resumed_training_is_exact_and_averages_are_rounded(switches, tmp_path):
    """Resumed between two rounded epochs, the bits are those of an undisturbed training."""
    whole = started(**switches)
    whole.train_to(4)
    whole.save(tmp_path / "4.npz")
    whole.train_to(5)
    again = started(**switches)
    again.load(tmp_path / "4.npz")
    again.train_to(5)
    assert all(np.array_equal(one, other) for one, other in zip(whole.weights(), again.weights(), strict=True))
    assert all(on_grid(kernel) for kernel in kernels(whole))
    if "swa_share" in switches:
        before = whole.weights()
        averaged = whole.averaged_weights()
        assert all(np.array_equal(one, other) for one, other in zip(before, whole.weights(), strict=True))
        whole.set_weights(averaged)
        assert all(on_grid(kernel) and np.mean(kernel == 0) >= 0.5 for kernel in kernels(whole))


def test_an_epoch_before_rounding_is_never_kept(tmp_path):
    """The best epoch is one of the last two, whatever the scores before."""
    trainer = started()
    result = fit(trainer, CLIPS, epochs=5, checkpoint=tmp_path / "c.npz")
    assert len(result.history) == 5
    assert result.best.epoch in (4, 5)
    assert all(on_grid(kernel) for kernel in kernels(trainer))


def test_other_export_modes_are_trained_as_without():
    trainer = Trainer(NETWORK, RECIPE, CLIPS, seed=3, mode="int8_weights")
    trainer.train_to(3)
    assert all(np.array_equal(one, other) for one, other in zip(kernels(trainer), plain(), strict=True))
    assert trainer._rounder is None


@pytest.mark.parametrize("name", FAMILIES)
def test_files_have_the_trained_integers_in_every_family(name, tmp_path):
    """Every large kernel of the file is the trained one; answers are those of the network up to int8 of small ones."""
    network = FAMILIES[name]
    trainer = Trainer(network, RECIPE.updated(epochs=2, int4_share=0.5), CLIPS, seed=3, mode="int4_int8_weights")
    trainer.train_to(2)
    floats = TfliteFile(convert(trainer.model, CLIPS.input_shape), "floats").graph
    large = large_kernels(floats)
    assert len(large) >= 1
    assert all(is_rounded(floats.floats(operators[0].inputs[1])) for operators in large.values())
    path = tmp_path / "model.tflite"
    export(trainer.model, CLIPS.input_shape, path, "int4_int8_weights", CLIPS)
    file = TfliteFile(path.read_bytes(), "file").graph
    stored = [tensor for tensor in range(file.n_tensors) if file.type_name(tensor) == "INT4"]
    assert len({file.buffer(tensor) for tensor in stored}) == len(large)
    answers, theirs = Artifact(path).predict(CLIPS), trainer.predict(CLIPS)
    assert np.abs(answers - theirs).max() < 0.05
