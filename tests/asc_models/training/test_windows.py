"""Training and evaluation by windows in Keras."""

from dataclasses import replace

import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, WINDOWED, feature_set, windowed_set
from augmentation_support import OFF, ON

from asc_models.config import TrainConfig
from asc_models.networks.families import BaselineConfig
from asc_models.training.batches import TrainingBatches
from asc_models.training.trainer import Trainer
from data_prep.features.silence import floor_of

pytestmark = pytest.mark.system

CONFIG = TrainConfig(batch_size=8, learning_rate=0.05, mixup_alpha=0.0, class_mix_p=1.0, gain_db=6.0)
PLAIN = CONFIG.updated(class_mix_p=0.0, gain_db=0.0)


def test_batches_are_windows():
    """Whatever the recipe's crop, examples have a window's frames; unmixed, each is a slice of its clip's input."""
    data = windowed_set()
    clips = data.inputs(slice(None))
    batches = TrainingBatches(data, PLAIN.updated(crop_fraction=0.5), 3)
    assert batches.batch_shape == (8, *data.network_shape)
    for x, _ in batches.epoch(0):
        for window in x:
            assert any(
                (clips[:, :, start : start + 24] == window).all(axis=(1, 2, 3)).any()
                for start in range(clips.shape[2] - 23)
            )


def test_windows_are_mixed_after_they_are_cut():
    """With silence trimmed, mixing and gain keep the margin of silence at the floor: they act on windows, in power."""
    data = windowed_set(trim_silence=True, deltas=0)
    data.log_mel[:, :, :10] = data.log_mel[:, :, 30:] = floor_of(data.spec)
    floor = float(floor_of(data.spec))
    n_silent = []
    for x, y in TrainingBatches(data, CONFIG, 3).epoch(0):
        assert ((y > 0).sum(axis=1) == 2).all()
        silent = (np.abs(x[..., 0] - floor) < 0.02).all(axis=1)
        n_silent += silent.sum(axis=1).tolist()
    assert max(n_silent) > 0
    assert max(n_silent) <= 12  # half a window, at one end or both together


@pytest.mark.parametrize("knob", sorted(ON))
def test_every_augmentation_goes_with_windows(knob):
    """Turned on alone, each keeps the windows' shape, and its epochs repeat."""
    data = windowed_set(n_devices=2)
    clips = data.clips.assign(segment="0", scene="scene0", location="place0")
    batches = TrainingBatches(replace(data, clips=clips), TrainConfig(**{"batch_size": 8, **OFF, knob: ON[knob]}), 3)
    for (x, y), (x2, y2) in zip(batches.epoch(1), batches.epoch(1), strict=True):
        assert x.shape == (8, *data.network_shape)
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)


def test_a_clips_answer_is_the_mean_over_its_windows():
    """The trainer's prediction is what the network gives window by window, averaged by hand."""
    data = windowed_set()
    trainer = Trainer(SMALL_MODEL, CONFIG, data, seed=0)
    trainer.train_to(2)
    clips, (n_frames, n_windows) = data.inputs(slice(None)), data.windows
    starts = np.linspace(0, clips.shape[2] - n_frames, n_windows).round().astype(int)
    by_hand = [trainer.model(clips[:, :, start : start + n_frames], training=False).numpy() for start in starts]
    np.testing.assert_allclose(trainer.predict(data), np.mean(by_hand, axis=0), atol=1e-6)
    assert (np.ptp(by_hand, axis=0) > 1e-4).any()


def test_training_on_windows_learns():
    """The loss of mixed windows falls, and clips are told apart by their windows' mean."""
    data = windowed_set(48)
    trainer, stats = Trainer(SMALL_MODEL, CONFIG, data, seed=0), []
    trainer.train_to(12, stats.append)
    assert stats[-1].loss < stats[0].loss
    assert (trainer.predict(data).argmax(axis=1) == data.labels).mean() > 0.9


def test_a_network_of_one_length_is_built_for_windows():
    """A network that takes one number of frames takes a window's, and still answers for clips."""
    data = windowed_set()
    network = BaselineConfig(filters=(4, 4, 8), pools=((5, 5), (2, 2)))
    trainer = Trainer(network, CONFIG, data, seed=0)
    trainer.train_to(1)
    assert trainer.model.input_shape == (None, *data.network_shape)
    assert trainer.predict(data).shape == (24, 3)


def test_a_training_on_windows_resumes_exactly(tmp_path):
    """Stopped after an epoch and taken up by a new trainer, weights and losses are equal."""
    data = windowed_set(trim_silence=True)
    config = CONFIG.updated(time_stretch=1.2, frequency_shift=2)
    whole, stats, resumed = Trainer(SMALL_MODEL, config, data, seed=5), [], []
    whole.train_to(1)
    whole.save(tmp_path / "1.npz")
    whole.train_to(3, stats.append)
    again = Trainer(SMALL_MODEL, config, data, seed=5)
    again.load(tmp_path / "1.npz")
    again.train_to(3, resumed.append)
    assert resumed == stats
    assert all(np.array_equal(a, b) for a, b in zip(whole.weights(), again.weights(), strict=True))


def test_without_windows_nothing_is_cut():
    """A reader that names none gives the shapes of before, for the network as for the clip."""
    data = feature_set(24, n_mels=32, n_frames=48, deltas=2)
    assert data.windows is None
    assert data.network_shape == data.input_shape == (32, 40, 3)
    assert WINDOWED.windows(data.spec).n_frames == 24
