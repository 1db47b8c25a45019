"""Syne Tune's multi-objective searchers (Apache-2.0, maintained: 0.16 of August 2026): MO-REA and MO-ASHA.

Neither knows of constraints: a proposal over the limit is drawn again. Bytes are told as a share of the limit. Chosen
here: a population of 16 of which 4 compete to be the parent (the default of 100 is more than these searches train), and
MO-ASHA's reduction factor 2, whose rungs are those of the curves (the default is 3). Its expected hypervolume
improvement is not compared: a wrapper of BoTorch's without noise, with its reference point at 2 whatever the scale.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from search.halving import Decision
from search.objectives import Value
from search.space.space import Params, Space

from .base import Problem, Rejecting
from .optuna_samplers import N_POPULATION

N_COMPETING = 4
REDUCTION = 2


def config_space(space: Space) -> dict[str, Any]:
    """Return the space in Syne Tune's types: integers for ordered choices, by index; floats on their own scale."""
    from syne_tune.config_space import loguniform, randint, uniform

    found = {}
    for name, knob in space.knobs.items():
        if knob.is_range:
            found[name] = (loguniform if knob.log else uniform)(knob.low, knob.high)
        else:
            found[name] = randint(0, len(knob.choices) - 1)
    return found


class RegularizedEvolution(Rejecting):
    """MO-REA (Real et al., 2019, by non-dominated rank). A trial joins when it is finished, or pauses."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution

        np.random.seed(seed)  # noqa: NPY002 - Syne Tune draws from NumPy's global generator
        self._searcher = MultiObjectiveRegularizedEvolution(
            config_space(problem.space), population_size=N_POPULATION, sample_size=N_COMPETING, random_seed=seed
        )
        self._told: set[str] = set()

    def propose(self) -> Params:
        """Return a mutated member, or a random point."""
        return self.space.decode(self._searcher.suggest())

    def tell(self, params: Params, epochs: int, value: Value, decision: Decision) -> None:
        """Add a trial to the population, once."""
        super().tell(params, epochs, value, decision)
        key = self.history.key_of(params)
        if decision == "continue" or key in self._told:
            return
        self._told.add(key)
        trained = self.trained
        index = next(index for index, point in enumerate(trained) if point.params == params)
        score, n_bytes = self.losses(trained)[index]
        self._searcher.on_trial_complete(len(self._told), self.space.encode(params), [score, n_bytes / self.limit])


class RandomPoints(Rejecting):
    """What MO-ASHA draws."""

    def __init__(self, problem: Problem, seed: int, draw: Any) -> None:
        super().__init__(problem, seed)
        self._draw = draw

    def propose(self) -> Params:
        """Return a random point."""
        return self.space.decode(self._draw().config)


class MultiObjectiveAsha:
    """MO-ASHA (Schmucker et al., 2021), with its own halving that stops trials: a method of the simulator."""

    def __init__(self, problem: Problem, seed: int) -> None:
        from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

        np.random.seed(seed)  # noqa: NPY002 - Syne Tune draws from NumPy's global generator
        self._epochs = problem.epochs
        self._scheduler = MOASHA(
            config_space(problem.space), metrics=["score", "bytes"], time_attr="epochs", max_t=problem.epochs[-1],
            grace_period=problem.epochs[0], reduction_factor=REDUCTION, random_seed=seed,
        )  # fmt: skip
        self._searcher = RandomPoints(problem, seed, self._scheduler.suggest)
        self._trials: dict[str, Any] = {}
        self._ids = itertools.count()

    def next_work(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Return a new trial."""
        import datetime

        from syne_tune.backend.trial_status import Trial

        params = self._searcher.ask()
        if params is None:
            return None
        number = next(self._ids)
        trial = Trial(number, params, datetime.datetime.fromtimestamp(0, datetime.UTC))
        self._trials[str(number)] = trial
        self._scheduler.on_trial_add(trial)
        return str(number), params, 0

    def reached(self, trial_id: str, rung: int, value: Value) -> bool:
        """Tell the scheduler; return whether it lets the trial go on."""
        from syne_tune.optimizer.scheduler import SchedulerDecision

        searcher, trial = self._searcher, self._trials[trial_id]
        score, n_bytes = searcher.objectives.losses(value)
        result = {"score": score, "bytes": n_bytes / searcher.limit, "epochs": self._epochs[rung]}
        goes_on = self._scheduler.on_trial_result(trial, result) == SchedulerDecision.CONTINUE
        if not goes_on:
            self._scheduler.on_trial_remove(trial)
        return bool(goes_on)
