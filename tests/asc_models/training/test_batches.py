"""What the recipe's switches do to training batches, those on stored features before scaling included."""

from dataclasses import replace

import numpy as np
import pytest
from asc_models_support import feature_set
from augmentation_support import OFF, ON, other_value

from asc_models.config import TrainConfig
from asc_models.training.batches import TrainingBatches, steps_of
from data_prep.augment import batch
from data_prep.augment.registry import SWITCHES, WHILE_TRAINING
from data_prep.config import ReaderSpec
from data_prep.errors import ConfigError, DataError
from data_prep.schema import parse_config

PLAIN = {"batch_size": 8, "mixup_alpha": 0.0, "crop_fraction": 1.0}


def paired():
    """Return 24 clips of one scene each on devices a and b, two at a moment; b hears the upper half 2 louder."""
    data = feature_set(n_devices=2)
    clips = data.clips.assign(segment="0", scene="scene0")
    log_mel = data.log_mel.copy()
    log_mel[1::2] = log_mel[::2]
    log_mel[1::2, 8:] += 2
    reader = ReaderSpec(scaling="none", deltas=0)
    return replace(data, log_mel=log_mel, labels=data.labels * 0, clips=clips, reader=reader)


def batches_of(data, **switches):
    config = TrainConfig(**{**PLAIN, **switches})
    return [x for x, _ in TrainingBatches(data, config, 3).epoch(0)]


@pytest.mark.system
def test_device_switches_move_bands_before_scaling():
    """With correction on every clip of device a the upper half of all clips is b's, up to the float16 of the pairs."""
    data = paired()
    as_stored, corrected = batches_of(data), batches_of(data, spectrum_correction_p=1.0)
    halves = [np.concatenate([x[:, 8:, :, 0].mean(axis=(1, 2)) for x in found]) for found in (as_stored, corrected)]
    np.testing.assert_allclose(np.concatenate(corrected)[:, :8], np.concatenate(as_stored)[:, :8], atol=1e-2)
    moved = halves[1] - halves[0]
    assert sorted(np.round(moved, 1)) == [0.0] * 12 + [2.0] * 12
    one_device = batches_of(data, device_offset_p=1.0)  # b is the only other one
    np.testing.assert_allclose(np.concatenate(one_device), np.concatenate(corrected), atol=1e-4)


def test_scaling_comes_behind_the_stored_features_augmentation():
    """Min–max scaled inputs stay within 0 and 1 when their clips are mixed and corrected; order and labels stay."""
    data = paired()
    scaled = replace(data, reader=ReaderSpec(deltas=0))
    for x in batches_of(scaled, scene_mix_p=1.0, spectrum_correction_p=0.5):
        assert x.min(axis=(1, 2, 3)).tolist() == [0.0] * 8
        np.testing.assert_allclose(x.max(axis=(1, 2, 3)), 1, atol=1e-6)


def test_mixed_examples_are_new_every_epoch():
    """The stream of an epoch is its own: epoch 0 repeats exactly, epoch 1 mixes others."""
    batches = TrainingBatches(paired(), TrainConfig(**PLAIN, scene_mix_p=1.0), 3)
    first, again, second = ([x for x, _ in batches.epoch(number)] for number in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


def test_classes_are_mixed_before_scaling_and_deltas():
    """Every example is a mix of two classes with their smoothed labels, at the reader's scaling and deltas; device
    switches act before, on both clips."""
    data = feature_set(24, deltas=1)
    data = replace(data, reader=ReaderSpec(scaling="none", deltas=1))
    config = TrainConfig(**PLAIN, class_mix_p=1.0, gain_db=6.0, label_smoothing=0.3)
    for x, y in TrainingBatches(data, config, 3).epoch(0):
        assert x.shape == (8, *data.input_shape)
        np.testing.assert_allclose(x[:, :, 2:-2, 1], _slopes(x[..., 0]), atol=1e-4)
        np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(y.min(axis=1), 0.1, atol=1e-6)
        assert (np.sort(y, axis=1)[:, 1] > 0.1).all()


def _slopes(x):
    """Return the deltas of log-mels over all frames but two at either end."""
    return 0.1 * (x[..., 3:-1] - x[..., 1:-3]) + 0.2 * (x[..., 4:] - x[..., :-4])


def test_mixed_classes_are_new_every_epoch():
    """The stream of an epoch is its own: epoch 0 repeats exactly, labels included, epoch 1 mixes others."""
    data = replace(feature_set(), reader=ReaderSpec(scaling="none", deltas=0))
    batches = TrainingBatches(data, TrainConfig(**PLAIN, class_mix_p=1.0, gain_db=6.0), 3)
    first, again, second = (list(batches.epoch(number)) for number in (0, 0, 1))
    for (x, y), (x2, y2) in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)
    assert not np.array_equal(first[0][0], second[0][0])


def test_a_gain_that_scaling_undoes_is_refused():
    """With min–max scaling a gain is a configuration error that says what to set; so are both kinds of mixing."""
    with pytest.raises(ConfigError, match=r"train.gain_db 6 has no effect with reader.scaling minmax.*standardize"):
        TrainingBatches(feature_set(), TrainConfig(**PLAIN, gain_db=6.0), 0)
    centered = TrainConfig(gain_db=6.0).clash_with(ReaderSpec(scaling="center"))
    assert "reader.scaling center, which brings every clip to the same level: set reader.scaling to none" in centered
    with pytest.raises(ConfigError, match=r"set mixup_alpha: 0"):
        parse_config(TrainConfig, {"class_mix_p": 1.0}, "train")


def test_steps_are_those_turned_on():
    """The defaults crop and mix; every switch adds one step."""
    assert len(steps_of(TrainConfig())) == 2
    everything = TrainConfig(
        time_stretch=1.2, frequency_shift=2, time_roll=True, freq_mixstyle_p=0.4, frequency_mask=13, time_mask=40
    )
    assert len(steps_of(everything)) == 7
    assert steps_of(TrainConfig(**PLAIN)) == []


def test_steps_act_in_the_order_of_the_registry():
    """Turned on together, the steps give what plain calls in their order give: stretch, shift, roll, crop, mixup, …"""
    x, y = np.random.default_rng(1).normal(size=(8, 16, 40, 2)).astype(np.float32), np.eye(8, dtype=np.float32)
    everything = TrainConfig(
        time_stretch=1.2, frequency_shift=2, time_roll=True, crop_fraction=0.8, mixup_alpha=0.3, freq_mixstyle_p=1.0,
        freq_mixstyle_alpha=0.5, frequency_mask=9, time_mask=12, mask_per_channel=True,
    )  # fmt: skip
    found, labels = batch.composed(steps_of(everything))(x, y, np.random.default_rng(2))
    rng = np.random.default_rng(2)
    moved = batch.time_roll(batch.frequency_shift(batch.time_stretch(x, 1.2, rng), 2, rng), rng)
    mixed, expected_labels = batch.mixup(batch.random_crop(moved, 0.8, rng), y, 0.3, rng)
    expected = batch.spec_augment(batch.freq_mixstyle(mixed, 1.0, 0.5, rng), 9, 12, rng, per_channel=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(labels, expected_labels)


NO_AUGMENTATION = {"batch_size", "epoch_examples", "balance", "label_smoothing"}
"""Fields of the recipe that change batches and are none: how many are drawn, which, and their targets."""


def changing(fields, switches):
    """Return which of the fields change the batches of an epoch when these switches are on and all others off."""
    data = paired()
    labels = np.arange(24) // 12  # mixing takes two classes
    data = replace(data, labels=labels, reader=ReaderSpec(scaling="none", deltas=1))

    def made(recipe):
        batches = TrainingBatches(data, TrainConfig(**recipe), 3).epoch(0)
        return [(x.shape, x.tobytes(), y.tobytes()) for x, y in batches]

    base = {"batch_size": 8, **OFF, **switches}
    plain = made(base)
    return {field for field in fields if made({**base, field: other_value(field, base)}) != plain}


def test_every_field_that_changes_batches_is_in_the_registry():
    """Changed alone, the fields of the recipe that change batches are the registry's switches; so all are declared."""
    assert changing(TrainConfig.model_fields, {}) == set(SWITCHES) | NO_AUGMENTATION


@pytest.mark.parametrize("entry", WHILE_TRAINING, ids=lambda entry: entry.name)
def test_settings_act_only_while_their_augmentation_is_on(entry):
    """With one augmentation on, the fields that change batches now and alone did not are its settings."""
    others = set(TrainConfig.model_fields) - set(SWITCHES) - NO_AUGMENTATION
    assert changing(others, {knob: ON[knob] for knob in entry.switches}) == set(entry.settings)


def test_masks_per_channel_reach_the_batch():
    """With `mask_per_channel` the channels of an example lose different bands, without it the same."""
    data = feature_set(24, deltas=1)
    for per_channel in (False, True):
        found = batches_of(data, frequency_mask=9, mask_per_channel=per_channel)
        bands = np.concatenate([(x == 0).all(axis=2) for x in found])
        assert (bands[..., 0] == bands[..., 1]).all() == (not per_channel)


def test_devices_are_asked_for_in_vain():
    """Without pairs the switch is an error with a way out; two probabilities over 1 are refused by the config."""
    with pytest.raises(DataError, match="there are none"):
        batches_of(feature_set(), device_offset_p=0.5)
    with pytest.raises(ConfigError, match=r"must not exceed 1, got 0.7 \+ 0.5"):
        parse_config(TrainConfig, {"spectrum_correction_p": 0.7, "device_offset_p": 0.5}, "train")


@pytest.mark.parametrize("windows", [{}, {"window_seconds": 0.3}])
def test_augmentations_leave_the_frequency_channel(windows):
    """With every switch on, the other channels are those of a reader without it."""
    reader = ReaderSpec(scaling="none", deltas=1, **windows)
    data = replace(feature_set(n_devices=2), reader=reader)
    clips = data.clips.assign(segment="0", scene="scene0")
    data = replace(data, clips=clips)
    config = {"time_stretch": 1.3, "frequency_shift": 3, "frequency_mask": 4, "cut_mix_p": 1.0, "freq_mixstyle_p": 1.0}
    plain = batches_of(data, **config)
    found = batches_of(replace(data, reader=reader.updated(frequency_channel=True)), **config)
    for x, y in zip(plain, found, strict=True):
        positions = np.linspace(-1, 1, x.shape[1], dtype=np.float32)
        np.testing.assert_array_equal(y[..., :2], x)
        np.testing.assert_array_equal(y[..., 2], np.broadcast_to(positions[:, None], x.shape[:3]))
