"""Does the trainer ever wait for augmentation? Milliseconds a batch beside those of a training step.

    python tests/benchmarks/augmentation.py [--preset cao2021-system4] [--batch 16] [--rounds 15]

Inputs are 128 × 423 × 3, made in batches; mixup takes two and gives one, so everything before it is timed on two. The
training step (forward, backward, update) is of the preset's network in this process, on all its processors. All take
turns round by round; printed are the medians and their share of the step. `everything` is all of them in the trainer's
order; `recipe` is the paper's: deltas, random crop, mixup.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from asc_models.config import TrainConfig
from asc_models.networks.presets import preset
from asc_models.training.batches import TrainingBatches
from data_prep.augment import batch as augment
from data_prep.augment.onthefly import OnTheFly
from data_prep.config import ReaderSpec
from data_prep.reader.reader import FeatureSet

N_CLIPS = 320
N_CLASSES = 10
EVERYTHING = {
    "time_stretch": 1.4,
    "frequency_shift": 6,
    "time_roll": True,
    "freq_mixstyle_p": 1.0,
    "frequency_mask": 13,
    "time_mask": 40,
    "mask_per_channel": True,
    "scene_mix_p": 0.5,
    "spectrum_correction_p": 0.5,
}


def training_set() -> FeatureSet:
    """Return clips of noise, 128 × 431, on devices a and b by turns."""
    rng = np.random.default_rng(0)
    log_mel = rng.normal(-5, 2.3, (N_CLIPS, 128, 431)).astype(np.float16)
    labels = np.arange(N_CLIPS) // 2 % N_CLASSES
    clips = pd.DataFrame(
        {
            "clip_id": [str(i) for i in range(N_CLIPS)],
            "scene": [f"scene{label}" for label in labels],
            "device": ["ab"[i % 2] for i in range(N_CLIPS)],
            "location": [f"place{i // 2}" for i in range(N_CLIPS)],
            "segment": ["0"] * N_CLIPS,
            "augmentation": ["none"] * N_CLIPS,
        }
    )
    return FeatureSet(log_mel, labels, clips, tuple(f"scene{i}" for i in range(N_CLASSES)), ReaderSpec())


def training_step(name: str, batch: int) -> Callable[[], object]:
    """Return a function that takes one training step of the preset's network on a batch without augmentation."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    from asc_models.training.trainer import Trainer

    data = training_set().take(np.arange(batch))
    trainer = Trainer(preset(name), TrainConfig(batch_size=batch, learning_rate=0.01, mixup_alpha=0), data, seed=0)
    x, y = next(iter(trainer._batches.epoch(0)))
    x, y, rate = tf.constant(x), tf.constant(y), tf.constant(0.01, tf.float32)
    return lambda: float(trainer._step(x, y, rate))


def whole_batches(data: FeatureSet, batch: int, **switches: Any) -> Callable[[], object]:
    """Return a function that makes one batch as the trainer does, from stored features; nothing is kept between."""
    batches = TrainingBatches(data, TrainConfig(batch_size=batch, **switches), 0)
    batches._cache = None
    rng = np.random.default_rng(0)
    return lambda: batches._augmented(rng.integers(0, data.n_clips, 2 * batch), rng)


def candidates(batch: int) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    data = training_set()
    rng = np.random.default_rng(0)
    rows = np.arange(2 * batch)
    x2, y2 = data.inputs(rows), np.eye(N_CLASSES, dtype=np.float32)[data.labels[rows]]
    x = x2[:batch]
    mixing, correcting = OnTheFly(data, scene_mix_p=1.0), OnTheFly(data, spectrum_correction_p=1.0)
    return {
        "stored features to inputs (two batches)": lambda: data.inputs(rows),
        "on the fly: mix of a scene (two)": lambda: mixing(rows, rng),
        "on the fly: spectrum correction (two)": lambda: correcting(rows, rng),
        "time stretch (two)": lambda: augment.time_stretch(x2, 1.4, rng),
        "frequency shift (two)": lambda: augment.frequency_shift(x2, 6, rng),
        "time roll (two)": lambda: augment.time_roll(x2, rng),
        "random crop (two)": lambda: augment.random_crop(x2, 400 / 423, rng),
        "mixup": lambda: augment.mixup(x2, y2, 0.4, rng),
        "Freq-MixStyle": lambda: augment.freq_mixstyle(x, 1.0, 0.3, rng),
        "SpecAugment, shared": lambda: augment.spec_augment(x, 13, 40, rng),
        "SpecAugment, per channel": lambda: augment.spec_augment(x, 13, 40, rng, per_channel=True),
        "recipe, from stored features": whole_batches(data, batch),
        "everything, from stored features": whole_batches(data, batch, **EVERYTHING),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="cao2021-system4")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    step = f"training step of {arguments.preset}"
    timed = {step: training_step(arguments.preset, arguments.batch), **candidates(arguments.batch)}
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(arguments.rounds + 2):
        for name, work in timed.items():
            start = time.perf_counter()
            work()
            if number > 1:  # the first rounds warm up
                taken[name].append(1000 * (time.perf_counter() - start))
    medians = {name: float(np.median(ms)) for name, ms in taken.items()}
    print(f"batches of {arguments.batch}; medians of {arguments.rounds} rounds")
    print(f"{'':<44}{'ms a batch':>11}{'of a step':>11}")
    for name, ms in medians.items():
        print(f"{name:<44}{ms:>11.1f}{ms / medians[step]:>11.1%}")


if __name__ == "__main__":
    main()
