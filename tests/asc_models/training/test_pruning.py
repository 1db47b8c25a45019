"""Magnitude pruning: its schedule, its zeros in training, averages and files, and the closed form of the bytes left."""

from functools import cache

import numpy as np
import pytest
from asc_models_support import feature_set, in_every_mode, with_random_weights

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import (
    BaselineConfig,
    BcResnetConfig,
    BlockConfig,
    CpMobileConfig,
    ModelConfig,
    Tan2025Config,
)
from asc_models.networks.layer_table import layers
from asc_models.networks.sparsity import n_zeros
from asc_models.tflite.export import convert, exported
from asc_models.tflite.measure import measure
from asc_models.training.builder import build
from asc_models.training.fit import fit
from asc_models.training.kernels import choose_kernels
from asc_models.training.pruning import Pruner
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

NETWORK = ModelConfig(
    stem_filters=40,
    blocks=(BlockConfig(filters=40, stride=2), BlockConfig(filters=24, stride=2)),
    expansion=3,
    reduction_ratio=1,
    attention="casam",
)
"""Pruned are expansions, some of them wide enough for int4, projections, and the first channel attention (40 · 40)."""
RECIPE = TrainConfig(
    epochs=5, batch_size=8, learning_rate=0.05, schedule="cosine", sparsity=0.6, sparsity_span=(0.2, 0.6)
)
CLIPS = feature_set(24, 4, n_mels=32, n_frames=24)


def kernels(trainer, model=None):
    """Return {layer: kernel} of the layers that the table of sizes calls pruned."""
    model, shape = model or trainer.model, CLIPS.network_shape
    names = [layer.name for layer in layers(NETWORK, shape, 4) if layer.is_pruned]
    return {name: model.get_layer(name).kernel.numpy() for name in names}


def zeros(kernel):
    return int(np.sum(kernel == 0))


@cache
def trained(**changes):
    """Return a finished training of the network."""
    trainer = Trainer(NETWORK, RECIPE.updated(**changes), CLIPS, seed=3)
    trainer.train_to(5)
    return trainer


def test_zeros_follow_the_schedule_and_stay():
    """Every pruned kernel has its share of zeros after each epoch, in the same places as before; no other has any."""
    trainer, before = Trainer(NETWORK, RECIPE, CLIPS, seed=3), None
    for epoch, share in enumerate((0.0, 0.0, 0.525, 0.6, 0.6), start=1):  # 0.6 · (1 − (1 − ½)³) = 0.525 at half the way
        trainer.train_to(epoch)
        found = kernels(trainer)
        assert len(found) == 6
        assert {zeros(kernel) - n_zeros(kernel.size, share) for kernel in found.values()} == {0}, epoch
        assert trainer.is_pruned == (epoch > 3)
        if before is not None:
            assert all(np.all(found[name][kernel == 0] == 0) for name, kernel in before.items())
        before = found
    others = [w for layer in trainer.model.layers if layer.name not in found for w in layer.trainable_weights]
    dense = [w for w in others if w.name == "kernel"]
    assert {"stem", "block1_depthwise", "logits"} <= {w.path.split("/")[0] for w in dense}
    assert not any(zeros(w.numpy()) for w in dense)


def test_the_smallest_weights_are_pruned():
    """At the first pruning those of smallest magnitude become zero, kernel by kernel."""
    trainer = Trainer(NETWORK, RECIPE, CLIPS, seed=3)
    before = kernels(trainer)
    trainer._pruner.prune(0.5)
    for name, kernel in kernels(trainer).items():
        lost = before[name][kernel == 0]
        assert np.abs(lost).max() < np.abs(before[name][kernel != 0]).min()
        np.testing.assert_array_equal(kernel[kernel != 0], before[name][kernel != 0])


@pytest.mark.parametrize(
    "switches",
    [
        {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.1, "ema_decay": 0.9},
        {"optimizer": "nesterov", "gradient_clip": 0.5, "swa_share": 0.4, "precision": "mixed_bfloat16"},
    ],
    ids=["moving average", "stochastic averaging"],
)
def test_a_resumed_pruning_is_exact_and_averages_are_as_sparse(switches, tmp_path):
    """Resumed between two prunings, the bits are those of an undisturbed training; averages have its zeros."""
    whole = Trainer(NETWORK, RECIPE.updated(**switches), CLIPS, seed=3)
    whole.train_to(2)
    whole.save(tmp_path / "2.npz")
    whole.train_to(5)
    again = Trainer(NETWORK, RECIPE.updated(**switches), CLIPS, seed=3)
    again.load(tmp_path / "2.npz")
    again.train_to(5)
    assert all(np.array_equal(one, other) for one, other in zip(whole.weights(), again.weights(), strict=True))
    trained_places = {name: kernel == 0 for name, kernel in kernels(whole, whole._trained).items()}
    if "swa_share" in switches:
        whole.set_weights(whole.averaged_weights())
    for name, kernel in kernels(whole).items():
        np.testing.assert_array_equal(kernel == 0, trained_places[name])
        assert zeros(kernel) == n_zeros(kernel.size, 0.6)


def test_zeros_reach_the_file_in_every_mode(tmp_path):
    """Non-zero bytes of a trained file are the estimate, less the converter's zero bias and what rounds to zero."""
    model = trained().model
    cost = estimate(NETWORK, CLIPS.input_shape, 4, sparsity=0.6)
    dense = estimate(NETWORK, CLIPS.input_shape, 4)
    n_pruned = sum(kernel.size for kernel in kernels(trained()).values())
    for mode, content in in_every_mode(model, CLIPS.input_shape, CLIPS):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        sizes, bound = measure(path), cost.nonzero_weight_bytes[mode]
        assert sizes.weight_bytes <= cost.weight_bytes[mode] == dense.weight_bytes[mode]
        assert bound < dense.nonzero_weight_bytes[mode] - 0.25 * n_pruned, mode
        zero_bias = 2 if mode == "float16" else 4  # one value, which both spatial attentions share
        rounded = bound - zero_bias - sizes.nonzero_weight_bytes
        assert 0 <= rounded <= (0 if mode in ("float32", "float16") else 0.01 * bound), mode


@pytest.mark.parametrize(
    ("network", "sparsity"),
    [
        (NETWORK.updated(block="residual", head="convolution", normalization="none"), 0.3),
        (CpMobileConfig(base_channels=32, n_blocks=(2, 1), strides={2: 2}), 0.5),
        (BcResnetConfig(base_channels=24, multipliers=(1.0, 1.5), n_blocks=(2, 1), n_pools=1), 0.777),
        (Tan2025Config(base_channels=16, head_channels=6, gru_units=20), 0.6),
        (BaselineConfig(filters=(8, 12, 12), dense_units=80, pools=((4, 2), (2, 2))), 0.9),
    ],
    ids=["residual", "cp_mobile", "bc_resnet", "tan2025", "dcase_baseline"],
)
def test_nonzero_bytes_are_a_closed_form_for_every_family(network, sparsity, tmp_path):
    """With weights that do not round to zero the estimate is the file's, but for zero biases of the converter."""
    shape = CLIPS.input_shape
    cost = estimate(network, shape, 4, sparsity=sparsity)
    model = with_random_weights(build(network, shape, 4))
    Pruner(choose_kernels(network, shape, 4, model, model, lambda layer: layer.is_pruned)).prune(sparsity)
    floats, path = convert(model, shape), tmp_path / "model.tflite"
    for mode in ("float32", "int8_weights", "int4_int8_weights"):
        path.write_bytes(exported(lambda _, content=floats: content, mode, CLIPS))
        free = 4 * sum(set(cost.counted.zero_biases))
        assert measure(path).nonzero_weight_bytes == cost.nonzero_weight_bytes[mode] - free, mode
        assert cost.nonzero_weight_bytes[mode] < cost.weight_bytes[mode]
    _, n_bytes = cost.largest("nonzero_weight_bytes", "float32")
    assert n_bytes == max(
        4 * (layer.n_kernel - (n_zeros(layer.n_kernel, sparsity) if layer.is_pruned else 0) + layer.n_bias)
        for layer in cost.layers
    )


def test_only_sparse_epochs_compete(tmp_path):
    """The best epoch by validation is one with all the zeros, even if an earlier one was better; resumed, the same."""
    validation = feature_set(12, 4, n_mels=32, n_frames=24, seed=9)
    trainer = Trainer(NETWORK, RECIPE, CLIPS, seed=3)
    result = fit(trainer, validation, epochs=5, checkpoint=tmp_path / "a.npz", metric="log_loss")
    assert result.best.epoch in (4, 5)
    assert result.best == min(result.history[3:], key=lambda record: record.log_loss)
    assert {zeros(kernel) - n_zeros(kernel.size, 0.6) for kernel in kernels(trainer).values()} == {0}

    def kill() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # behind epoch 2, whose end of a cycle is saved
        fit(Trainer(NETWORK, RECIPE, CLIPS, seed=3), validation, epochs=5, checkpoint=tmp_path / "b.npz", on_save=kill)
    second, resumes_at = Trainer(NETWORK, RECIPE, CLIPS, seed=3), []
    resumed = fit(
        second, validation, epochs=5, checkpoint=tmp_path / "b.npz", metric="log_loss", on_start=resumes_at.append
    )
    assert resumes_at == [2]
    assert resumed.history == result.history
    assert all(np.array_equal(one, other) for one, other in zip(trainer.weights(), second.weights(), strict=True))
