"""Asynchronous successive halving as Ray and Optuna have it, and Hyperband's brackets of it: they stop trials.

Li et al., 2020, "A System for Massively Parallel Hyperparameter Tuning", MLSys; Li et al., 2018, "Hyperband", JMLR.
A trial that reaches a rung goes on at once if its score is among the best 1/η of those that have reached the rung so
far, else it ends there. Nothing ever waits, and only the score counts: what a network costs does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.halving.base import Decision, RungValues, halved
from search.objectives import Objectives, Value


class StoppingHalving:
    """Stops what is not among the best 1/η of a rung, by the score alone.

    Args:
        epochs: of the rungs.
        eta: at each rung about one trial in `eta` goes on.
        objectives: whose score is compared.
        first_rung: trials are compared from here on.
    """

    def __init__(self, epochs: Sequence[int], eta: int, objectives: Objectives, first_rung: int = 0) -> None:
        self.epochs = tuple(epochs)
        self._eta = eta
        self._score = objectives.score
        self._first_rung = first_rung
        self._values = RungValues(epochs)
        self._reasons: dict[str, str] = {}

    def record(self, trial_id: str, rung: int, value: Value) -> Decision:
        """Enter a value. Among n values max(1, n // η) go on, so the first to reach a rung always does; equal values
        are treated alike."""
        values = self._values[rung]
        values[trial_id] = value
        if rung == self._values.last:
            return "finish"
        if rung < self._first_rung:
            return "continue"
        losses = sorted(self._score.losses(other) for other in values.values())
        if self._score.losses(value) <= losses[max(1, len(values) // self._eta) - 1]:
            return "continue"
        self._reasons[trial_id] = (
            f"not among the best 1/{self._eta} of the {len(values)} trials that had reached epoch {self.epochs[rung]}"
        )
        return "stop"

    def promotable(self) -> list[str]:
        """Return none: nothing waits here."""
        return []

    def promote(self, trial_id: str) -> None:
        """Do nothing."""

    def drop(self, trial_id: str) -> None:
        """Forget a trial."""
        self._values.drop(trial_id)

    def reason(self, trial_id: str) -> str:
        """Return among how many a stopped trial was not the best."""
        return self._reasons.get(trial_id, "not among the best of its rung")

    def expected_trials(self, n_trials: int) -> list[int]:
        """Return about how many of `n_trials` reach each rung; the first to reach one always goes on."""
        counts = halved(n_trials, len(self.epochs), self._eta, self._first_rung)
        return [max(1, int(count)) for count in counts]


class Hyperband:
    """Brackets of successive halving that begin to compare at different rungs, against starting too early.

    Bracket s compares from rung s on. Each gets the share of the trials that Hyperband gives it, so that all brackets
    spend about as many epochs: η^(S − s) / (S − s + 1) for the last rung S.
    """

    def __init__(self, epochs: Sequence[int], eta: int, objectives: Objectives) -> None:
        self.epochs = tuple(epochs)
        n = len(self.epochs)
        self._eta = eta
        self._brackets = [StoppingHalving(epochs, eta, objectives, first_rung) for first_rung in range(n)]
        self._shares = bracket_shares(n, eta)
        self._sizes = [0] * n
        self._bracket_of: dict[str, StoppingHalving] = {}

    def record(self, trial_id: str, rung: int, value: Value) -> Decision:
        """Enter a value in the trial's bracket; a new trial joins the bracket that lacks most of its share."""
        if trial_id not in self._bracket_of:
            n = sum(self._sizes) + 1
            lacking = [share * n - size for share, size in zip(self._shares, self._sizes, strict=True)]
            chosen = lacking.index(max(lacking))
            self._sizes[chosen] += 1
            self._bracket_of[trial_id] = self._brackets[chosen]
        return self._bracket_of[trial_id].record(trial_id, rung, value)

    def promotable(self) -> list[str]:
        """Return none: nothing waits here."""
        return []

    def promote(self, trial_id: str) -> None:
        """Do nothing."""

    def drop(self, trial_id: str) -> None:
        """Forget a trial."""
        if trial_id in self._bracket_of:
            self._bracket_of[trial_id].drop(trial_id)

    def reason(self, trial_id: str) -> str:
        """Return among how many of its bracket a stopped trial was not the best."""
        return self._bracket_of[trial_id].reason(trial_id)

    def expected_trials(self, n_trials: int) -> list[int]:
        """Return about how many of `n_trials` reach each rung, those of all brackets together."""
        n_rungs = len(self.epochs)
        brackets = [
            halved(share * n_trials, n_rungs, self._eta, first_rung) for first_rung, share in enumerate(self._shares)
        ]
        return [max(1, round(sum(counts))) for counts in zip(*brackets, strict=True)]


def bracket_shares(n_rungs: int, eta: int) -> list[float]:
    """Return the share of the trials that each bracket of Hyperband gets, that from the first rung on first."""
    sizes = [math.ceil(n_rungs / (n_rungs - s) * eta ** (n_rungs - 1 - s)) for s in range(n_rungs)]
    return [size / sum(sizes) for size in sizes]


class NoHalving(StoppingHalving):
    """Every trial trains to the last rung; rungs are only told."""

    def __init__(self, epochs: Sequence[int], eta: int, objectives: Objectives) -> None:
        super().__init__(epochs, eta, objectives, first_rung=len(epochs))
