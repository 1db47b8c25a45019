"""Selection of the observers of a search."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from asc_models.rules import RulesConfig
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from search.observers.background import InBackground
from search.observers.base import Observer, Tracker
from search.observers.json_log import JsonLog
from search.observers.mlflow_log import MlflowLog
from search.observers.optuna_journal import OptunaJournal
from search.observers.tensorboard import TensorBoardFiles, write_histories
from search.observers.wandb_log import WandbLog
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
    wandb: str | None = None
    """Project at Weights & Biases, or ENTITY/PROJECT; None logs nothing there."""


def file_observers(watch: Watch, run: RunDirectory, space: SpaceConfig, rules: RulesConfig) -> list[Observer]:
    """Return the observers that log the search in the run directory and elsewhere.

    Args:
        watch: the logs to write.
        run: directory for `tensorboard/` and `search/optuna-journal.log`.
        space: gives the knobs' values.
        rules: give the limits.

    Raises:
        ConfigError: if MLflow or wandb is requested and not installed.
    """
    observers: list[Observer] = [
        OptunaJournal(run.optuna_journal_path, space.knobs, run.root.absolute().name, rules.in_force())
    ]
    if watch.json_log:
        observers.append(JsonLog(sys.stdout))
    if watch.tensorboard:
        limit = rules.size_limit()
        observers.append(TensorBoardFiles(run.tensorboard_dir, None if limit is None else limit[1]))
    return [*observers, *map(InBackground, trackers(watch, run))]


def trackers(watch: Watch, run: RunDirectory) -> list[Tracker]:
    """Return the observers that send to tracking servers.

    Raises:
        ConfigError: if MLflow or wandb is requested and not installed.
    """
    found: list[Tracker] = []
    if watch.mlflow is not None:
        found.append(MlflowLog(watch.mlflow, run.root.absolute().name))
    if watch.wandb is not None:
        found.append(WandbLog(watch.wandb, run))
    return found


def log_candidates(watch: Watch, run: RunDirectory, ledger: Ledger, warn: Callable[[str], None]) -> None:
    """Log the retrained candidates of a run in TensorBoard files and on tracking servers; a failure is a warning."""
    logs = {tracker.name: tracker.send_candidates for tracker in trackers(watch, run)}
    if watch.tensorboard:
        logs[TensorBoardFiles.name] = lambda events, candidates: write_histories(
            run.tensorboard_dir, candidates, events
        )
    for name, log in logs.items():
        try:
            log(ledger.events(), run.candidates())
        except Exception as error:  # no failure of a log may end the run
            warn(f"{name}: {error or type(error).__name__}. Not all candidates were logged.")
