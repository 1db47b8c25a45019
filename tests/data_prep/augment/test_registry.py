"""The registry is complete, and its order is the order in which augmentations act."""

from collections import Counter
from typing import get_args

from asc_models.config import TrainConfig
from data_prep.augment.registry import AUGMENTATIONS, SWITCHES, WHILE_TRAINING
from data_prep.config import OfflineAugmentation, OfflineSpec
from data_prep.copies.waveforms import COPIES

ORDER = (
    *("spectrum_correction", "pitch_shift", "speed_change", "mix", "device_response"),
    *("stored_scene_mix", "stored_spectrum_correction", "stored_device_offset", "class_mix", "gain"),
    *("time_stretch", "frequency_shift", "time_roll", "random_crop", "mixup", "cut_mix", "freq_mixstyle"),
    "spec_augment",
)


def test_augmentations_keep_the_order_in_which_they_act():
    """Copies of waveforms come first, then stored log-mels, then batches; whatever is added, these stay in order."""
    names = [entry.name for entry in AUGMENTATIONS]
    assert tuple(name for name in names if name in ORDER) == ORDER
    assert len(set(names)) == len(names)


def test_every_copy_has_an_entry():
    """Copies are those that `prepare.augmentations` takes; each setting of `prepare.offline` but the seed has one."""
    assert set(COPIES) == set(get_args(OfflineAugmentation))
    assert all(list(entry.switches) == [name] for name, entry in COPIES.items())
    settings = {setting for entry in COPIES.values() for setting in entry.settings}
    assert settings == set(OfflineSpec.model_fields) - {"seed"}


def test_knobs_are_fields_of_the_recipe():
    """Switches and settings of training's augmentations exist, no two share one, and every switch can be turned off."""
    knobs = Counter(knob for entry in WHILE_TRAINING for knob in (*entry.switches, *entry.settings))
    assert set(knobs) <= set(TrainConfig.model_fields)
    assert set(knobs.values()) == {1}
    recipe = TrainConfig(**{knob: entry.off for knob, entry in SWITCHES.items()}).model_dump()
    assert not any(entry.is_on(recipe) for entry in WHILE_TRAINING)
