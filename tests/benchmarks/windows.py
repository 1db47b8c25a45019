"""Do short windows arrive faster than they are trained on? Windows a second of the batches alone and of the trainer.

    python tests/benchmarks/windows.py [--rounds 3] [--steps 30] [--threads 2] [--set train.time_stretch=1.25]...

320 clips of 5 s (128 × 216 float16, as of ESC-10), an epoch of `--steps` batches of 64 windows of 1.5 s with deltas,
made on one thread of their own. `--set` changes the recipe or the reader, value as YAML. Each round takes, in turn:

  batches:  an epoch's batches through `prefetched`, nothing trained
  sgd, nesterov, adamw:  an epoch trained with that optimizer, batches made on the way, on `--threads` threads
  step, with …:  the same step again and again on one batch: the optimizer's own cost

Printed is the median of the rounds, the range, and the ratio to the trainer with SGD. The network has 123 k parameters
and some 16 M multiply–accumulates a window.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import closing

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import ModelConfig, StageConfig
from asc_models.training.batches import TrainingBatches
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.files.yaml_file import load_yaml
from data_prep.reader.prefetch import prefetched
from data_prep.reader.reader import FeatureSet

N_CLIPS, N_CLASSES, BATCH = 320, 10, 64
SPEC = FeatureSpec(clip_seconds=5.0)
WINDOW_FRAMES = 64
STAGES = [
    StageConfig(filters=filters, stride=stride) for filters, stride in ((32, 2), (48, 2), (64, 2), (80, 1), (96, 1))
]
NETWORK = ModelConfig(stages=tuple(STAGES), expansion=3, attention="casam", dropout=0.2)
OPTIMIZERS = {"sgd": 0.01, "nesterov": 0.01, "adamw": 1e-3}
"""{optimizer: learning rate}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="train.KEY=VALUE")
    options = parser.parse_args()
    from asc_models.process import start_tensorflow
    from asc_models.training.trainer import Trainer

    start_tensorflow(options.threads)
    features, recipe = made_clips(section(options.changes, "reader")), section(options.changes, "train")
    whole = features.input_shape[1]
    settings = {
        "batch_size": BATCH, "mixup_alpha": 0.0, "crop_fraction": WINDOW_FRAMES / whole, "schedule": "cosine",
        "epoch_examples": options.steps * BATCH, "weight_decay": 5e-4, **recipe,
    }  # fmt: skip
    configs = {
        name: TrainConfig.model_validate({**settings, "optimizer": name, "learning_rate": rate})
        for name, rate in OPTIMIZERS.items()
    }
    batches = TrainingBatches(features, configs["sgd"], seed=0)
    trainers = {name: Trainer(NETWORK, config, features, seed=0) for name, config in configs.items()}
    cost = estimate(NETWORK, batches.batch_shape[1:], N_CLASSES)
    print(f"{cost.n_params:,} parameters, {cost.macs / 1e6:.1f} M MACs a window of {batches.batch_shape[1:]}")
    x, y = next(iter(batches.epoch(0)))
    measured: dict[str, Callable[[int], object]] = {
        "batches": lambda number: drain(batches, number),
        **{name: lambda _, one=trainer: one.train_to(one.epoch + 1) for name, trainer in trainers.items()},
        **{
            f"step, with {name}": lambda _, one=trainer: [one._step(x, y, 1e-4, 9.0) for _ in range(options.steps)]
            for name, trainer in trainers.items()
        },
    }
    rates: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(options.rounds + 1):
        for name, work in measured.items():
            started = time.perf_counter()
            work(number)
            if number:  # the first round warms up
                rates[name].append(options.steps * BATCH / (time.perf_counter() - started))
    reference = np.array(rates["sgd"])
    for name, values in rates.items():
        row = np.array(values)
        print(
            f"{name:20} {np.median(row):8,.0f} windows/s ({row.min():,.0f}–{row.max():,.0f}), "
            f"{np.median(row / reference):6.2f} times the trainer's"
        )


def section(changes: list[str], name: str) -> dict[str, object]:
    """Return {key: value} of the changes to one section."""
    pairs = (change.split("=", 1) for change in changes if change.startswith(f"{name}."))
    return {key.partition(".")[2]: load_yaml(value, f"--set {key}") for key, value in pairs}


def drain(batches: TrainingBatches, number: int) -> None:
    """Make an epoch's batches on their thread."""
    with closing(prefetched(batches.epoch(number))) as ready:
        for _ in ready:
            pass


def made_clips(reader: dict[str, object]) -> FeatureSet:
    """Return clips of noise about as loud as recordings."""
    rng = np.random.default_rng(0)
    log_mel = rng.normal(-8, 3, (N_CLIPS, SPEC.n_mels, SPEC.n_frames)).astype(np.float16)
    classes = tuple(f"scene{i}" for i in range(N_CLASSES))
    table = pd.DataFrame({"clip_id": [str(i) for i in range(N_CLIPS)], "device": "a", "augmentation": "none"})
    spec = ReaderSpec.model_validate({"scaling": "none", **reader})
    return FeatureSet(log_mel, rng.integers(N_CLASSES, size=N_CLIPS), table, classes, spec, SPEC)


if __name__ == "__main__":
    main()
