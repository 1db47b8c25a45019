"""Which observers file a search, as the user asked for it."""

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
    """How a search is to be watched, beside the terminal. No part of a run's configuration: it changes no result.

    Attributes:
        json_log: every event as a line of JSON on standard output, and no live table.
        tensorboard: whether to write TensorBoard's files.
        mlflow: URI of an MLflow tracking server.
    """

    json_log: bool = False
    tensorboard: bool = True
    mlflow: str | None = None


def file_observers(watch: Watch, run: RunDirectory, space: SpaceConfig, rules: RulesConfig) -> list[Observer]:
    """Return the observers that file the search in the run directory and elsewhere.

    Args:
        watch: what is asked for.
        run: takes `tensorboard/` and `search/optuna-journal.log`.
        space: names the knobs' values.
        rules: with the limit on bytes, if there is one.

    Raises:
        ConfigError: if MLflow is asked for and not installed.
    """
    observers: list[Observer] = [OptunaJournal(run.optuna_journal_path, space.knobs)]
    if watch.json_log:
        observers.append(JsonLog(sys.stdout))
    if watch.tensorboard:
        limit = rules.size_limit()
        observers.append(TensorBoardFiles(run.tensorboard_dir, None if limit is None else limit[1]))
    if watch.mlflow is not None:
        observers.append(InBackground(MlflowLog(watch.mlflow, run.root.absolute().name)))
    return observers
