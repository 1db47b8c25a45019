"""Which trials are worth training in full: from the front of accuracy against size, spread over sizes.

The principle: nobody knows the budget that a network will have to fit, so let every budget between the front's smallest
and its largest network be as likely as any other, on a logarithmic scale. What a set of trials is worth is then the
mean, over budgets, of its best trial that fits (a guess where none does): the area under its staircase, which is the
hypervolume of the set. The most accurate trial comes first, then one at a time whichever adds most area; that greedy
choice has at least 1 − 1/e of the best set's area (Nemhauser et al. 1978: area is monotone and submodular).

The front is the first layer of non-dominated trials; where it has fewer than are asked for, the next layers follow.
Values after different lengths of training don't compare, so finished trials come before all others, and of the others
those that went furthest.

The values are noisy: over n validation clips an accuracy p has a standard error of about √(p(1 − p)/n), 0.065 for 0.7
of 50 clips, so neighbours on a front are seldom told apart, and the front's values are better than the networks are
(each stands there for having been lucky, too). Spreading over sizes rather than taking the K highest values is also the
answer to that: sizes are exact. What the retrained networks are worth is told by their own seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from results.ledger.events import Event, of_kind
from results.ledger.trial import trials_of
from results.pareto import dominated_area, pareto_front
from search.objectives import Objectives, Score, Value


@dataclass(frozen=True)
class Contender:
    """A trained candidate, as far as its furthest trial has come."""

    trial_id: str
    config: Mapping[str, Any]
    """What was trained: the trial's `config` in the ledger."""
    params: Mapping[str, Any]
    """Its point: the trial's `params`."""
    is_finished: bool
    epochs: int
    """At its last rung."""
    merit: float
    """On validation, there; higher is better. The mean where several trials (seeds, inert settings) are one network."""
    weight_bytes: int
    twins: tuple[str, ...] = ()
    """Other trials of the same network and recipe."""

    @property
    def level(self) -> tuple[bool, int]:
        """What it is compared within: merits of other lengths of training tell nothing here."""
        return self.is_finished, self.epochs


@dataclass(frozen=True)
class Choice:
    """Chosen trials, the most accurate finished one first, and what to say of the choice."""

    trials: tuple[Contender, ...]
    notes: tuple[str, ...]


def read_contenders(
    events: Sequence[Event],
    identity: Callable[[Mapping[str, Any]], Hashable],
    score: Score = "macro_accuracy",
) -> list[Contender]:
    """Return every candidate of a ledger that reached a rung and did not fail, one for each `identity`.

    Args:
        events: of the ledger.
        identity: equal for trial configurations that are the same network, trained alike.
        score: what merit is; log loss breaks ties in accuracy.
    """
    objective = Objectives((score,))
    trials = trials_of(events)
    groups: dict[Hashable, list[Contender]] = {}
    for event in of_kind(events, "trial_started"):
        trial, config = trials[event["trial_id"]], event["config"]
        if not trial.scores or trial.state == "failed":
            continue
        epochs, last = max(trial.scores.items())
        (loss,) = objective.losses(Value(*last))
        is_finished = trial.state == "finished"
        found = Contender(trial.trial_id, config, trial.params, is_finished, epochs, -loss, last.weight_bytes)
        groups.setdefault(identity(config), []).append(found)
    return [_joined(group) for group in groups.values()]


def _joined(group: list[Contender]) -> Contender:
    furthest = max(one.level for one in group)
    same = sorted((one for one in group if one.level == furthest), key=lambda one: one.trial_id)
    first = same[0]
    others = tuple(one.trial_id for one in group if one is not first)
    return replace(first, merit=float(np.mean([one.merit for one in same])), twins=others)


def choose(contenders: Sequence[Contender], n: int, *, floor: float) -> Choice:
    """Return `n` contenders, fewer where there are not so many.

    Args:
        contenders: of one search.
        n: how many.
        floor: merit of a guess (`guess`).
    """
    chosen: list[Contender] = []
    notes: list[str] = []
    for level in sorted({one.level for one in contenders}, reverse=True):
        rest = [one for one in contenders if one.level == level]
        before = len(chosen)
        while rest and len(chosen) < n:
            front = [rest[i] for i in pareto_front([one.merit for one in rest], [one.weight_bytes for one in rest])]
            chosen += spread(front, n - len(chosen), floor)
            rest = [one for one in rest if one not in front]
        taken = chosen[before:]
        if taken and not level[0]:
            names = ", ".join(one.trial_id for one in taken)
            notes.append(
                f"{before} of the {n} chosen were trained to the search's end; filled up from those that were stopped "
                f"or paused after {level[1]} epochs: {names}"
                if before
                else f"no trial was trained to the search's end; chosen among those of {level[1]} epochs: {names}"
            )
    if chosen and len(chosen) < n:
        notes.append(f"{n} candidates were asked for, the search has {len(chosen)} that differ")
    return Choice(tuple(chosen), tuple(notes))


def guess(score: Score, n_classes: int) -> float:
    """Return the merit of probabilities that are the same for all of `n_classes` scenes."""
    return 1 / n_classes if score == "macro_accuracy" else -math.log(n_classes)


def spread(front: Sequence[Contender], n: int, floor: float) -> list[Contender]:
    """Return at most `n` of a front: the best, then whichever adds most area."""
    if not front:
        return []
    end = math.log(max(one.weight_bytes for one in front))
    chosen = [max(front, key=lambda one: one.merit)]

    def gain(one: Contender) -> tuple[float, float]:
        """Return what `one` would add, and its merit for those that add nothing."""
        return _area([*chosen, one], end, floor) - _area(chosen, end, floor), one.merit

    while len(chosen) < min(n, len(front)):
        chosen.append(max((one for one in front if one not in chosen), key=gain))
    return chosen


def _area(chosen: Sequence[Contender], end: float, floor: float) -> float:
    """Return ∫ (best merit that fits − floor) d ln(bytes) from the smallest size to e^`end`."""
    return dominated_area([one.merit for one in chosen], [math.log(one.weight_bytes) for one in chosen], floor, end)
