"""Does the trainer ever wait for its batches? What the reader delivers beside what the trainer takes, in turn.

    python tests/benchmarks/reader.py [--clips 2000] [--rounds 5] [--steps 12] [--preset cao2021-system4]

Clips are 128 × 431 float16, too many for their inputs to be kept; batches are the paper's: 16 of 128 × 400 × 3, each
mixed from two draws and cropped. A clip counts whenever it is drawn. Both use one thread of their own here; in
training the reader works on its thread while TensorFlow computes.

  inputs:   the stored clips decoded, scaled, with deltas: `FeatureSet.inputs`, 16 clips at a time
  reader:   whole training batches through `prefetched`, from a shuffle of all clips
  trainer:  the same batches, trained on
Last comes what the clips occupy: in memory they stay float16, whatever the reader makes of them.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from contextlib import closing
from itertools import islice

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

from asc_models.config import TrainConfig
from asc_models.networks.presets import preset
from asc_models.training.batches import TrainingBatches
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.reader.prefetch import prefetched
from data_prep.reader.reader import FeatureSet

N_CLASSES = 10
N_TAU = 13_962
"""Training clips of TAU Urban Acoustic Scenes 2020 Mobile, fold 1."""


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--preset", default="cao2021-system4")
    options = parser.parse_args()
    from asc_models.process import start_tensorflow
    from asc_models.training.trainer import Trainer

    start_tensorflow(1)
    recipe = TrainConfig(learning_rate=0.01)
    features = made_clips(options.clips)
    batches = TrainingBatches(features, recipe, seed=0)
    n_drawn = 2 * recipe.batch_size
    few = features.take(np.arange(options.steps * recipe.batch_size))
    trainer = Trainer(preset(options.preset), recipe, few, seed=0)
    trainer.train_to(1)
    rates: dict[str, list[float]] = {"inputs": [], "reader": [], "trainer": []}
    for number in range(options.rounds):
        start = time.perf_counter()
        for i in range(0, 320, 16):
            features.inputs(np.arange(i, i + 16))
        rates["inputs"].append(320 / (time.perf_counter() - start))
        start = time.perf_counter()
        with closing(prefetched(batches.epoch(number))) as ready:
            n = n_drawn * sum(1 for _ in islice(ready, 4 * options.steps))
        rates["reader"].append(n / (time.perf_counter() - start))
        start = time.perf_counter()
        trainer.train_to(trainer.epoch + 1)
        rates["trainer"].append(n_drawn * options.steps / (time.perf_counter() - start))
    trained = np.array(rates["trainer"])
    for name, values in rates.items():
        row = np.array(values)
        print(f"{name:8} {np.median(row):8,.0f} clips/s, {np.median(row / trained):6.1f} times the trainer's")
    print_memory(features)


def made_clips(n: int) -> FeatureSet:
    """Return `n` clips of noise about as loud as recordings."""
    rng = np.random.default_rng(0)
    spec = FeatureSpec()
    log_mel = np.empty((n, spec.n_mels, spec.n_frames), dtype=np.float16)
    for clip in log_mel:
        clip[:] = rng.normal(-8, 3, clip.shape)
    classes = tuple(f"scene{i}" for i in range(N_CLASSES))
    table = pd.DataFrame({"clip_id": [str(i) for i in range(n)]})
    return FeatureSet(log_mel, rng.integers(N_CLASSES, size=n), table, classes, ReaderSpec())


def print_memory(features: FeatureSet) -> None:
    """Print bytes a clip, as kept and as network input, and this process's peak."""
    kept = features.log_mel[0].nbytes
    as_input = 4 * int(np.prod(features.input_shape))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"a clip: {kept:,} bytes as kept, {as_input:,} as float32 input")
    print(f"{N_TAU:,} clips: {N_TAU * kept:,} bytes as kept, {N_TAU * as_input:,} as float32 input")
    print(f"here: {features.log_mel.nbytes:,} bytes of {features.n_clips:,} clips; the process's peak {peak:,}")


if __name__ == "__main__":
    main()
