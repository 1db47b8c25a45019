"""What every family and every block must do; a new one is tested as soon as it is registered."""

import numpy as np
import pytest
from arena_support import arena_bytes
from asc_models_support import (
    NETWORK_CONFIGS,
    NETWORKS,
    feature_set,
    file_macs,
    in_every_mode,
    n_params_at_inference,
    with_random_weights,
    without_ties,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import FAMILIES, parse_network
from asc_models.networks.layer_table import layers
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import export
from asc_models.tflite.measure import measure
from asc_models.training.builder import build
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

SHAPE = (32, 40, 3)
DATA = feature_set(24, n_mels=32, n_frames=48, deltas=2)


networks = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


@networks
def test_a_network_survives_json(network):
    """A description read back from its own JSON is the same network."""
    assert parse_network(network.model_dump(mode="json")) == network
    assert parse_network(network.model_dump(mode="json")).hash() == network.hash()


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS)
def trained(request, tmp_path_factory):
    """A network's description, its trainer after six epochs, the losses on the way, and {mode: its file}."""
    trainer = Trainer(request.param, TrainConfig(batch_size=8, learning_rate=0.05), DATA, seed=0)
    stats = []
    trainer.train_to(6, stats.append)
    folder = tmp_path_factory.mktemp("files")
    files = {}
    for mode, content in in_every_mode(without_ties(trainer.model), SHAPE, DATA):
        files[mode] = folder / f"{mode}.tflite"
        files[mode].write_bytes(content)
    return request.param, trainer, [epoch.loss for epoch in stats], files


def test_a_network_matches_its_closed_form(trained):
    """Parameters are the Keras model's, MACs the exported file's, weight bytes the file's in every mode."""
    network, trainer, _, files = trained
    n_classes = len(DATA.classes)
    expected = estimate(network, SHAPE, n_classes)
    assert n_params_at_inference(trainer.model) == expected.n_params
    assert sum(layer.n_params for layer in layers(network, SHAPE, n_classes)) == expected.n_params
    for mode, path in files.items():
        assert measure(path).weight_bytes == expected.weight_bytes[mode], mode
        assert file_macs(path) == expected.macs, mode


def test_a_network_trains_and_its_files_agree(trained):
    """Some epochs lower the loss, and every mode's file then answers as the float model does."""
    _, trainer, losses, files = trained
    assert losses[-1] < losses[0]
    theirs = trainer.predict(DATA)
    for mode, path in files.items():
        ours = Artifact(path).predict(DATA)
        np.testing.assert_allclose(ours, theirs, atol=0.1, err_msg=mode)
        assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.95, mode


def assert_closed_forms(network, folder):
    """Parameters, MACs and float32 bytes are exact, activation bytes a lower bound of the arena."""
    expected = estimate(network, SHAPE, 10)
    model = with_random_weights(build(network, SHAPE, 10))
    assert n_params_at_inference(model) == expected.n_params
    export(model, SHAPE, folder / "model.tflite", "float32")
    assert file_macs(folder / "model.tflite") == expected.macs
    assert measure(folder / "model.tflite").weight_bytes == expected.weight_bytes["float32"]
    assert expected.peak_activation_bytes <= arena_bytes(folder / "model.tflite")


@pytest.mark.parametrize("family", NETWORK_CONFIGS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_networks_match_their_closed_forms(family, data, tmp_path):
    """Whatever a family's settings, the closed forms hold."""
    assert_closed_forms(data.draw(NETWORK_CONFIGS[family]), tmp_path)


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", NETWORK_CONFIGS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hundreds_of_random_networks_match_their_closed_forms(family, data, tmp_path):
    """The same over two hundred networks a family."""
    assert_closed_forms(data.draw(NETWORK_CONFIGS[family]), tmp_path)


def test_every_family_is_drawn_at_random():
    """A family that is registered has a strategy for random tests."""
    assert set(NETWORK_CONFIGS) == set(FAMILIES)


@networks
def test_layers_are_named_alike_in_table_and_model(network):
    """Every weighted layer of the table is a layer of the Keras model; the classifier's may be called logits there."""
    names = {layer.name for layer in build(network, SHAPE, 10).layers}
    described = {layer.name for layer in layers(network, SHAPE, 10)}
    assert described - names <= {"classifier"}
    assert "logits" in names
