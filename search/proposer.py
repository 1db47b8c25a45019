"""Proposals under a hard limit: an Optuna study whose every trained point fits, and none is trained twice.

Optuna's own constraints are soft (points over the limit still get trained), and telling it FAIL until it proposes
something that fits need not end: the sampler ignores failed points and draws them again. So a proposal that is over the
limit is repaired: shrunk step by step until it fits, then entered as a trial of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna

from data_prep.errors import BudgetError
from search.objectives import Objectives, Value
from search.space import Params, Space
from search.trial import EndState

MAX_ASKS = 20
"""Proposals in a row that may turn out known before one is drawn at random."""
MAX_ENUMERATED = 100_000
"""Spaces of up to this many points are gone through one by one when the sampler has nothing new."""
MAX_DRAWS = 10_000
"""Draws in larger spaces before they count as exhausted."""

SCORE = Objectives(("macro_accuracy",))


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a candidate weighs and costs before it is built, and whether the rules let it be trained."""

    feasible: bool
    weight_bytes: int
    limit: int | None
    """Bytes allowed, where the rules limit bytes."""
    reason: str
    """What is over and by how much; empty where it fits."""
    n_params: int = 0
    macs: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point that fits and has not been trained."""

    params: Params
    sizing: Sizing


Assess = Callable[[Params], Sizing]


def require_feasible(space: Space, assess: Assess) -> None:
    """Raise BudgetError unless the smallest corner of `space` fits."""
    smallest = space.smallest()
    sizing = assess(smallest)
    if sizing.feasible:
        return
    limit = "" if sizing.limit is None else f"; the budget is {sizing.limit:,}"
    raise BudgetError(
        f"nothing in the search space fits: the smallest candidate needs {sizing.weight_bytes:,} bytes of weights"
        f"{limit} ({sizing.reason}). Its knobs: {', '.join(f'{knob} {value}' for knob, value in smallest.items())}. "
        "Add smaller choices of base_filters, expansion or n_blocks to `space`, or raise the limit under `rules`."
    )


class Proposer:
    """An Optuna study (in memory) behind the limit."""

    def __init__(
        self,
        space: Space,
        assess: Assess,
        key_of: Callable[[Params], str],
        *,
        seed: int,
        n_startup: int,
    ) -> None:
        """Begin a study.

        Args:
            space: what is searched.
            assess: size and cost of a point; called before anything is trained.
            key_of: equal for points that would be the same training.
            seed: of the sampler.
            n_startup: trials drawn at random first.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = space
        self._assess = assess
        self._key_of = key_of
        self.on_infeasible: Callable[[Params, Sizing], None] = lambda params, sizing: None
        """Told once about every proposal that is over the limit."""
        self._distributions = space.distributions()
        self._rng = np.random.default_rng(seed)
        self._seen: set[str] = set()
        self._infeasible: set[str] = set()
        self._asked: dict[str, optuna.Trial] = {}
        self._running: dict[str, optuna.Trial] = {}
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=n_startup, multivariate=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)

    @property
    def study(self) -> optuna.Study:
        """The study, for reading."""
        return self._study

    def propose(self) -> Proposal | None:
        """Return the next point to train; None where every point that fits is known."""
        for _ in range(MAX_ASKS):
            trial = self._study.ask(self._distributions)
            params = self.space.decode(trial.params)
            sizing = self._assess(params)
            if sizing.feasible and self._key_of(params) not in self._seen:
                self._asked[self._key_of(params)] = trial
                return Proposal(params, sizing)
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            if not sizing.feasible:
                self._note_infeasible(params, sizing)
                repaired = self.repair(params)
                if repaired is not None:
                    return Proposal(repaired, self._assess(repaired))
        unseen = self._draw_unseen()
        return None if unseen is None else Proposal(unseen, self._assess(unseen))

    def repair(self, params: Params) -> Params | None:
        """Return the largest new point that fits, going down from `params`; None where there is none on the way.

        Each step goes where most bytes are saved, until a step's neighbours hold points that fit: of those the one
        with the most bytes.
        """
        while options := [(self._assess(step), step) for step in self.space.smaller(params)]:
            new = [(s, p) for s, p in options if s.feasible and self._key_of(p) not in self._seen]
            if new:
                return max(new, key=lambda option: option[0].weight_bytes)[1]
            params = min(options, key=lambda option: option[0].weight_bytes)[1]
        return None

    def enter(self, trial_id: str, params: Params) -> None:
        """Enter a point that is, or was, trained under `trial_id`."""
        key = self._key_of(params)
        self._seen.add(key)
        if key in self._asked:
            self._running[trial_id] = self._asked.pop(key)
        else:
            self._study.enqueue_trial(self.space.encode(params))
            self._running[trial_id] = self._study.ask(self._distributions)

    def observe(self, trial_id: str, epochs: int, value: Value) -> None:
        """Tell the study a trial's value at a rung."""
        self._running[trial_id].report(-SCORE.losses(value)[0], step=epochs)

    def end(self, trial_id: str, state: EndState) -> None:
        """Tell the study how a trial ended. A stopped one keeps its value but ranks below those that went on."""
        trial = self._running.pop(trial_id)
        values = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if state == "failed" or not values:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif state == "finished":
            self._study.tell(trial, values[max(values)])
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)

    def mark_seen(self, key: str) -> None:
        """Never propose what `key` stands for."""
        self._seen.add(key)

    def mark_infeasible(self, params: Params) -> None:
        """Don't tell about this point again."""
        self._infeasible.add(self._key_of(params))

    def _note_infeasible(self, params: Params, sizing: Sizing) -> None:
        key = self._key_of(params)
        if key not in self._infeasible:
            self._infeasible.add(key)
            self.on_infeasible(params, sizing)

    def _draw_unseen(self) -> Params | None:
        space = self.space
        if space.size > MAX_ENUMERATED:
            points = (space.draw(self._rng) for _ in range(MAX_DRAWS))
        else:
            points = (space.point(int(index)) for index in self._rng.permutation(int(space.size)))
        for params in points:
            if self._key_of(params) not in self._seen and self._assess(params).feasible:
                return params
        return None
