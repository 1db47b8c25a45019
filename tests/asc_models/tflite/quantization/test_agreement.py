import keras
import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set

from asc_models.errors import ExportError
from asc_models.tflite.export import convert, export
from asc_models.tflite.flatbuffer import read_tflite
from asc_models.tflite.quantization.agreement import agreement, require_agreement
from asc_models.tflite.quantization.drift import Drift, layer_drift, layer_name
from asc_models.training.builder import build

pytestmark = pytest.mark.system


def choices(*scenes, n_classes=3, margin=0.5):
    """Return probabilities that choose `scenes`, each ahead of the next by `margin`."""
    rest = (1 - margin) / n_classes
    probabilities = np.full((len(scenes), n_classes), rest)
    probabilities[np.arange(len(scenes)), scenes] += margin
    return probabilities


def test_agreement_beyond_chance_is_cohens_kappa():
    """The example of Cohen's own kind: 20 and 15 of 50 agreed upon, both by marginals 25:25 and 30:20, gives 0.4."""
    first = [0] * 25 + [1] * 25
    second = [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15
    found = agreement(choices(*first, n_classes=2), choices(*second, n_classes=2))
    assert found.share == pytest.approx(0.7)
    assert found.beyond_chance == pytest.approx(0.4)
    assert found.n_different == 15


def test_near_ties_do_not_count():
    """Clips that the network itself can hardly decide are left out of the agreement, whatever the file says."""
    theirs = np.concatenate([choices(0, 1, 2), choices(0, 1, margin=0.04)])
    found = agreement(theirs, choices(0, 1, 2, 1, 0))
    assert (found.n_near_ties, found.n_different, found.beyond_chance, found.share) == (2, 0, 1.0, 0.6)
    assert agreement(choices(0, 1, margin=0.0), choices(1, 0)).beyond_chance == 1.0


def test_the_gate_counts_from_two_clips_on(tmp_path):
    """One clip of ten refuses nothing, two do; the message has the numbers and the layers told."""
    theirs = choices(*range(3), *range(3), *range(3), 0)
    one, two = theirs.copy(), theirs.copy()
    one[0], two[:2] = choices(1), choices(1, 0)
    drifts = [Drift("block2_expand", 0.6, 0.5), Drift("stem", 0.1, 0.1)]
    assert require_agreement(theirs, one, tmp_path / "m.tflite", "int8", lambda: drifts).n_different == 1
    with pytest.raises(
        ExportError, match=r"m.tflite: as int8.* 2 of 10 clear clips.*0\.97.*block2_expand \(50.0%\), stem"
    ):
        require_agreement(theirs, two, tmp_path / "m.tflite", "int8", lambda: drifts)


def test_the_layer_that_drifts_is_named(tmp_path):
    """A file with one layer's kernel scale doubled: it comes first, though the layers behind it hand its error on."""
    clips = feature_set(6, deltas=1)
    keras.utils.set_random_seed(0)
    model = build(SMALL_MODEL, clips.input_shape, 3)
    path = tmp_path / "model.tflite"
    export(model, clips.input_shape, path, "int8_weights")
    file = read_tflite(path)
    stored = {one.outputs[0]: one.inputs[0] for one in file.graph.operators if one.name == "DEQUANTIZE"}
    second = [one for one in file.graph.operators if one.name == "DEPTHWISE_CONV_2D"][1]
    kernel = stored[second.inputs[1]]
    quantization = file._model.subgraphs[0].tensors[kernel].quantization
    quantization.scale = 2 * np.asarray(quantization.scale, np.float32)
    path.write_bytes(file.content())
    drifts = layer_drift(convert(model, clips.input_shape), path, clips.inputs(slice(None)))
    assert drifts[0].name.startswith("block2_depthwise")
    assert drifts[0].own > 0.3
    assert max(drift.own for drift in drifts[1:]) < drifts[0].own / 2


def test_layer_names_are_those_of_the_description():
    """The converter's name of a tensor gives the layer's own."""
    fused = "inverted_residual_1/block1_expand_relu_1/Relu;inverted_residual_1/block1_expand_norm_1/FusedBatchNormV3"
    assert layer_name(fused) == "block1_expand_relu"
    assert layer_name("Identity") == "Identity"
