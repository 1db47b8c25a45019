"""NePS's PriMO (Apache-2.0, maintained: 0.17 of October 2026): MO-ASHA, then Bayesian optimization of weighted sums.

Basu et al., 2025: Bayesian optimization with priors of its user for each objective. Nobody has priors here; without
them it runs without its weighting of the acquisition. Its model scalarizes losses as they are, so bytes are told as a
share of the limit. It knows of no constraint: a proposal over the limit is drawn again, and in the second part, which
would repeat it, told as a finished trial that guesses. Chosen here: the reduction factor 2, whose rungs are those of
the curves (the default is 3). In 0.17 weights are drawn once for a whole search, the model does not see trials in
training, and parallel proposals get the same number; they are renumbered here.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from search.objectives import Value
from search.space.space import Params
from search.strategies.chance import draw_feasible

from .base import MAX_ASKS, Problem, Rejecting, excess

REDUCTION = 2
FIDELITY = "epochs"


class PriMo(Rejecting):
    """A method of the simulator: NePS decides what is trained, and how far."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        import torch
        from neps import AskAndTell
        from neps.optimizers.algorithms import primo
        from neps.space import HPOFloat, HPOInteger, SearchSpace

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - NePS draws from NumPy's global generator
        self._epochs = problem.epochs
        elements: dict[str, Any] = {
            name: HPOFloat(knob.low, knob.high, log=knob.log) if knob.is_range else HPOInteger(0, len(knob.choices) - 1)
            for name, knob in problem.space.knobs.items()
        }
        elements[FIDELITY] = HPOInteger(self._epochs[0], self._epochs[-1], is_fidelity=True)
        self._neps = AskAndTell(primo(SearchSpace(elements), eta=REDUCTION, prior_centers={}))
        self._numbers = itertools.count(10_000)
        self._asked: Any = None
        self._open: dict[str, tuple[Any, int]] = {}
        self._points: dict[str, Params] = {}
        """Random points in place of proposals."""

    def next_work(self) -> tuple[str, Mapping[str, Any], int] | None:
        """Return a new trial, or one that goes on."""
        for _ in range(MAX_ASKS):
            params = self.propose()
            trial_id = self._asked.id.split("_")[0]
            if self._asked.metadata.previous_trial_id is not None:
                return self._work(trial_id, params, self._rung_of(self._asked.metadata.previous_trial_id) + 1)
            sizing = self.history.assess(params)
            if sizing.feasible and self.history.is_new(params):
                return self._work(trial_id, self._entered(params), 0)
            self.refuse(params, excess(sizing))
        # Of what the model insists on, nothing can be trained: a random point in its place.
        self.n_random += 1
        drawn = draw_feasible(self.history, self.rng)
        if drawn is None:
            return None
        trial_id = str(next(self._numbers))
        self._open[trial_id] = (None, len(self._epochs) - 1)
        self._points[trial_id] = self._entered(drawn)
        return trial_id, drawn, 0

    def propose(self) -> Params:
        """Return the point of NePS's next trial, which is kept."""
        before = dict(self._neps.trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._neps.ask()
        if "_" not in trial.id:  # of the model, with the number of a trial in training perhaps
            trial.metadata.id = str(next(self._numbers))
            self._neps.trials = {**before, trial.id: trial}
        self._asked = trial
        return self.space.decode({name: trial.config[name] for name in self.space.distributions()})

    def refuse(self, params: Params, excess: float) -> None:
        """Forget a random proposal; tell one of the model's as guessing."""
        if "_" in self._asked.id:
            del self._neps.trials[self._asked.id]
        else:
            self._neps.tell(self._asked.id, {"objective_to_minimize": [self.chance, math.exp(excess)]})

    def reached(self, trial_id: str, rung: int, value: Value) -> bool:
        """Tell NePS once a trial is where it wants it; return whether it has further to go until there."""
        asked, target = self._open[trial_id]
        if rung < target:
            return True
        score, n_bytes = self.objectives.losses(value)
        result = {"objective_to_minimize": [float(score), n_bytes / self.limit]}
        if asked is not None:
            self._neps.tell(asked.id, result)
        else:
            config = {**self.space.encode(self._points[trial_id]), FIDELITY: self._epochs[-1]}
            self._neps.tell_custom(config_id=trial_id, config=config, result=result)
        del self._open[trial_id]
        return False

    def _work(self, trial_id: str, params: Params, rung: int) -> tuple[str, Mapping[str, Any], int]:
        self._open[trial_id] = (self._asked, self._rung_at(self._asked.config[FIDELITY]))
        return trial_id, params, rung

    def _rung_of(self, neps_id: str) -> int:
        return self._rung_at(self._neps.trials[neps_id].config[FIDELITY])

    def _rung_at(self, epochs: float) -> int:
        return int(np.argmin([abs(math.log(epochs / rung)) for rung in self._epochs]))
