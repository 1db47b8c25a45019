"""A rung's reading is the exported file's."""

import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set, with_random_weights

from asc_models.config import EXPORT_MODES, TrainConfig
from asc_models.networks.families import ModelConfig
from asc_models.tflite import rung_reader as reading
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import convert, export
from asc_models.tflite.measure import measure
from asc_models.tflite.rung_reader import RungReader
from asc_models.training.builder import build
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

DATA = feature_set(24, deltas=2, n_devices=3)


def assert_read_is_exported(read, model, mode, path):
    """Probabilities and sizes are those of the file that `export` writes, to the last bit."""
    export(model, DATA.input_shape, path, mode, DATA)
    np.testing.assert_array_equal(read.probabilities, Artifact(path).predict(DATA))
    assert read.sizes == measure(path)


@pytest.fixture(scope="module")
def trained():
    """A network in training and its weights at three rungs."""
    trainer = Trainer(SMALL_MODEL, TrainConfig(batch_size=8, learning_rate=0.05), DATA, seed=0)
    rungs = []
    for epochs in (1, 2, 4):
        trainer.train_to(epochs)
        rungs.append(trainer.weights())
    return trainer, rungs


@pytest.mark.parametrize("mode", EXPORT_MODES)
def test_a_reading_is_the_exported_files(trained, mode, tmp_path):
    """At rung after rung, in every mode: the same answers and sizes as exporting anew and running that."""
    trainer, rungs = trained
    reader = RungReader()
    for weights in rungs:
        trainer.set_weights(weights)
        read = reader.read(trainer.model, "small", DATA, mode, DATA)
        assert_read_is_exported(read, trainer.model, mode, tmp_path / "model.tflite")


def converting(monkeypatch):
    """Return the list that every conversion of a reader is entered in."""
    made = []

    def counted(*arguments):
        """Convert, and count it."""
        made.append(arguments[1:])
        return convert(*arguments)

    monkeypatch.setattr(reading, "convert", counted)
    return made


def test_a_network_is_converted_once(tmp_path, monkeypatch):
    """Weights that change cost no conversion, another network and a reading with `reconvert` cost one each."""
    made = converting(monkeypatch)
    first = with_random_weights(build(SMALL_MODEL, DATA.input_shape, 3))
    other = with_random_weights(build(SMALL_MODEL.updated(activation="relu6"), DATA.input_shape, 3))
    reader = RungReader()
    for seed in range(3):
        reader.read(with_random_weights(first, seed), "first", DATA, "int8_weights")
    assert len(made) == 1
    reader.read(other, "other", DATA, "int8_weights")
    reader.read(with_random_weights(first, 7), "first", DATA, "float32")
    assert len(made) == 2
    reader.read(first, "first", DATA, "int8_weights", reconvert=True)
    assert len(made) == 3
    reader.read(first, "first", DATA, "float16")
    assert [conversion for *_, conversion in made] == ["float32", "float32", "float32", "float16"]


def test_the_oldest_template_goes_first(monkeypatch):
    """A reader keeps a limited number of files; the one that was not used for longest is dropped."""
    made = converting(monkeypatch)
    monkeypatch.setattr(reading, "TEMPLATES_KEPT", 2)
    model = with_random_weights(build(SMALL_MODEL, DATA.input_shape, 3))
    reader = RungReader()
    for name in ("a", "b", "a", "c", "a"):
        reader.read(model, name, DATA, "float32")
    assert len(made) == 3
    reader.read(model, "b", DATA, "float32")
    assert len(made) == 4


def test_a_template_that_does_not_hold_is_made_anew(tmp_path):
    """Where constants that couldn't be told apart have changed, the network is converted again, and read rightly."""
    model = build(
        ModelConfig(**SMALL_MODEL.model_dump(exclude={"normalization"}), normalization="none"), (16, 12, 3), 3
    )
    reader = RungReader()
    reader.read(model, "plain", DATA, "int8_weights")
    with_random_weights(model)
    for _ in range(2):
        read = reader.read(model, "plain", DATA, "int8_weights")
        assert_read_is_exported(read, model, "int8_weights", tmp_path / "model.tflite")
