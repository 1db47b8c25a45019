"""All augmentations of training clips, in the order in which they are applied.

To add one, write its step, its entry and the configuration field that turns it on:

- copies computed from audio: `COPIES` in data_prep/copies/waveforms.py; `OfflineAugmentation` in data_prep/config.py
- stored log-mels as they are drawn: `STORED` in data_prep/augment/onthefly.py or, if labels are mixed as well, `MIXED`
  in data_prep/augment/class_mix.py; `TrainConfig` in asc_models/config.py
- batches of network input: `BATCHES` in data_prep/augment/batch.py; `TrainConfig` in asc_models/config.py

Training, the conditions of a search space and the declaration in a submission are derived from the entry.
"""

from __future__ import annotations

from typing import Any

from data_prep.augment.batch import BATCHES
from data_prep.augment.class_mix import MIXED
from data_prep.augment.onthefly import STORED
from data_prep.augmentation import Augmentation
from data_prep.copies.waveforms import COPIES

WHILE_TRAINING: tuple[Augmentation[Any], ...] = (*STORED, *MIXED, *BATCHES)
"""Augmentations that fields of `train` turn on."""

AUGMENTATIONS: tuple[Augmentation[Any], ...] = (*COPIES.values(), *WHILE_TRAINING)

SWITCHES: dict[str, Augmentation[Any]] = {knob: entry for entry in WHILE_TRAINING for knob in entry.switches}
"""{field of `train`: the augmentation that it turns on}."""

WHOLE_CLIPS: dict[str, float] = {knob: entry.off for knob, entry in SWITCHES.items() if entry.changes_length}
"""{field of `train`: value that turns it off} for networks with a fixed input length, which need all frames."""
