import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set, with_random_weights

from asc_models.tflite.export import convert
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.quantization.correction import _classifier_bias, logits_of, with_corrected_bias
from asc_models.training.builder import build

pytestmark = pytest.mark.system

CLIPS = feature_set(24)


def shifted(content):
    """Return the file with its classifier's bias off by different amounts: a quantization that only shifts logits."""
    file = TfliteFile(content, "test")
    bias = _classifier_bias(file.graph)
    file.graph.set_floats(bias, file.graph.floats(bias) + np.array([0.5, -0.25, 0.1], np.float32))
    return file.content()


def test_a_shift_of_the_logits_is_taken_out():
    """What shifts every clip's logits alike leaves nothing behind; the file itself stays as large as it was."""
    content = convert(with_random_weights(build(SMALL_MODEL, CLIPS.input_shape, 3)), CLIPS.input_shape)
    theirs = logits_of(content, CLIPS)
    assert np.abs(logits_of(shifted(content), CLIPS) - theirs).max() > 0.3
    corrected = with_corrected_bias(content, CLIPS, shifted)
    np.testing.assert_allclose(logits_of(corrected, CLIPS), theirs, atol=1e-4)
    assert len(corrected) == len(shifted(content))


def test_a_classifier_without_a_bias_of_its_own_is_left_alone():
    """Zeros may be another layer's too, or be counted as not stored: nothing is written into them."""
    model = build(SMALL_MODEL, CLIPS.input_shape, 3)  # an untrained network's biases are zeros
    content = convert(model, CLIPS.input_shape)
    assert _classifier_bias(TfliteFile(content, "test").graph) is None
    assert with_corrected_bias(content, CLIPS, lambda floats: floats) == content
