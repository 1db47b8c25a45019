"""Selection of the observers of a search."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asc_models.rules import RulesConfig
from results.rundir import RunDirectory
from search.observers.background import InBackground
from search.observers.base import Observer
from search.observers.json_log import JsonLog
from search.observers.mlflow_log import MlflowLog
from search.observers.optuna_journal import OptunaJournal
from search.observers.tensorboard import TensorBoardFiles
from search.space.config import SpaceConfig


@dataclass(frozen=True)
class Watch:
    """Logs of a search in addition to the terminal. They change no result and are not part of a configuration."""

    json_log: bool = False
    """Whether to print every event as a line of JSON to standard output, instead of a live table."""
    tensorboard: bool = True
    """Whether to write TensorBoard files."""
    mlflow: str | None = None
    """URI of an MLflow tracking server; None logs nothing to MLflow."""


def file_observers(watch: Watch, run: RunDirectory, space: SpaceConfig, rules: RulesConfig) -> list[Observer]:
    """Return the observers that log the search in the run directory and elsewhere.

    Args:
        watch: the logs to write.
        run: directory for `tensorboard/` and `search/optuna-journal.log`.
        space: gives the knobs' values.
        rules: give the limits.

    Raises:
        ConfigError: if MLflow is requested and not installed.
    """
    observers: list[Observer] = [
        OptunaJournal(run.optuna_journal_path, space.knobs, run.root.absolute().name, rules.in_force())
    ]
    if watch.json_log:
        observers.append(JsonLog(sys.stdout))
    if watch.tensorboard:
        limit = rules.size_limit()
        observers.append(TensorBoardFiles(run.tensorboard_dir, None if limit is None else limit[1]))
    if watch.mlflow is not None:
        observers.append(InBackground(MlflowLog(watch.mlflow, run.root.absolute().name)))
    return observers
