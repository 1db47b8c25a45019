"""The interface of successive halving, and parts that its kinds share.

A trial trains from rung to rung; at each its value is recorded and decides how it continues. Rungs are at the ends of
warm-restart cycles, where the learning rate is lowest and models are comparable. The state follows from the order of
the recorded values and promotions alone, so that it can be rebuilt from a ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from asc_models.config import TrainConfig
from asc_models.training.schedule import cycle_ends
from search.objectives import Value

Decision = Literal["continue", "pause", "stop", "finish"]
"""Decision at a rung: continue at once, pause until promoted, stop, or finish at the last rung."""


class Halving(Protocol):
    """Decides at the rungs which trials continue."""

    epochs: tuple[int, ...]
    """Epochs of the rungs; at the last a trial is finished."""

    def record(self, trial_id: str, rung: int, value: Value) -> Decision:
        """Enter a trial's value at `rung` (from 0) and return the decision."""

    def replay(self, trial_id: str, rung: int, value: Value, decision: Decision) -> None:
        """Enter a value whose decision is in the ledger."""

    def promotable(self) -> list[str]:
        """Return the paused trials that may be promoted now, in order of priority."""

    def promote(self, trial_id: str) -> None:
        """Record that a paused trial continues to its next rung."""

    def drop(self, trial_id: str) -> None:
        """Remove a failed trial, so that it does not count among those promoted."""

    def reason(self, trial_id: str) -> str:
        """Return why a trial was stopped."""

    def expected_trials(self, n_trials: int) -> list[int]:
        """Return about how many of `n_trials` reach each rung, for estimates of the time left."""


def rung_epochs(train: TrainConfig, epochs: int, min_epochs: int) -> list[int]:
    """Return the epochs at which trials are compared; the last is `epochs` itself, where a trial is finished."""
    ends = cycle_ends(train.first_cycle, train.cycle_factor, epochs)
    return [end for end in ends if min_epochs <= end < epochs] + [epochs]


def rung_folds(inner_folds: int, n_rungs: int) -> list[int]:
    """Return the networks of a trial at each rung, one for each part that is left out: from 1 geometrically to all.

    The number of networks is the second part of a rung's resource besides the epochs of each: scores that only sort out
    the worst trials may be of few clips.

    Args:
        inner_folds: number of parts; 0 is a single network that is validated on the validation split.
        n_rungs: number of rungs.
    """
    if not inner_folds:
        return [1] * n_rungs
    return [round(inner_folds ** (rung / (n_rungs - 1))) if n_rungs > 1 else inner_folds for rung in range(n_rungs)]


def halved(n: float, n_rungs: int, eta: int, first_rung: int = 0) -> list[float]:
    """Return how many of `n` trials reach each rung if one in `eta` continues from `first_rung` on."""
    return [n / eta ** max(0, rung - first_rung) for rung in range(n_rungs)]


class RungValues:
    """The values of trials at each rung."""

    def __init__(self, epochs: Sequence[int]) -> None:
        self.epochs = tuple(epochs)
        self._values: list[dict[str, Value]] = [{} for _ in self.epochs]

    def __getitem__(self, rung: int) -> dict[str, Value]:
        return self._values[rung]

    @property
    def last(self) -> int:
        """Index of the last rung."""
        return len(self.epochs) - 1

    def furthest(self, trial_id: str) -> int:
        """Return the highest rung that a trial has reached."""
        return max(rung for rung, values in enumerate(self._values) if trial_id in values)

    def drop(self, trial_id: str) -> None:
        """Remove a trial."""
        for values in self._values:
            values.pop(trial_id, None)
