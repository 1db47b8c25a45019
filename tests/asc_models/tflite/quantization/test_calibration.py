import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set, with_random_weights

from asc_models.errors import ExportError
from asc_models.tflite.export import convert, export
from asc_models.tflite.quantization.calibration import draw_calibration, tensor_ranges
from asc_models.training.builder import build

pytestmark = pytest.mark.system


def uneven(n_main=60, n_other=6):
    """Return clips of three scenes, most of them by device a, and as many augmented copies of device b's."""
    train = feature_set(n_main + 2 * n_other, n_classes=3)
    clips = train.clips.copy()
    clips["device"] = ["a"] * n_main + ["b"] * (2 * n_other)
    clips["augmentation"] = ["none"] * (n_main + n_other) + ["mix"] * n_other
    return train.__class__(train.log_mel, train.labels, clips, train.classes, train.reader)


def test_clips_are_drawn_evenly_over_scenes_and_devices():
    """A device with a tenth of the clips gives half of those drawn, every scene a third, no copy any."""
    drawn = draw_calibration(uneven(), 12)
    assert drawn.n_clips == 12
    assert np.bincount(drawn.labels).tolist() == [4, 4, 4]
    assert (drawn.clips["device"] == "b").sum() == 6
    assert (drawn.clips["augmentation"] == "none").all()


def test_a_device_that_has_no_more_clips_is_filled_up_by_the_others():
    """Where one device runs out, the scene's other devices go on; all recordings are drawn where all are asked for."""
    drawn = draw_calibration(uneven(), 30)
    assert drawn.n_clips == 30
    assert (drawn.clips["device"] == "b").sum() == 6
    assert np.bincount(drawn.labels).tolist() == [10, 10, 10]
    assert draw_calibration(uneven(), 1000).n_clips == 66


def test_the_draw_is_by_seed():
    """One seed draws the same clips every time, another seed others."""
    train = uneven()
    first, again, other = (list(draw_calibration(train, 12, seed=seed).clips["clip_id"]) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_ranges_are_the_true_ones():
    """The range of the input is that of the clips' features, of the output that of the network's probabilities."""
    clips = feature_set(7)
    model = with_random_weights(build(SMALL_MODEL, clips.input_shape, 3))
    content = convert(model, clips.input_shape)
    ranges = tensor_ranges(content, clips)
    x = clips.inputs(slice(None))
    assert ranges["log_mel"]["min"].item() == x.min()
    assert ranges["log_mel"]["max"].item() == x.max()
    theirs = model(x, training=False).numpy()
    np.testing.assert_allclose(ranges["Identity"]["max"].item(), theirs.max(), atol=1e-5)


def test_a_diverged_network_is_told(tmp_path):
    """Activations that are no numbers end the calibration with the tensor's name, not a file full of nonsense."""
    clips = feature_set(3)
    model = with_random_weights(build(SMALL_MODEL, clips.input_shape, 3))
    kernel = model.get_layer("logits").kernel
    kernel.assign(np.full(kernel.shape, np.inf))
    with pytest.raises(ExportError, match=r"logits.*diverged.*learning_rate"):
        export(model, clips.input_shape, tmp_path / "model.tflite", "int8", clips)
    with pytest.raises(ExportError, match="needs calibration clips"):
        export(model, clips.input_shape, tmp_path / "model.tflite", "int8")
