import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set, with_random_weights

from asc_models.config import EXPORT_MODES, TrainConfig
from asc_models.errors import ExportError
from asc_models.networks.families import BaselineConfig, ModelConfig
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import export
from asc_models.tflite.flatbuffer import read_tflite
from asc_models.tflite.measure import count_weights, measure
from asc_models.training.builder import build
from asc_models.training.trainer import Trainer

pytestmark = pytest.mark.system

TOLERANCE = {
    "float32": 1e-5,
    "float16": 5e-3,
    "dynamic_range": 5e-2,
    "int8_weights": 5e-2,
    "int4_int8_weights": 5e-2,
    "int8": 5e-2,
}


@pytest.fixture(scope="module")
def trainer():
    trained = Trainer(SMALL_MODEL, TrainConfig(batch_size=8, learning_rate=0.05), feature_set(48, deltas=2), seed=0)
    trained.train_to(6)
    return trained


@pytest.mark.parametrize("mode", EXPORT_MODES)
def test_the_file_answers_as_the_model_does(trainer, mode, tmp_path):
    """Every export mode's file gives the trained network's probabilities within its precision, on full-length clips."""
    data = feature_set(48, deltas=2, seed=4)
    export(trainer.model, data.input_shape, tmp_path / "model.tflite", mode, feature_set(48, deltas=2))
    ours, theirs = Artifact(tmp_path / "model.tflite").predict(data), trainer.predict(data)
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE[mode])
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.95
    np.testing.assert_allclose(ours.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(attention=kind, kernel_size=kernel, stem_stride=(2, 1), expansion=expansion)
        for kind, kernel, expansion in (("none", 3, 1), ("channel", 5, 2), ("spatial", 3, 3), ("casam", 5, 2))
    ]
    + [BaselineConfig(pools=((5, 5), (2, 2)))],
    ids=lambda config: getattr(config, "attention", config.family),
)
def test_every_kind_of_network_survives_export(config, tmp_path):
    """Attention of every kind, both kernels, uneven strides and the baseline: float32 files answer as Keras does."""
    data = feature_set(6, n_mels=32, n_frames=40, deltas=2)
    model = with_random_weights(build(config, data.input_shape, 3))
    export(model, data.input_shape, tmp_path / "model.tflite", "float32")
    theirs = model(data.inputs(slice(None)), training=False).numpy()
    np.testing.assert_allclose(Artifact(tmp_path / "model.tflite").predict(data), theirs, atol=1e-4)


def test_pruned_zeros_are_not_counted_as_non_zero(trainer, tmp_path):
    """A kernel with half of its values zero weighs half as much in non-zero bytes, in float32 exactly."""
    model = with_random_weights(build(SMALL_MODEL, (16, 20, 1), 3))
    export(model, (16, 20, 1), tmp_path / "full.tflite", "float32")
    kernel = model.get_layer("stem").kernel
    values = np.asarray(kernel)
    values[..., ::2] = 0
    kernel.assign(values)
    export(model, (16, 20, 1), tmp_path / "pruned.tflite", "float32")
    full, pruned = measure(tmp_path / "full.tflite"), measure(tmp_path / "pruned.tflite")
    assert full.weight_bytes == pruned.weight_bytes
    assert full.nonzero_weight_bytes - pruned.nonzero_weight_bytes == 4 * values.size // 2


def test_a_file_has_as_many_values_in_every_width(trainer, tmp_path):
    """Values are counted, not bytes: of 32, 16, 8 and 4 bits there are equally many, and at most so many non-zero."""
    path, counts = tmp_path / "model.tflite", {}
    for mode in ("int4_int8_weights", "int8_weights", "float16", "float32"):
        export(trainer.model, (16, 12, 3), path, mode, feature_set(48, deltas=2))
        counts[mode], n_nonzero = count_weights(path)
        assert n_nonzero == measure(path).n_nonzero <= counts[mode]
    assert set(counts.values()) == {measure(path).weight_bytes // 4}


def test_weights_of_an_unknown_type_are_told(trainer, tmp_path):
    """A kernel of a type that has no width here, or that no schema knows, is an error that names it, not a guess."""
    path = tmp_path / "model.tflite"
    export(trainer.model, (16, 12, 3), path, "float32")
    file = read_tflite(path)
    kernel = file.graph.operators[0].inputs[1]
    for number, name in ((5, "STRING"), (99, "type 99")):
        file._model.subgraphs[0].tensors[kernel].type = number
        path.write_bytes(file.content())
        told = rf"model.tflite.*'tensor {kernel}'.*{name}.*FLOAT32.*Export the model again"
        with pytest.raises(ExportError, match=told):
            measure(path)


def test_files_that_are_no_tflite_are_named(tmp_path):
    """A missing, an empty and a garbage file each give an error with the path, in measuring and in running."""
    (tmp_path / "empty.tflite").write_bytes(b"")
    (tmp_path / "garbage.tflite").write_bytes(bytes(range(256)) * 40)
    for name in ("missing", "empty", "garbage"):
        path = tmp_path / f"{name}.tflite"
        with pytest.raises(ExportError, match=name):
            measure(path)
        with pytest.raises(ExportError, match=name):
            Artifact(path)


def test_features_of_another_shape_are_refused(trainer, tmp_path):
    """A file trained on other features is not run on these: the message has both shapes."""
    export(trainer.model, (16, 12, 3), tmp_path / "model.tflite", "float32")
    with pytest.raises(ExportError, match=r"takes inputs of shape \(16, 12, 3\).*\(16, 20, 1\)"):
        Artifact(tmp_path / "model.tflite").predict(feature_set(2))
