"""A short measurement of a training: its time per example and its memory, in a separate process.

    python -m asc_models.training.measure SETUP

trains a network on random clips for a few batches and prints both. SETUP is JSON (see `measure_training`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asc_models.config import TrainConfig
from asc_models.errors import TrainingError
from asc_models.networks.network import NetworkConfig
from asc_models.process import failure_of, run_module, start_tensorflow
from data_prep.config import FeatureSpec, ReaderSpec

N_BATCHES = 3
"""Batches of an epoch; the first epoch, in which TensorFlow traces the step, is not timed."""
MAX_EPOCHS = 62
MIN_SECONDS = 1.0
"""Time that is measured, unless `MAX_EPOCHS` take less."""
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """What a training takes on this machine."""

    seconds_per_example: float
    """Time of a training step, making its batch included, divided by the batch size."""
    memory_bytes: int
    """Peak memory of the process, without the clips of a data set."""


def measure_training(
    model: NetworkConfig,
    train: TrainConfig,
    reader: ReaderSpec,
    features: FeatureSpec,
    n_classes: int,
    n_threads: int,
) -> TrainingCost:
    """Train a network for some seconds on random clips and return what that costs.

    Args:
        model: the network.
        train: the recipe.
        reader: how stored log-mels become network input.
        features: of the stored log-mels.
        n_classes: number of scenes.
        n_threads: threads of the training.

    Raises:
        TrainingError: if the process fails, as for lack of memory, or takes too long.
    """
    sections = {"model": model, "train": train, "reader": reader, "features": features}
    setup = {name: section.model_dump(mode="json") for name, section in sections.items()}
    try:
        done = run_module(
            __name__, json.dumps({**setup, "n_classes": n_classes, "n_threads": n_threads}), timeout_s=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise TrainingError(f"{N_BATCHES} batches of {train.batch_size} took more than {TIMEOUT_S:g} s") from None
    if failure := failure_of(done):
        raise TrainingError(failure)
    seconds, memory = json.loads(done.stdout.strip().splitlines()[-1])
    return TrainingCost(seconds, memory)


def _measure(setup: Mapping[str, Any]) -> TrainingCost:
    import resource

    import numpy as np
    import pandas as pd

    start_tensorflow(setup["n_threads"])
    from asc_models.networks.families import parse_network
    from asc_models.training.trainer import Trainer
    from data_prep.reader.reader import FeatureSet

    features = FeatureSpec.model_validate(setup["features"])
    # Statistics are those of a data set; scaling by them costs next to nothing.
    reader = ReaderSpec.model_validate(setup["reader"]).updated(scaling="none")
    train = TrainConfig.model_validate(setup["train"]).updated(epoch_examples=None, epochs=MAX_EPOCHS)
    n_clips, rng = N_BATCHES * train.batch_size, np.random.default_rng(0)
    log_mel = rng.standard_normal((n_clips, features.n_mels, features.n_frames)).astype(np.float16)
    classes = tuple(f"scene {number}" for number in range(setup["n_classes"]))
    clips = FeatureSet(log_mel, np.arange(n_clips) % len(classes), pd.DataFrame(), classes, reader, features)
    trainer = Trainer(parse_network(setup["model"]), train, clips, seed=0)
    trainer.train_to(1)
    began, n_epochs = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < MIN_SECONDS and trainer.epoch < MAX_EPOCHS:
        trainer.train_to(trainer.epoch + 1)
        n_epochs += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return TrainingCost(seconds / (n_epochs * n_clips), peak)


if __name__ == "__main__":
    cost = _measure(json.loads(sys.argv[1]))
    print(json.dumps([cost.seconds_per_example, cost.memory_bytes]))
