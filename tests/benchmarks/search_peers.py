"""Peers of the search, each given what ours has: exact sizes before training, and our halving.

A peer is a strategy (search.strategies.base): it sees the trials so far and is asked again until it proposes a point
that fits and is new. Paused trials count with their estimated loss at the last rung, as for ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna

from search.space.space import Params
from search.strategies.base import History
from search.strategies.chance import MAX_ASKS, RandomStrategy
from search.strategies.front import _neighbours, _spread
from search.strategies.tpe import study_of

N_POPULATION = 16
"""Of NSGA-II: Optuna's 50 is more than these searches train in all."""


class Spread:
    """Rule without a model: of random points that fit, the one whose size differs most from those trained."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return a point."""
        return _spread(history, rng)


class Neighbours:
    """Rule without a model: a random neighbour of one of the best trials."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return a point; random ones at first."""
        if len(history.known) < history.n_startup or len(history.evaluated) < 2:
            return RandomStrategy().propose(history, rng)
        near = (p for p in _neighbours(history, rng) if history.fits(p) and history.is_new(p))
        return next(near, None)


class OptunaGaussian:
    """Optuna's GPSampler with all objectives (expected hypervolume improvement); the study is rebuilt each time."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return the first of its points that fits and is new."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = optuna.samplers.GPSampler(
                seed=int(rng.integers(2**32)), n_startup_trials=history.n_startup, deterministic_objective=False
            )
            study = study_of(history, sampler)
            for _ in range(5):
                trial = study.ask(history.space.distributions())
                params = history.space.decode(trial.params)
                if history.fits(params) and history.is_new(params):
                    return params
        return None


class OptunaNsga2:
    """Optuna's NSGA-II with all objectives; one study, told of a trial when it is finished. For use without halving."""

    def __init__(self) -> None:
        self._study: optuna.Study | None = None
        self._open: dict[str, optuna.Trial] = {}

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return the first of its points that fits and is new; others are told as failed."""
        if self._study is None:
            sampler = optuna.samplers.NSGAIISampler(seed=history.seed, population_size=N_POPULATION)
            self._study = optuna.create_study(directions=["minimize"] * len(history.objectives.names), sampler=sampler)
        self._tell(history)
        for _ in range(MAX_ASKS):
            trial = self._study.ask(history.space.distributions())
            params = history.space.decode(trial.params)
            if history.fits(params) and history.is_new(params):
                self._open[history.key_of(params)] = trial
                return params
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return None

    def _tell(self, history: History) -> None:
        assert self._study is not None
        last = max((max(point.values) for point in history.evaluated), default=0)
        for point in history.evaluated:
            key = history.key_of(point.params)
            if key in self._open and last in point.values:
                self._study.tell(self._open.pop(key), history.objectives.losses(point.values[last]))


PEERS: dict[str, Callable[[], Any]] = {
    "spread": Spread,
    "neighbours": Neighbours,
    "optuna-gp": OptunaGaussian,
    "nsga2": OptunaNsga2,
}
"""{name: strategy}, beside those of search.strategies."""
