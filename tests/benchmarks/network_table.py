"""Networks and recipes, really trained, scored on validation and on held-out clips: network_table.parquet.

    python tests/benchmarks/network_table.py --esc10 DIR --work FOLDER [--workers 2] [--rungs 6 14 30]

Unlike search_table.py, the space has far more points than any search trains, among them learning rate, decay, batch
size and augmentation; the data are the training side of ESC-10's fold 2; and beside the validation clips there are
others that no search sees, so that a searcher is judged by what its choice is worth. Points are drawn at random; a part
of them is trained with three seeds, which tells the noise (network_task.py). The fold's test split is never read.

The training side, 320 clips, is cut by location into four parts, as in inner cross-validation: two to train, one to
validate, one held out. Features are reduced: 40 mel bands × 54 frames of 5 s, no deltas. An epoch has 512 examples.

Resumable, also from the table alone (trained_table.py). Columns: knobs (null where a knob has no effect), seed, rung,
epochs, macro_accuracy and log_loss (float weights at the rung's end, on validation clips), hidden_macro_accuracy and
hidden_log_loss (held-out clips), n_params, macs, weight_bytes (int8_weights), seconds of processor time, diverged (as
chance).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from trained_table import N_CLASSES, Params, Task, arguments_of, train_all, train_through, write_table

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from data_prep.config import FeatureSpec, PrepareConfig, ReaderSpec
from search.space.config import SpaceConfig
from search.space.space import Space

TABLE = Path(__file__).with_name("network_table.parquet")
FEATURES = FeatureSpec(clip_seconds=5.0, n_mels=40, n_fft=4096, hop_length=4096)
READER = ReaderSpec(deltas=0, scaling="none")
TRAIN = TrainConfig(
    epochs=62, epoch_examples=512, optimizer="nesterov", weight_decay=5e-4, mixup_alpha=0.0, class_mix_p=1.0
)
EPOCHS = (6, 14, 30)
"""Rungs, as of the default search; before, batch norm's statistics are those of too few steps."""
FOLD = 2
N_PARTS = 4
N_POINTS = 600
THREE_SEEDS_EVERY = 8
"""One point in so many is trained with three seeds."""

SPACE: dict[str, Any] = {
    "reduction_ratio": 4,
    "n_blocks": [2, 3, 4, 5],
    "base_filters": [8, 12, 16, 24, 32, 40],
    "growth": [1.0, 1.25, 1.5],
    "n_strided": [1, 2, 3],
    "stem_filters": [8, 16, 24],
    "kernel_size": [3, 5],
    "expansion": [1, 2, 3],
    "attention": ["none", "channel", "spatial", "casam"],
    "dropout": [0.0, 0.1, 0.3],
    "train.learning_rate": {"low": 0.002, "high": 0.5, "log": True},
    "train.weight_decay": {"low": 1e-5, "high": 1e-2, "log": True},
    "train.batch_size": [16, 32, 64],
    "train.class_mix_p": [0.0, 0.5, 1.0],
    "train.frequency_shift": [0, 1, 2, 4],
}


@cache
def space() -> Space:
    """Return the space."""
    return Space(SpaceConfig.model_validate(SPACE), READER.input_shape(FEATURES), N_CLASSES)


def tasks() -> list[Task]:
    """Return every training, in an order of which any beginning is a sample."""
    searched, rng = space(), np.random.default_rng(0)
    points = [dict.fromkeys(searched.knobs) | searched.draw(rng) for _ in range(N_POINTS)]
    return [
        (params, seed)
        for index, params in enumerate(points)
        for seed in ((0, 1, 2) if index % THREE_SEEDS_EVERY == 0 else (0,))
    ]


def without_gaps(row: Mapping[str, Any]) -> Params:
    """Return the point of a row: its knobs without those that have no effect there."""
    return {name: row[name] for name in space().knobs if not pd.isna(row[name])}


@cache
def splits(work: Path) -> tuple[Any, Any, Any]:
    """Return this process's clips to train, to validate and held out."""
    from asc_models.process import start_tensorflow
    from data_prep.reader.parts import parts_of
    from data_prep.reader.reader import read_splits

    start_tensorflow(1)
    side = read_splits(str(work / "shards"), ("train", "validation"), fold=FOLD, reader=READER)
    parts = parts_of(side.clips, N_PARTS)
    train, validation, hidden = (side.take(np.flatnonzero(np.isin(parts, some))) for some in ([3, 4], [1], [2]))
    return train, validation, hidden


def train(task: Task, work: Path, rungs: tuple[int, ...]) -> dict[str, Any]:
    """Train a point through `rungs`, and return what it scored at each."""
    train_set, validation, hidden = splits(work)
    settings = space().settings(without_gaps(task[0]))
    recipe = TRAIN.updated(**settings.train_overrides)
    return train_through(task, work, rungs, settings.model, recipe, train_set, {"": validation, "hidden_": hidden})


def costs(params: Params) -> dict[str, Any]:
    """Return a point's columns of size and cost."""
    cost = estimate(space().settings(without_gaps(params)).model, READER.input_shape(FEATURES), N_CLASSES)
    weight_bytes = cost.weight_bytes_as("int8_weights")
    return {"n_params": cost.n_params, "macs": cost.macs, "weight_bytes": weight_bytes}


def main() -> None:
    """Train what is missing and write the table."""
    asked = arguments_of(__doc__, TABLE, EPOCHS)
    if not asked.fold_only:
        train_all(asked, PrepareConfig(features=FEATURES), tasks(), train)
    described = {
        "description": " ".join(str(__doc__).split()),
        **{"features": FEATURES.model_dump(mode="json"), "space": SPACE},
        **{"reader": READER.model_dump(mode="json"), "train": TRAIN.model_dump(mode="json")},
    }
    write_table(asked, tasks(), costs, described)


if __name__ == "__main__":
    main()
