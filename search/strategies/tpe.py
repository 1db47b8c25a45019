"""Optuna's TPE behind the limit: the strategies `reject` and `repair`.

The study is built for each proposal from what is known, so that its memory is the ledger's: trials that paused or
stopped count with what they would have come to (search.strategies.estimates), those in training and failed ones with no
value, which keeps TPE away from them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import optuna

from search.space.space import Params
from search.strategies.base import Candidates
from search.strategies.chance import MAX_ASKS
from search.strategies.estimates import at_last_rung

MAX_TRIALS = 300
"""Latest trials that TPE looks at: its cost grows with their square."""


class RejectStrategy:
    """Draws from TPE until a point fits and is new; after too many it is left to chance."""

    def propose(self, candidates: Candidates, rng: np.random.Generator) -> Params | None:
        """Return a point, or None where TPE brings nothing that fits and is new."""
        drawn = _drawn(candidates, rng)
        return next((params for params in drawn if candidates.fits(params) and candidates.is_new(params)), None)


class RepairStrategy:
    """Draws from TPE; a point over the limit is shrunk until it fits."""

    def propose(self, candidates: Candidates, rng: np.random.Generator) -> Params | None:
        """Return a point, or None where TPE brings nothing that can be made to fit and is new."""
        for params in _drawn(candidates, rng):
            if not candidates.fits(params):
                repaired = repair(candidates, params)
                if repaired is not None:
                    return repaired
            elif candidates.is_new(params):
                return params
        return None


def repair(candidates: Candidates, params: Params) -> Params | None:
    """Return the largest new point that fits, going down from `params`; None where there is none on the way.

    Each step goes where most bytes are saved, until a step's neighbours hold points that fit: of those the one with the
    most bytes.
    """
    while options := [(candidates.assess(step), step) for step in candidates.space.smaller(params)]:
        new = [(sizing, step) for sizing, step in options if sizing.feasible and candidates.is_new(step)]
        if new:
            return max(new, key=lambda option: option[0].weight_bytes)[1]
        params = min(options, key=lambda option: option[0].weight_bytes)[1]
    return None


def _drawn(candidates: Candidates, rng: np.random.Generator) -> Iterator[Params]:
    """Yield a few points from TPE, each as if those before it had failed."""
    study = _study(candidates, int(rng.integers(2**32)))
    distributions = candidates.space.distributions()
    for _ in range(MAX_ASKS):
        trial = study.ask(distributions)
        yield candidates.space.decode(trial.params)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _study(candidates: Candidates, seed: int) -> optuna.Study:
    """Return a study of the latest trials, all with losses: smaller is better."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    told = candidates.told[-MAX_TRIALS:]
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=candidates.n_startup, multivariate=True)
    study = optuna.create_study(directions=["minimize"] * len(candidates.objectives.names), sampler=sampler)
    distributions = candidates.space.distributions()
    if told:
        losses, _ = at_last_rung(told, candidates.objectives)
        for point, loss in zip(told, losses, strict=True):
            costs = candidates.objectives.losses(next(iter(point.values.values())))[1:]
            study.add_trial(
                optuna.trial.create_trial(
                    params=candidates.space.encode(point.params), distributions=distributions, values=[loss, *costs]
                )
            )
    for point in candidates.known[-MAX_TRIALS:]:
        if not point.is_told:
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.RUNNING,
                    params=candidates.space.encode(point.params),
                    distributions=distributions,
                )
            )
    return study
