"""Asynchronous successive halving that stops trials, as in Ray and Optuna, and Hyperband's brackets of it.

Li et al., 2020, "A System for Massively Parallel Hyperparameter Tuning", MLSys; Li et al., 2018, "Hyperband", JMLR.
A trial that reaches a rung continues if its score is among the best 1/η of those that have reached the rung so far, and
stops otherwise. Trials never pause, and costs are ignored.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

from search.halving.base import Decision, RungValues, halved
from search.objectives import Objectives, Value


class StoppingHalving:
    """Stops trials that are not among the best 1/η of a rung by score.

    Args:
        epochs: of the rungs.
        eta: reduction factor η; at each rung about one trial in `eta` continues.
        objectives: whose score is compared.
        first_rung: first rung at which trials are compared.
    """

    def __init__(self, epochs: Sequence[int], eta: int, objectives: Objectives, first_rung: int = 0) -> None:
        self.epochs = tuple(epochs)
        self._eta = eta
        self._score = objectives.score
        self._first_rung = first_rung
        self._values = RungValues(epochs)
        self._losses: list[list[tuple[float, ...]]] = [[] for _ in self.epochs]
        """Of each rung, ascending."""
        self._reasons: dict[str, str] = {}

    def record(self, trial_id: str, rung: int, value: Value) -> Decision:
        """Enter a value. Of n values the best max(1, n // η) and their ties continue, so the first one always does."""
        self._values[rung][trial_id] = value
        losses, loss = self._losses[rung], self._score.losses(value)
        insort(losses, loss)
        if rung == self._values.last:
            return "finish"
        if rung < self._first_rung:
            return "continue"
        if loss <= losses[max(1, len(losses) // self._eta) - 1]:
            return "continue"
        self._reasons[trial_id] = (
            f"not among the best 1/{self._eta} of the {len(losses)} trials that had reached epoch {self.epochs[rung]}"
        )
        return "stop"

    def replay(self, trial_id: str, rung: int, value: Value, decision: Decision) -> None:
        """Enter a value, which decides the same again."""
        self.record(trial_id, rung, value)

    def promotable(self) -> list[str]:
        """Return an empty list: trials never pause."""
        return []

    def promote(self, trial_id: str) -> None:
        """Do nothing."""

    def drop(self, trial_id: str) -> None:
        """Remove a trial."""
        self._values.drop(trial_id)
        self._losses = [
            sorted(map(self._score.losses, self._values[rung].values())) for rung in range(len(self.epochs))
        ]

    def reason(self, trial_id: str) -> str:
        """Return the reason why a trial was stopped."""
        return self._reasons.get(trial_id, "not among the best of its rung")

    def expected_trials(self, n_trials: int) -> list[int]:
        """Return about how many of `n_trials` reach each rung; the first to reach one always continues."""
        counts = halved(n_trials, len(self.epochs), self._eta, self._first_rung)
        return [max(1, int(count)) for count in counts]


class Hyperband:
    """Brackets of successive halving that start to compare at different rungs, as a hedge against comparing too early.

    Bracket s compares from rung s on. Its share of the trials is proportional to η^(S − s) / (S − s + 1) with the last
    rung S, as in Hyperband, so that all brackets train about the same number of epochs.
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

    def replay(self, trial_id: str, rung: int, value: Value, decision: Decision) -> None:
        """Enter a value, which decides the same again in the same bracket."""
        self.record(trial_id, rung, value)

    def promotable(self) -> list[str]:
        """Return an empty list: trials never pause."""
        return []

    def promote(self, trial_id: str) -> None:
        """Do nothing."""

    def drop(self, trial_id: str) -> None:
        """Remove a trial."""
        if trial_id in self._bracket_of:
            self._bracket_of[trial_id].drop(trial_id)

    def reason(self, trial_id: str) -> str:
        """Return the reason why a trial was stopped in its bracket."""
        return self._bracket_of[trial_id].reason(trial_id)

    def expected_trials(self, n_trials: int) -> list[int]:
        """Return about how many of `n_trials` reach each rung, summed over brackets."""
        n_rungs = len(self.epochs)
        brackets = [
            halved(share * n_trials, n_rungs, self._eta, first_rung) for first_rung, share in enumerate(self._shares)
        ]
        return [max(1, round(sum(counts))) for counts in zip(*brackets, strict=True)]


def bracket_shares(n_rungs: int, eta: int) -> list[float]:
    """Return each bracket's share of the trials, by the first rung at which it compares."""
    sizes = [math.ceil(n_rungs / (n_rungs - s) * eta ** (n_rungs - 1 - s)) for s in range(n_rungs)]
    return [size / sum(sizes) for size in sizes]


class NoHalving(StoppingHalving):
    """Every trial trains to the last rung; values at rungs are only recorded."""

    def __init__(self, epochs: Sequence[int], eta: int, objectives: Objectives) -> None:
        super().__init__(epochs, eta, objectives, first_rung=len(epochs))
