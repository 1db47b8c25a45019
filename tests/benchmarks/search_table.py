"""A table of really trained networks, on which searches can be replayed in seconds: search_table.parquet.

    python tests/benchmarks/search_table.py --esc10 DIR --work FOLDER [--workers 2] [--rungs 2 6 14 30]

Trains every network of a lattice of 480 (blocks, width, growth, expansion, kernel, attention with its r) on the
training clips of ESC-10's fold 1, and a quarter of them with a second seed; each is scored on the fold's validation
clips (a share of the training list, cut by location) at the ends of the warm-restart cycles. The test split is never
read. Features are reduced: 40 mel bands × 54 frames of 5 s, no deltas.

Resumable (trained_table.py). The lattice is trained in a random order, so that a part of it is a sample of it. The
Parquet file is written again at the end, or by `--fold-only` from what is there.

Columns: the lattice's knobs (reduction_ratio is null where there is no channel attention), seed, rung, epochs,
macro_accuracy and log_loss (of the float weights at the rung's end, in Keras, not of an exported file), n_params, macs,
weight_bytes (of an int8_weights export), seconds (processor time up to the rung, tracing included), diverged (scored as
chance). The file's metadata say all of this too.
"""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from trained_table import N_CLASSES, Params, Task, arguments_of, train_all, train_through, write_table

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import ModelConfig, StageConfig
from data_prep.config import FeatureSpec, PrepareConfig, ReaderSpec, ValidationSpec

TABLE = Path(__file__).with_name("search_table.parquet")
FEATURES = FeatureSpec(clip_seconds=5.0, n_mels=40, n_fft=4096, hop_length=4096)
VALIDATION = ValidationSpec(fraction=0.4)
READER = ReaderSpec(deltas=0)
TRAIN = TrainConfig(epochs=62, batch_size=16, learning_rate=0.05)
ORDER_SEED = 0
SECOND_SEED_EVERY = 8
"""One network in so many is trained with a second seed beside the first, and once more as many at the end."""

LATTICE: dict[str, tuple[Any, ...]] = {
    "n_blocks": (2, 3, 4),
    "base_filters": (8, 16, 24, 32),
    "growth": (1.0, 1.5),
    "expansion": (1, 3),
    "kernel_size": (3, 5),
    "attention": ("none", "channel", "casam"),
    "reduction_ratio": (2, 8),
}
KNOBS = tuple(LATTICE)


def lattice() -> list[Params]:
    """Return the 480 networks; r stands only where there is channel attention."""
    points = []
    for values in itertools.product(*LATTICE.values()):
        params = dict(zip(KNOBS, values, strict=True))
        if params["attention"] == "none":
            params["reduction_ratio"] = None
        if params not in points:
            points.append(params)
    return points


def network(params: Params) -> ModelConfig:
    """Return the network that a point stands for."""
    ratio = {} if params["reduction_ratio"] is None else {"reduction_ratio": params["reduction_ratio"]}
    filters = [params["base_filters"] * params["growth"] ** index for index in range(params["n_blocks"])]
    stages = [StageConfig(filters=8 * int(n / 8 + 0.5), stride=2 if i < 2 else 1) for i, n in enumerate(filters)]
    return ModelConfig(
        stem_filters=16,
        stem_stride=2,
        stages=tuple(stages),
        kernel_size=params["kernel_size"],
        expansion=params["expansion"],
        attention=params["attention"],
        dropout=0.0,
        **ratio,
    )


def tasks() -> list[Task]:
    """Return every training in the order they are made."""
    points = lattice()
    shuffled = [points[i] for i in np.random.default_rng(ORDER_SEED).permutation(len(points))]
    order: list[Task] = []
    for index, params in enumerate(shuffled):
        order.append((params, 0))
        if index % SECOND_SEED_EVERY == 3:
            order.append((params, 1))
    order.extend((params, 1) for params in shuffled[7::SECOND_SEED_EVERY])
    return order


@cache
def splits(work: Path) -> tuple[Any, Any]:
    """Return this process's training and validation clips."""
    from asc_models.process import start_tensorflow
    from data_prep.reader.reader import read_split

    start_tensorflow(1)
    shards = str(work / "shards")
    train = read_split(shards, "train", fold=1, reader=READER)
    return train, read_split(shards, "validation", fold=1, reader=READER, statistics=train.statistics)


def train(task: Task, work: Path, rungs: tuple[int, ...]) -> dict[str, Any]:
    """Train a network through `rungs`, and return what it scored at each."""
    train_set, validation = splits(work)
    return train_through(task, work, rungs, network(task[0]), TRAIN, train_set, {"": validation})


def costs(params: Params) -> dict[str, Any]:
    """Return a network's columns of size and cost."""
    cost = estimate(network(params), READER.input_shape(FEATURES), N_CLASSES)
    weight_bytes = cost.weight_bytes_as("int8_weights")
    return {"n_params": cost.n_params, "macs": cost.macs, "weight_bytes": weight_bytes}


def main() -> None:
    """Train what is missing and write the table."""
    asked = arguments_of(__doc__, TABLE, (2, 6, 14, 30))
    prepared = PrepareConfig(features=FEATURES, validation=VALIDATION)
    if not asked.fold_only:
        train_all(asked, prepared, tasks(), train)
    described = {
        "description": " ".join(str(__doc__).split()),
        **{"features": FEATURES.model_dump(mode="json"), "validation": VALIDATION.model_dump(mode="json")},
        **{"reader": READER.model_dump(mode="json"), "train": TRAIN.model_dump(mode="json")},
        "values": "float weights at the rung's end, in Keras, on the validation split",
    }
    write_table(asked, tasks(), costs, described)


if __name__ == "__main__":
    main()
