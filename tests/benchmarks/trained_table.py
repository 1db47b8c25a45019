"""Tables of really trained networks, for benchmarks that replay searches: trainings that can be interrupted.

Every finished training is a line in WORK/trainings.jsonl at once, and its state lies in WORK/checkpoints. Called again,
only what is missing there and in the table is trained, and with a further rung every training goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.config import PrepareConfig
from data_prep.files.files import written_whole
from data_prep.reader.reader import FeatureSet

if TYPE_CHECKING:
    from asc_models.config import TrainConfig
    from asc_models.networks.network import NetworkConfig

N_CLASSES = 10
TRAININGS_PER_PROCESS = 60
"""Workers are replaced after about so many: TensorFlow keeps a little of every network."""

Params = dict[str, Any]
Task = tuple[Params, int]
"""A point of the space, and the seed of its training."""
TrainTask = Callable[[Task, Path, tuple[int, ...]], dict[str, Any]]
"""Trains a task in a folder through rungs, and returns its line of trainings.jsonl."""


def arguments_of(description: str | None, table: Path, rungs: Sequence[int]) -> argparse.Namespace:
    """Return the command line's arguments; `table` is the Parquet file, `rungs` the epochs, unless it names others."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--esc10", type=Path, help="folder of ESC-10 in TAU's layout")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for shards, checkpoints and finished trainings"
    )
    parser.add_argument("--workers", type=int, default=2, help="trainings side by side, one thread each")
    parser.add_argument("--rungs", type=int, nargs="+", default=rungs, help="epochs at which to score")
    parser.add_argument("--fold-only", action="store_true", help="only write the table from what is there")
    parser.add_argument("--table", type=Path, default=table, help="the Parquet file")
    asked = parser.parse_args()
    if not asked.fold_only and asked.esc10 is None:
        parser.error("--esc10 is needed to train")
    return asked


def train_all(asked: argparse.Namespace, config: PrepareConfig, tasks: Sequence[Task], train: TrainTask) -> None:
    """Train what is missing, a line each, in the order of `tasks`."""
    from data_prep.prepare.prepare import prepare

    prepare(asked.esc10, asked.work / "shards", config)
    (asked.work / "checkpoints").mkdir(exist_ok=True)
    done = read_done(asked.work, asked.table)
    todo = [(task, rungs) for task in tasks if (rungs := missing(task, tuple(asked.rungs), done))]
    print(f"{len(todo)} trainings to make", flush=True)
    started = time.monotonic()
    n_pool = asked.workers * TRAININGS_PER_PROCESS
    for first in range(0, len(todo), n_pool):
        with ProcessPoolExecutor(asked.workers, multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(train, task, asked.work, rungs) for task, rungs in todo[first : first + n_pool]]
            for n, future in enumerate(as_completed(futures), start=first + 1):
                training = future.result()
                with _lines(asked.work).open("a") as file:
                    file.write(json.dumps(training) + "\n")
                if n % 10 == 0:
                    minutes = (time.monotonic() - started) / 60
                    print(f"{n} of {len(todo)} in {minutes:.1f} min; last {training['rungs'][-1]}", flush=True)


def train_through(
    task: Task,
    work: Path,
    rungs: tuple[int, ...],
    network: NetworkConfig,
    recipe: TrainConfig,
    data: FeatureSet,
    scored: Mapping[str, FeatureSet],
) -> dict[str, Any]:
    """Train through `rungs`, from a checkpoint where there is one, and return the line of the training.

    Args:
        task: the point and its seed.
        work: the table's folder.
        rungs: epochs at which to score.
        network: what the point stands for.
        recipe: of the training.
        data: training clips.
        scored: {prefix of the columns: clips}.
    """
    import keras

    from asc_models.metrics import log_loss, macro_accuracy
    from asc_models.training.trainer import Trainer, TrainingError

    params, seed = task
    started, processor = time.monotonic(), time.process_time()
    keras.backend.clear_session()
    trainer = Trainer(network, recipe, data, seed=seed)
    path = work / "checkpoints" / f"{network.hash()}-{recipe.hash()}-s{seed}.npz"
    if path.exists():
        trainer.load(path)
    rows = []
    for epochs in rungs:
        if epochs <= trainer.epoch:
            raise ValueError(f"{path} is at epoch {trainer.epoch}, and epoch {epochs} was never scored: delete it")
        row: dict[str, Any] = {"epochs": epochs, "diverged": False}
        try:
            trainer.train_to(epochs)
            for prefix, clips in scored.items():
                probabilities = trainer.predict(clips)
                row[f"{prefix}macro_accuracy"] = macro_accuracy(clips.labels, probabilities)
                row[f"{prefix}log_loss"] = log_loss(clips.labels, probabilities)
        except TrainingError:
            for prefix in scored:
                row |= {f"{prefix}macro_accuracy": 1 / N_CLASSES, f"{prefix}log_loss": math.log(N_CLASSES)}
            row["diverged"] = True
        rows.append({**row, "seconds": round(time.process_time() - processor, 2)})
        if row["diverged"]:
            break
    if not rows[-1]["diverged"]:
        trainer.save(path)
    return {"params": params, "seed": seed, "wall_s": round(time.monotonic() - started, 2), "rungs": rows}


def read_done(work: Path, table: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Return {task: {epochs: row}} of what was trained; a line cut short by a kill is passed over."""
    done = _in_table(table) if table.exists() else {}
    lines = _lines(work)
    for line in lines.read_text().splitlines() if lines.exists() else ():
        try:
            training = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows = done.setdefault(task_key((training["params"], training["seed"])), {})
        rows.update({row["epochs"]: row for row in training["rungs"]})
    return done


def _in_table(table: Path) -> dict[str, dict[int, dict[str, Any]]]:
    import pyarrow.parquet as pq

    rows = pq.read_table(table)
    names = rows.column_names
    knobs, scores = names[: names.index("seed")], [*names[names.index("rung") + 1 :]]
    done: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows.to_pylist():
        task = ({knob: row[knob] for knob in knobs}, row["seed"])
        done.setdefault(task_key(task), {})[row["epochs"]] = {name: row[name] for name in scores}
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


def write_table(
    asked: argparse.Namespace,
    tasks: Sequence[Task],
    costs_of: Callable[[Params], dict[str, Any]],
    described: dict[str, Any],
) -> None:
    """Write the table from the finished trainings: knobs, seed, rung, scores, costs.

    Args:
        asked: the command's arguments.
        tasks: trainings, in the order of the rows.
        costs_of: a point's columns of size and cost.
        described: the file's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    done = read_done(asked.work, asked.table)
    known = sorted({row["epochs"] for rows in done.values() for row in rows.values()})
    rows: list[dict[str, Any]] = []
    for task in tasks:
        scored = done.get(task_key(task), {})
        params, seed = task
        costs = costs_of(params) if scored else {}
        for rung, epochs in enumerate(known):
            lost = [row for row in scored.values() if row["diverged"] and row["epochs"] < epochs]
            row = scored.get(epochs) or (lost[0] if lost else None)
            if row is not None:
                rows.append({**params, "seed": seed, "rung": rung, **row, "epochs": epochs, **costs})
    content = pa.Table.from_pylist(rows).replace_schema_metadata({asked.table.stem: json.dumps(described)})
    with written_whole(asked.table) as temporary:
        pq.write_table(content, temporary, compression="zstd")
    n_full = sum(known[-1] in scored for scored in done.values())
    print(
        f"{asked.table}: {len(rows)} rows, {len(done)} trainings, {n_full} of them to epoch {known[-1]}; rungs {known}"
    )


def _lines(work: Path) -> Path:
    return work / "trainings.jsonl"
