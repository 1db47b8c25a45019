"""A training step in bfloat16 changes the arithmetic of the step, and nothing that is kept."""

import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set

from asc_models.config import TrainConfig
from asc_models.networks.families import CpMobileConfig, Tan2025Config
from asc_models.tflite.export import export
from asc_models.training.builder import build
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

CONFIG = TrainConfig(epochs=14, batch_size=8, learning_rate=0.05, precision="mixed_bfloat16")


def dtypes_of_convolutions(trainer):
    """Return the types in which the traced step computes convolutions."""
    graph = trainer._step.get_concrete_function().graph
    return {op.outputs[0].dtype.name for op in graph.get_operations() if op.type == "Conv2D"}


def test_bfloat16_learns_and_keeps_float32(tmp_path):
    """The step's convolutions are bfloat16; weights and policies stay float32, and a file has the bytes of a float32
    model with these weights."""
    data = feature_set(48)
    trainer = Trainer(SMALL_MODEL, CONFIG, data, seed=0)
    assert dtypes_of_convolutions(trainer) == {"bfloat16"}
    trainer.train_to(14)
    assert (trainer.predict(data).argmax(axis=1) == data.labels).mean() > 0.9
    assert {variable.dtype for variable in trainer.model.trainable_variables} == {"float32"}
    assert {layer.compute_dtype for layer in trainer.model.layers} == {"float32"}
    plain = build(SMALL_MODEL, data.network_shape, len(data.classes))
    plain.set_weights(trainer.model.get_weights())
    for name, model in (("trained", trainer.model), ("plain", plain)):
        export(model, data.network_shape, tmp_path / name, "float32")
    assert (tmp_path / "trained").read_bytes() == (tmp_path / "plain").read_bytes()


def test_without_it_every_operator_is_float32():
    """The default recipe has no operator of another width."""
    assert dtypes_of_convolutions(Trainer(SMALL_MODEL, TrainConfig(batch_size=8), feature_set(), seed=0)) == {"float32"}


@pytest.mark.parametrize("network", [CpMobileConfig(), Tan2025Config(base_channels=8, head_channels=4, gru_units=6)])
def test_other_layers_take_it_too(network):
    """Networks with global response normalization, or with grouped convolutions and a recurrent unit, train a step in
    bfloat16."""
    trainer = Trainer(network, CONFIG.updated(epoch_examples=8), feature_set(16), seed=0)
    before = trainer.model.get_weights()
    assert dtypes_of_convolutions(trainer) == {"bfloat16"}
    trainer.train_to(1)
    after = trainer.model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
