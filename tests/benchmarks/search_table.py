"""A table of really trained networks, on which searches can be replayed in seconds: search_table.parquet.

    python tests/benchmarks/search_table.py --esc10 DIR --work FOLDER [--workers 2] [--rungs 2 6 14 30]

Trains every network of a lattice of 480 (blocks, width, growth, expansion, kernel, attention with its r) on the
training clips of ESC-10's fold 1, and a quarter of them with a second seed; each is scored on the fold's validation
clips (a share of the training list, cut by location) at the ends of the warm-restart cycles. The test split is never
read. Features are reduced: 40 mel bands × 54 frames of 5 s, no deltas.

Resumable: every finished training is a line in FOLDER/trainings.jsonl at once and its state lies in
FOLDER/checkpoints; called again, only what is missing is trained, and with a further rung every training goes on where
it ended. The lattice is trained in a random order, so that a part of it is a sample of it. The Parquet file is written
again at the end, or by `--fold-only` from what is there.

Columns: the lattice's knobs (reduction_ratio is null where there is no channel attention), seed, rung, epochs,
macro_accuracy and log_loss (of the float weights at the rung's end, in Keras, not of an exported file), n_params, macs,
weight_bytes (of an int8_weights export), seconds (processor time up to the rung, tracing included), diverged (scored as
chance). The file's metadata say all of this too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import ModelConfig, StageConfig
from data_prep.config import FeatureSpec, PrepareConfig, ReaderSpec, ValidationSpec
from data_prep.files.files import written_whole

TABLE = Path(__file__).with_name("search_table.parquet")
FEATURES = FeatureSpec(clip_seconds=5.0, n_mels=40, n_fft=4096, hop_length=4096)
VALIDATION = ValidationSpec(fraction=0.4)
READER = ReaderSpec(deltas=0)
TRAIN = TrainConfig(epochs=62, batch_size=16, learning_rate=0.05)
N_CLASSES = 10
ORDER_SEED = 0
SECOND_SEED_EVERY = 8
"""One network in so many is trained with a second seed beside the first, and once more as many at the end."""
TRAININGS_PER_PROCESS = 60
"""Workers are replaced after about so many: TensorFlow keeps a little of every network."""

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

Params = dict[str, Any]
Task = tuple[Params, int]


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


def prepare_shards(esc10: Path, shards: Path) -> None:
    """Extract the reduced features, unless they lie there."""
    from data_prep.prepare.prepare import prepare

    prepare(esc10, shards, PrepareConfig(features=FEATURES, validation=VALIDATION))


@cache
def splits(shards: str) -> tuple[Any, Any]:
    """Return this process's training and validation clips."""
    from asc_models.process import start_tensorflow
    from data_prep.reader.reader import read_split

    start_tensorflow(1)
    train = read_split(shards, "train", fold=1, reader=READER)
    return train, read_split(shards, "validation", fold=1, reader=READER, statistics=train.statistics)


def train(task: Task, shards: str, checkpoints: str, rungs: tuple[int, ...]) -> dict[str, Any]:
    """Train a network through `rungs`, from its checkpoint where there is one, and return what it scored at each."""
    import keras

    from asc_models.metrics import log_loss, macro_accuracy
    from asc_models.training.trainer import Trainer, TrainingError

    params, seed = task
    train_set, validation = splits(shards)
    started, processor = time.monotonic(), time.process_time()
    keras.backend.clear_session()
    trainer = Trainer(network(params), TRAIN, train_set, seed=seed)
    path = Path(checkpoints) / f"{network(params).hash()}-s{seed}.npz"
    if path.exists():
        trainer.load(path)
    scored = []
    for epochs in rungs:
        if epochs <= trainer.epoch:
            raise ValueError(f"{path} is at epoch {trainer.epoch}, and epoch {epochs} was never scored: delete it")
        row: dict[str, Any] = {"epochs": epochs, "diverged": False}
        try:
            trainer.train_to(epochs)
            probabilities = trainer.predict(validation)
            row["macro_accuracy"] = macro_accuracy(validation.labels, probabilities)
            row["log_loss"] = log_loss(validation.labels, probabilities)
        except TrainingError:
            row |= {"macro_accuracy": 1 / N_CLASSES, "log_loss": math.log(N_CLASSES), "diverged": True}
        scored.append({**row, "seconds": round(time.process_time() - processor, 2)})
        if row["diverged"]:
            break
    if not scored[-1]["diverged"]:
        trainer.save(path)
    return {"params": params, "seed": seed, "wall_s": round(time.monotonic() - started, 2), "rungs": scored}


def read_done(lines: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Return {task: {epochs: row}} of what was trained; a line cut short by a kill is passed over."""
    done: dict[str, dict[int, dict[str, Any]]] = {}
    for line in lines.read_text().splitlines() if lines.exists() else ():
        try:
            training = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows = done.setdefault(task_key((training["params"], training["seed"])), {})
        rows.update({row["epochs"]: row for row in training["rungs"]})
    return done


def task_key(task: Task) -> str:
    """Return what tells trainings apart."""
    return json.dumps(task, sort_keys=True)


def missing(task: Task, rungs: tuple[int, ...], done: dict[str, dict[int, dict[str, Any]]]) -> tuple[int, ...]:
    """Return the rungs that a training still has to reach."""
    rows = done.get(task_key(task), {})
    if any(row["diverged"] for row in rows.values()):
        return ()
    return tuple(epochs for epochs in rungs if epochs not in rows)


def train_all(arguments: argparse.Namespace, lines: Path) -> None:
    """Train what is missing, a line each."""
    shards, checkpoints = arguments.work / "shards", arguments.work / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    prepare_shards(arguments.esc10, shards)
    done = read_done(lines)
    todo = [(task, rungs) for task in tasks() if (rungs := missing(task, tuple(arguments.rungs), done))]
    print(f"{len(todo)} trainings to make", flush=True)
    started = time.monotonic()
    n_pool = arguments.workers * TRAININGS_PER_PROCESS
    for first in range(0, len(todo), n_pool):
        with ProcessPoolExecutor(arguments.workers, multiprocessing.get_context("spawn")) as pool:
            some = todo[first : first + n_pool]
            futures = [pool.submit(train, task, str(shards), str(checkpoints), rungs) for task, rungs in some]
            for n, future in enumerate(as_completed(futures), start=first + 1):
                training = future.result()
                with lines.open("a") as file:
                    file.write(json.dumps(training) + "\n")
                if n % 10 == 0:
                    minutes = (time.monotonic() - started) / 60
                    print(f"{n} of {len(todo)} in {minutes:.1f} min; last {training['rungs'][-1]}", flush=True)


def fold(lines: Path, table: Path) -> None:
    """Write the table from the finished trainings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    done = read_done(lines)
    known = sorted({row["epochs"] for rows in done.values() for row in rows.values()})
    rows: list[dict[str, Any]] = []
    for task in tasks():
        scored = done.get(task_key(task), {})
        params, seed = task
        cost = estimate(network(params), READER.input_shape(FEATURES), N_CLASSES)
        weight_bytes = cost.weight_bytes_as("int8_weights")
        for rung, epochs in enumerate(known):
            lost = [row for row in scored.values() if row["diverged"] and row["epochs"] < epochs]
            row = scored.get(epochs) or (lost[0] if lost else None)
            if row is None:
                continue
            sizes = {"n_params": cost.n_params, "macs": cost.macs, "weight_bytes": weight_bytes}
            rows.append({**params, "seed": seed, "rung": rung, **row, "epochs": epochs, **sizes})
    described = {
        "description": " ".join(str(__doc__).split()),
        "features": FEATURES.model_dump(mode="json"),
        "validation": VALIDATION.model_dump(mode="json"),
        "reader": READER.model_dump(mode="json"),
        "train": TRAIN.model_dump(mode="json"),
        "values": "float weights at the rung's end, in Keras, on the validation split",
    }
    content = pa.Table.from_pylist(rows).replace_schema_metadata({"search_table": json.dumps(described)})
    with written_whole(table) as temporary:
        pq.write_table(content, temporary, compression="zstd")
    n_full = sum(known[-1] in scored for scored in done.values())
    print(f"{table}: {len(rows)} rows, {len(done)} trainings, {n_full} of them to epoch {known[-1]}; rungs {known}")


def main() -> None:
    """Train what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--esc10", type=Path, help="folder of ESC-10 in TAU's layout")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for shards, checkpoints and finished trainings"
    )
    parser.add_argument("--workers", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--rungs", type=int, nargs="+", default=[2, 6, 14, 30], help="epochs at which to score")
    parser.add_argument("--fold-only", action="store_true", help="only write the table from what is there")
    parser.add_argument("--table", type=Path, default=TABLE, help="the Parquet file")
    arguments = parser.parse_args()
    lines = arguments.work / "trainings.jsonl"
    if not arguments.fold_only:
        if arguments.esc10 is None:
            parser.error("--esc10 is needed to train")
        train_all(arguments, lines)
    fold(lines, arguments.table)


if __name__ == "__main__":
    main()
