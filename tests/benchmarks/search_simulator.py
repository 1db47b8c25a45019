"""Replays a search on the table of trained networks: the same decisions, no training.

Event-driven: `n_workers` simulated processes train trials from rung to rung, and virtual time is counted in epochs, so
that results arrive in the order in which they would. Ours runs through search.study.state.SearchState, with everything
a search has but Ray; Ray's own OptunaSearch and ASHAScheduler are driven as Ray's controller drives them, without a
cluster.
"""

from __future__ import annotations

import heapq
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from results.pareto import hypervolume, pareto_front
from search.halving import HALVINGS
from search.objectives import Objectives, Value
from search.space.config import SpaceConfig
from search.space.point import build
from search.space.sizing import Sizing
from search.space.space import Space
from search.strategies.proposer import Proposer
from search.study.state import SearchState

FEASIBLE_SHARE = 0.55
"""Share of the table's networks that its limit lets through."""
CHANCE = 0.1
"""Macro accuracy of guessing among ten scenes: where the hypervolume's reference point stands, with the limit."""

FIXED = {"stem_filters": 16, "stem_stride": 2, "n_strided": 2, "dropout": 0.0}
"""What all networks of the table have in common."""


@dataclass(frozen=True)
class Table:
    """Networks with their values at the rungs.

    Args:
        space: the lattice.
        epochs: of the rungs.
        values: {network: a value for each rung}, all with one seed.
        limit: most weight bytes.
    """

    space: Space
    epochs: tuple[int, ...]
    values: Mapping[str, tuple[Value, ...]]
    limit: int

    @cached_property
    def front(self) -> list[Value]:
        """Values at the last rung of the networks inside the limit that no other dominates."""
        return front_of([values[-1] for values in self.values.values() if values[-1].weight_bytes <= self.limit])

    @cached_property
    def best(self) -> float:
        """Highest macro accuracy at the last rung inside the limit."""
        return max(value.macro_accuracy for value in self.front)

    def key_of(self, params: Mapping[str, Any]) -> str:
        """Return which network a point stands for."""
        return build("inverted_residual", params).model.hash()

    def value_at(self, params: Mapping[str, Any], rung: int) -> Value:
        """Return what a network came to at a rung."""
        return self.values[self.key_of(params)][rung]

    def sizing(self, params: Mapping[str, Any]) -> Sizing:
        """Return what a network weighs, and whether that is inside the limit; one that was never trained is not."""
        values = self.values.get(self.key_of(params))
        if values is None:
            return Sizing(False, 0, self.limit, "not in the table")
        n_bytes = values[-1].weight_bytes
        fits = n_bytes <= self.limit
        reason = "" if fits else f"weight_bytes {n_bytes:,} over {self.limit:,}"
        return Sizing(fits, n_bytes, self.limit, reason, macs=values[-1].macs)


@dataclass(frozen=True, slots=True)
class Reached:
    """A trial that has reached a rung."""

    spent: int
    """Epochs that all workers have finished training by then."""
    trial_id: str
    params: Mapping[str, Any]
    rung: int
    n_epochs: int
    """Epochs that this rung took."""
    value: Value
    seconds: float = 0.0
    """When it was reached: epochs take their given time, and the method's decisions the time that they took."""


class Method(Protocol):
    """A searcher with a scheduler."""

    def next_work(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Return what a free worker trains: a trial, its point and the rung to train to. None where there is nothing
        now; it is asked again when another worker has reached a rung."""

    def reached(self, trial_id: str, rung: int, value: Value) -> bool:
        """Take a trial's value at a rung; return whether it goes straight on to the next."""


class Trainings(Protocol):
    """What a simulated search trains: the table, or a task (search_task.py)."""

    @property
    def epochs(self) -> tuple[int, ...]:
        """Of the rungs."""

    def value_at(self, params: Mapping[str, Any], rung: int) -> Value:
        """Return what a training measures at a rung."""


def simulate(
    table: Trainings, method: Method, *, n_workers: int, max_epochs: int, epoch_seconds: float = 0.0
) -> list[Reached]:
    """Return every rung reached, in order, until `max_epochs` are spent or nothing is left to train.

    The order is that of virtual time in epochs, so it does not depend on how fast this machine decides. Beside it the
    `seconds` are counted in which all this would take place: a worker waits for its decision, one process makes all
    decisions, one after the other, and none before the results that it knows. A decision takes the processor time of
    this process, which other processes on the machine do not lengthen; an epoch takes `epoch_seconds`.
    """
    history: list[Reached] = []
    busy: list[tuple[int, int, str, Mapping[str, Any], int, float]] = []
    idle_since = [0.0] * n_workers
    now, spent, decided, counter = 0, 0, 0.0, itertools.count()

    def start(work: tuple[str, Mapping[str, Any], int], since: float) -> None:
        trial_id, params, rung = work
        n_epochs = _n_epochs(table, rung)
        heapq.heappush(busy, (now + n_epochs, next(counter), trial_id, params, rung, since + n_epochs * epoch_seconds))

    while True:
        while idle_since:
            begin = time.process_time()
            work = method.next_work()
            took = time.process_time() - begin
            if work is None:
                break
            decided = max(decided, idle_since.pop(0)) + took
            start(work, decided)
        if not busy:
            return history
        now, _, trial_id, params, rung, seconds = heapq.heappop(busy)
        n_epochs = _n_epochs(table, rung)
        spent += n_epochs
        if spent > max_epochs:
            return history
        value = table.value_at(params, rung)
        history.append(Reached(spent, trial_id, params, rung, n_epochs, value, seconds))
        begin = time.process_time()
        goes_on = method.reached(trial_id, rung, value)
        decided = max(decided, seconds) + time.process_time() - begin
        if goes_on:
            start((trial_id, params, rung + 1), decided)
        else:
            idle_since.append(decided)


def _n_epochs(table: Trainings, rung: int) -> int:
    return table.epochs[rung] - (table.epochs[rung - 1] if rung else 0)


@dataclass
class MemoryLog:
    """A ledger that isn't written."""

    written: list[dict[str, Any]] = field(default_factory=list)

    def append(self, event: str, **fields: Any) -> None:
        """Keep one event."""
        self.written.append({"event": event, **fields})

    def events(self) -> list[dict[str, Any]]:
        """Return all events, oldest first."""
        return self.written


class Ours:
    """The sweep as it is, but for Ray: proposer, halving, ledger."""

    def __init__(self, table: Table, seed: int, *, strategy: str, scheduler: str, eta: int, **settings: Any) -> None:
        """Begin a sweep over `table` by a strategy and a scheduler of the given names."""
        objectives = Objectives()
        proposer = Proposer(
            table.space, table.sizing, table.key_of, strategy=strategy, objectives=objectives, seed=seed, **settings
        )
        self.log = MemoryLog()
        self.state = SearchState(
            self.log,
            proposer,
            HALVINGS[scheduler](table.epochs, eta, objectives),
            n_trials=10**9,
            seed=0,
            describe=lambda params: (table.key_of(params), {}),
        )

    def next_work(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Return a promoted trial, else a new one."""
        trial = self.state.next_promotion() or self.state.next_trial()
        return None if trial is None else (trial.trial_id, trial.params, trial.next_rung)

    def reached(self, trial_id: str, rung: int, value: Value) -> bool:
        """Enter the value as a trial's process would tell it."""
        measured = {
            **{"macro_accuracy": value.macro_accuracy, "log_loss": value.log_loss, "weight_bytes": value.weight_bytes},
            **{"nonzero_weight_bytes": value.weight_bytes, "file_bytes": value.weight_bytes},
            **dict.fromkeys(("seconds", "train_seconds", "reading_seconds"), 0.0),
        }
        return self.state.is_training(self.state.on_rung(trial_id, rung, measured))


@dataclass
class StandInTrial:
    """What ASHAScheduler asks of a trial of Ray's."""

    trial_id: str


class OptunaWithAsha:
    """Ray's OptunaSearch and ASHAScheduler, wired as a user does it today: the limit is a soft constraint.

    The constraint is TPESampler's `constraints_func`, which OptunaSearch takes over with the sampler; it is the only
    one that a user can set there. Trials over the limit are trained; TPE learns afterwards that they were over. Both
    are told in the order of Ray's controller (ray.tune.execution.tune_controller): a trial that the scheduler stops is
    complete for the searcher, with the value that it has.

    Args:
        table: what is searched.
        seed: of the sampler.
        eta: ASHA's reduction factor.
        metric: one metric, as ASHA has it, or several objectives for the searcher.
    """

    def __init__(self, table: Table, seed: int, *, eta: int, metric: str | Sequence[str] = "macro_accuracy") -> None:
        import warnings

        import optuna
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._table = table

        def over(trial: optuna.trial.FrozenTrial) -> tuple[float]:
            return (float(table.sizing(table.space.decode(trial.params)).weight_bytes - table.limit),)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = optuna.samplers.TPESampler(seed=seed, constraints_func=over)
        several = not isinstance(metric, str)
        modes = ["max" if name == "macro_accuracy" else "min" for name in metric] if several else "max"
        self._searcher = OptunaSearch(
            table.space.distributions(), metric=list(metric) if several else metric, mode=modes, sampler=sampler
        )
        self._scheduler = ASHAScheduler(
            time_attr="epochs",
            metric="macro_accuracy",
            mode="max",
            grace_period=table.epochs[0],
            max_t=table.epochs[-1],
            reduction_factor=eta,
        )
        self._trials: dict[str, tuple[StandInTrial, Mapping[str, Any]]] = {}
        self._ids = itertools.count(1)

    def next_work(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Return a new trial."""
        trial, params = self._suggested()
        while self._table.key_of(params) not in self._table.values:
            # A point that the table lacks costs nothing: the searcher is told that the trial failed, and asked again.
            self._searcher.on_trial_complete(trial.trial_id, error=True)
            trial, params = self._suggested()
        self._scheduler.on_trial_add(None, trial)
        self._trials[trial.trial_id] = (trial, params)
        return trial.trial_id, params, 0

    def _suggested(self) -> tuple[StandInTrial, Mapping[str, Any]]:
        trial = StandInTrial(f"t{next(self._ids):04d}")
        return trial, self._table.space.decode(self._searcher.suggest(trial.trial_id))

    def reached(self, trial_id: str, rung: int, value: Value) -> bool:
        """Tell scheduler and searcher."""
        trial, _ = self._trials[trial_id]
        result = {
            **{"macro_accuracy": value.macro_accuracy, "weight_bytes": value.weight_bytes},
            **{"epochs": self._table.epochs[rung], "training_iteration": rung + 1},
        }
        if self._scheduler.on_trial_result(None, trial, result) != "STOP":
            self._searcher.on_trial_result(trial_id, result)
            return True
        self._scheduler.on_trial_complete(None, trial, result)
        self._searcher.on_trial_complete(trial_id, result=result)
        del self._trials[trial_id]
        return False


def front_of(values: Sequence[Value]) -> list[Value]:
    """Return the values that no other dominates in (macro accuracy, weight bytes), smallest first."""
    return [values[i] for i in pareto_front(*_accuracy_and_bytes(values))]


def volume_of(values: Sequence[Value], limit: int) -> float:
    """Return the hypervolume of `values` up to the reference point (chance, the limit), 0.9 at most."""
    return hypervolume(*_accuracy_and_bytes(values), limit, CHANCE)


def _accuracy_and_bytes(values: Sequence[Value]) -> tuple[list[float], list[int]]:
    return [value.macro_accuracy for value in values], [value.weight_bytes for value in values]


@dataclass(frozen=True, slots=True)
class Curves:
    """What a search had at each of some numbers of epochs spent."""

    regret: np.ndarray
    hypervolume: np.ndarray
    """As a share of the table's own front's."""
    infeasible_share: np.ndarray
    """Of the epochs spent, those on networks over the limit."""


def curves(table: Table, history: Sequence[Reached], grid: Sequence[int]) -> Curves:
    """Return regret, hypervolume and waste of a search at each of `grid`'s numbers of epochs.

    Counted are finished trials inside the limit; before the first, regret is that of guessing.
    """
    whole = volume_of(table.front, table.limit)
    regret, volume, wasted = [], [], []
    finished: list[Value] = []
    n_wasted = index = 0
    for spent in grid:
        while index < len(history) and history[index].spent <= spent:
            step = history[index]
            index += 1
            if step.value.weight_bytes > table.limit:
                n_wasted += step.n_epochs
            elif step.rung == len(table.epochs) - 1:
                finished = front_of([*finished, step.value])
        regret.append(table.best - max((value.macro_accuracy for value in finished), default=CHANCE))
        volume.append(volume_of(finished, table.limit) / whole)
        wasted.append(n_wasted / history[index - 1].spent if index else 0.0)
    return Curves(np.array(regret), np.array(volume), np.array(wasted))


def read_table(path: Path, *, first_rung: int = 0, share: float = FEASIBLE_SHARE) -> Table:
    """Return the table in a Parquet file, its seed 0, with the rungs from `first_rung` on.

    The limit lies where `share` of the networks are inside it.
    """
    import pandas as pd

    rows = pd.read_parquet(path)
    rows = rows[(rows["seed"] == 0) & (rows["rung"] >= first_rung)]
    epochs = tuple(int(epoch) for epoch in sorted(rows["epochs"].unique()))
    knobs = list(rows.columns[: rows.columns.get_loc("seed")])
    values: dict[str, tuple[Value, ...]] = {}
    for params, group in rows.groupby(knobs, dropna=False):
        if len(group) == len(epochs):
            reached = group.sort_values("epochs")
            point = {**FIXED, **{knob: value for knob, value in zip(knobs, params, strict=True) if value == value}}
            values[build("inverted_residual", point).model.hash()] = tuple(
                Value(row.macro_accuracy, row.log_loss, row.weight_bytes, row.macs) for row in reached.itertuples()
            )
    sizes = sorted(value[-1].weight_bytes for value in values.values())
    return Table(table_space(rows, knobs), epochs, values, sizes[round(share * len(sizes)) - 1])


def table_space(rows: Any, knobs: Sequence[str]) -> Space:
    """Return the lattice that the table's rows lie in."""
    choices = {knob: rows[knob].dropna().unique().tolist() for knob in knobs}
    choices["reduction_ratio"] = [int(ratio) for ratio in choices["reduction_ratio"]]
    return Space(SpaceConfig.model_validate({**FIXED, **choices}))


def describe_table(table: Table) -> str:
    """Return a line about the table."""
    n_inside = sum(values[-1].weight_bytes <= table.limit for values in table.values.values())
    return json.dumps(
        {
            **{"networks": len(table.values), "inside": n_inside, "limit": table.limit, "epochs": table.epochs},
            **{"best": table.best, "front": len(table.front), "hypervolume": volume_of(table.front, table.limit)},
        }
    )
