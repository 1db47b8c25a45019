"""Samplers of Optuna (MIT licence, maintained: 5.0 of 2026) with both objectives and the limit as a constraint.

Optuna asks for a constraint's value, 0 or less where it is met: here ln(bytes / limit). A refused proposal enters the
study with it. Its score is unknown; TPE and NSGA-II do not look at the score of what breaks a constraint (Deb's rule:
the smaller excess wins), and for the Gaussian processes it is the median of the scores seen, which says nothing.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.halving import Decision
from search.objectives import Value
from search.space.space import Params
from search.strategies import KnownPoint

from .base import MAX_REFUSED, Problem, Rejecting, excess

CONSTRAINT = "weight_bytes"
N_POPULATION = 16
"""Of NSGA-II and regularized evolution: the authors' 50 and 100 are more than these searches train in all."""
N_STARTUP = 10
"""Optuna's own number of random trials."""


class Rebuilt(Rejecting):
    """A sampler whose study is made of the trials so far for each proposal: paused trials have an estimated loss."""

    n_startup = N_STARTUP

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._sampler = self.sampler(seed)
        self._distributions = problem.space.distributions()
        self._refused: list[tuple[Params, float]] = []

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler, made once."""

    def propose(self) -> Params:
        """Return the sampler's point; random ones at first, of which refused ones do not count for the sampler."""
        if len(self.history.known) < self.n_startup:
            return self.space.draw(self.rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(directions=["minimize"] * 2, sampler=self._sampler)
            study.add_trials(self._trials())
            return self.space.decode(study.ask(self._distributions).params)

    def refuse(self, params: Params, excess: float) -> None:
        """Keep the point for the study."""
        self._refused.append((params, excess))

    def _trials(self) -> list[FrozenTrial]:
        trained = self.trained
        losses = self.losses(trained) if trained else np.zeros((0, 2))
        found = [
            self._complete(point.params, loss, excess(point.sizing))
            for point, loss in zip(trained, losses, strict=True)
        ]
        neutral = float(np.median(losses[:, 0])) if trained else self.chance
        for params, over in self._refused[-MAX_REFUSED:]:
            if over > 0:  # one proposed twice is in the study already
                n_bytes = float(self.history.assess(params).weight_bytes)
                found.append(self._complete(params, np.array([neutral, n_bytes]), over))
        return found + [self._running(point) for point in self.pending]

    def _complete(self, params: Params, losses: np.ndarray, over: float) -> FrozenTrial:
        return create_trial(
            params=self.space.encode(params), distributions=self._distributions, values=[float(x) for x in losses],
            constraints={CONSTRAINT: over},
        )  # fmt: skip

    def _running(self, point: KnownPoint) -> FrozenTrial:
        return create_trial(
            state=TrialState.RUNNING, params=self.space.encode(point.params), distributions=self._distributions
        )


class Tpe(Rebuilt):
    """TPE of all parameters jointly, as its authors recommend (Watanabe, 2023, arXiv 2304.11127)."""

    def sampler(self, seed: int) -> BaseSampler:
        """Return it."""
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=N_STARTUP, multivariate=True)


class GaussianProcess(Rebuilt):
    """Gaussian processes of both objectives and the limit, with constrained expected hypervolume improvement."""

    def sampler(self, seed: int) -> BaseSampler:
        """Return it."""
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=N_STARTUP)


class Nsga2(Rejecting):
    """NSGA-II (Deb et al., 2002): one study. A trial joins its population when it is finished, or pauses."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=N_POPULATION)
        self._study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
        self._distributions = problem.space.distributions()
        self._last: optuna.Trial | None = None
        self._open: dict[str, optuna.Trial] = {}

    def propose(self) -> Params:
        """Return a child, or a random point."""
        self._last = self._study.ask(self._distributions)
        return self.space.decode(self._last.params)

    def refuse(self, params: Params, excess: float) -> None:
        """Tell the excess; what was proposed before fails."""
        assert self._last is not None
        if excess <= 0:
            self._study.tell(self._last, state=TrialState.FAIL)
            return
        self._last.set_constraint(CONSTRAINT, excess)
        self._study.tell(self._last, [self.chance, float(self.history.assess(params).weight_bytes)])

    def ask(self) -> Params | None:
        """Return a point, its trial kept until it is told."""
        params = super().ask()
        if params is not None and self._last is not None and self.space.decode(self._last.params) == params:
            self._open[self.history.key_of(params)] = self._last
        return params

    def tell(self, params: Params, epochs: int, value: Value, decision: Decision) -> None:
        """Tell a trial once."""
        super().tell(params, epochs, value, decision)
        key = self.history.key_of(params)
        if decision == "continue" or key not in self._open:
            return
        point = next(known for known in self.trained if known.params == params)
        trained = self.trained
        trial = self._open.pop(key)
        trial.set_constraint(CONSTRAINT, excess(point.sizing))
        self._study.tell(trial, [float(loss) for loss in self.losses(trained)[trained.index(point)]])
