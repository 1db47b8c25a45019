"""Selection of the trials to retrain: from the Pareto front of accuracy against size, spread over sizes.

The size budget of a future application is unknown, so every budget between the smallest and the largest network of the
front is assumed equally likely on a logarithmic scale. The value of a set of trials is then the mean, over budgets, of
the merit of its best trial that fits (that of guessing if none fits): the area under its staircase, which is the
hypervolume of the set. The most accurate trial is chosen first, then repeatedly the trial that adds most area. This
greedy choice has at least 1 − 1/e of the optimal area (Nemhauser et al. 1978: area is monotone and submodular).

The front is the first layer of non-dominated trials; if it has too few, the next layers follow. Scores after different
numbers of epochs are not comparable, so finished trials come first, then those trained longest.

Scores are noisy: the standard error of an accuracy p on n validation clips is about √(p(1 − p)/n), 0.065 for p = 0.7
and n = 50. Neighbours on a front are therefore rarely distinguishable, and the front's scores are optimistic (selection
bias). Spreading over sizes instead of taking the K highest scores reduces this problem, since sizes are exact. The
retrained networks are judged by their own seeds.
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
    """A trained configuration, at the last rung of its longest-trained trial."""

    trial_id: str
    config: Mapping[str, Any]
    """Trained configuration: the trial's `config` in the ledger."""
    params: Mapping[str, Any]
    """Point in the search space: the trial's `params`."""
    is_finished: bool
    epochs: int
    """Epochs trained at its last rung."""
    merit: float
    """Validation score there, higher is better; the mean over trials of the same network and recipe."""
    size: int
    """Bytes by which networks are compared (`Objectives.size`)."""
    twins: tuple[str, ...] = ()
    """Other trials of the same network and recipe (other seeds, or settings without effect)."""

    @property
    def level(self) -> tuple[bool, int]:
        """Group within which merits are comparable: same training length."""
        return self.is_finished, self.epochs


@dataclass(frozen=True)
class ChosenTrials:
    """Chosen trials, the most accurate finished one first, and notes for the user."""

    trials: tuple[Contender, ...]
    notes: tuple[str, ...]


def read_contenders(
    events: Sequence[Event], identity: Callable[[Mapping[str, Any]], Hashable], objectives: Objectives
) -> list[Contender]:
    """Return all candidates of a ledger that reached a rung and did not fail, one per `identity`.

    Args:
        events: events of the ledger.
        identity: maps a trial's configuration to a key that is equal for the same network and recipe.
        objectives: of the search: their score is that which merit is computed from (log loss breaks ties in accuracy).
    """
    trials = trials_of(events)
    groups: dict[Hashable, list[Contender]] = {}
    for event in of_kind(events, "trial_started"):
        trial, config = trials[event["trial_id"]], event["config"]
        if not trial.scores or trial.state == "failed":
            continue
        epochs, last = max(trial.scores.items())
        (loss,) = objectives.score.losses(Value(**last._asdict()))
        is_finished = trial.state == "finished"
        size = getattr(last, objectives.size)
        found = Contender(trial.trial_id, config, trial.params, is_finished, epochs, -loss, size)
        groups.setdefault(identity(config), []).append(found)
    return [_joined(group) for group in groups.values()]


def _joined(group: list[Contender]) -> Contender:
    furthest = max(one.level for one in group)
    same = sorted((one for one in group if one.level == furthest), key=lambda one: one.trial_id)
    first = same[0]
    others = tuple(one.trial_id for one in group if one is not first)
    return replace(first, merit=float(np.mean([one.merit for one in same])), twins=others)


def choose(contenders: Sequence[Contender], n: int, *, floor: float) -> ChosenTrials:
    """Return `n` contenders, or all if there are fewer.

    Args:
        contenders: contenders of one search.
        n: number of contenders to choose.
        floor: merit of guessing (`guess`).
    """
    chosen: list[Contender] = []
    notes: list[str] = []
    for level in sorted({one.level for one in contenders}, reverse=True):
        rest = [one for one in contenders if one.level == level]
        before = len(chosen)
        while rest and len(chosen) < n:
            front = [rest[i] for i in pareto_front([one.merit for one in rest], [one.size for one in rest])]
            chosen += spread(front, n - len(chosen), floor)
            rest = [one for one in rest if one not in front]
        taken = chosen[before:]
        if taken and not level[0]:
            names = ", ".join(one.trial_id for one in taken)
            notes.append(
                f"only {before} of {n} trials were trained longer; added from those stopped or paused after {level[1]} "
                f"epochs: {names}"
                if before
                else f"no trial was trained to the last rung; chosen from those of {level[1]} epochs: {names}"
            )
    if chosen and len(chosen) < n:
        notes.append(f"{n} candidates were requested, but the search has only {len(chosen)} different ones")
    return ChosenTrials(tuple(chosen), tuple(notes))


def guess(score: Score, n_classes: int) -> float:
    """Return the merit of uniform probabilities over `n_classes` scenes."""
    return 1 / n_classes if score == "macro_accuracy" else -math.log(n_classes)


def spread(front: Sequence[Contender], n: int, floor: float) -> list[Contender]:
    """Return at most `n` contenders of a front: the best, then repeatedly the one that adds most area."""
    if not front:
        return []
    end = math.log(max(one.size for one in front))
    chosen = [max(front, key=lambda one: one.merit)]

    def gain(one: Contender) -> tuple[float, float]:
        """Return the area that `one` adds, and its merit to break ties."""
        return _area([*chosen, one], end, floor) - _area(chosen, end, floor), one.merit

    while len(chosen) < min(n, len(front)):
        chosen.append(max((one for one in front if one not in chosen), key=gain))
    return chosen


def _area(chosen: Sequence[Contender], end: float, floor: float) -> float:
    """Return ∫ (best merit that fits − floor) d ln(bytes) from the smallest size to e^`end`."""
    return dominated_area([one.merit for one in chosen], [math.log(one.size) for one in chosen], floor, end)
