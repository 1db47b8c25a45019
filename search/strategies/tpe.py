"""Optuna's TPE with a hard limit: the strategies `reject` and `repair`.

The study is rebuilt from the history for each proposal, so that it follows from the ledger. Paused and stopped trials
count with their estimated loss at the last rung (search.strategies.estimates), running and failed ones without a value,
which keeps TPE away from them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import optuna

from search.space.space import Params
from search.strategies.base import History
from search.strategies.chance import MAX_ASKS
from search.strategies.estimates import at_last_rung

MAX_TRIALS = 300
"""Latest trials in the study: the cost of TPE grows with their square."""


class RejectStrategy:
    """Draws from TPE until a point fits and is new, at most `MAX_ASKS` times."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return a point; None if TPE gives none that fits and is new."""
        drawn = _drawn(history, rng)
        return next((params for params in drawn if history.fits(params) and history.is_new(params)), None)


class RepairStrategy:
    """Draws from TPE; a point over the limit is shrunk until it fits."""

    def propose(self, history: History, rng: np.random.Generator) -> Params | None:
        """Return a point; None if TPE gives none that is new and can be shrunk to fit."""
        for params in _drawn(history, rng):
            if not history.fits(params):
                repaired = repair(history, params)
                if repaired is not None:
                    return repaired
            elif history.is_new(params):
                return params
        return None


def repair(history: History, params: Params) -> Params | None:
    """Return a new point that fits, stepping down from `params`; None if none was reached.

    Each step saves the most bytes. As soon as new points that fit are one step away, the largest of them is returned.
    """
    while options := [(history.assess(step), step) for step in history.space.smaller(params)]:
        new = [(sizing, step) for sizing, step in options if sizing.feasible and history.is_new(step)]
        if new:
            return max(new, key=lambda option: option[0].weight_bytes)[1]
        params = min(options, key=lambda option: option[0].weight_bytes)[1]
    return None


def _drawn(history: History, rng: np.random.Generator) -> Iterator[Params]:
    """Yield up to `MAX_ASKS` points from TPE, those before counting as failed."""
    sampler = optuna.samplers.TPESampler(
        seed=int(rng.integers(2**32)), n_startup_trials=history.n_startup, multivariate=True
    )
    study = study_of(history, sampler)
    distributions = history.space.distributions()
    for _ in range(MAX_ASKS):
        trial = study.ask(distributions)
        yield history.space.decode(trial.params)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def study_of(history: History, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """Return a study of the latest trials that minimizes their losses."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    evaluated = history.evaluated[-MAX_TRIALS:]
    study = optuna.create_study(directions=["minimize"] * len(history.objectives.names), sampler=sampler)
    distributions = history.space.distributions()
    if evaluated:
        losses, _ = at_last_rung(evaluated, history.objectives)
        for point, loss in zip(evaluated, losses, strict=True):
            costs = history.objectives.losses(next(iter(point.values.values())))[1:]
            study.add_trial(
                optuna.trial.create_trial(
                    params=history.space.encode(point.params), distributions=distributions, values=[loss, *costs]
                )
            )
    for point in history.known[-MAX_TRIALS:]:
        if not point.is_evaluated:
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.RUNNING,
                    params=history.space.encode(point.params),
                    distributions=distributions,
                )
            )
    return study
