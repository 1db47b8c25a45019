"""Successive halving that promotes along the whole Pareto front, so that small networks survive next to large ones.

Asynchronous successive halving (Li et al., 2020, "A System for Massively Parallel Hyperparameter Tuning", MLSys) in its
promoting form: at each rung a trial pauses, and continues as soon as it is among the best 1/η of the trials that have
reached the rung. "Best" is by front and crowding in all objectives (Schmucker et al., 2021). Symbols: η = `eta`, the
rungs' resources r_k = `epochs[k]`.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.halving.base import Decision, RungValues, halved
from search.objectives import Objectives, Value


class ParetoHalving:
    """Pauses at rungs and promotes the best 1/η by front and crowding.

    Args:
        epochs: of the rungs.
        eta: reduction factor η; at each rung one trial in `eta` continues.
        objectives: by which trials are compared.
    """

    def __init__(self, epochs: Sequence[int], eta: int, objectives: Objectives) -> None:
        self.epochs = tuple(epochs)
        self._eta = eta
        self._objectives = objectives
        self._values = RungValues(epochs)
        self._promoted: list[set[str]] = [set() for _ in self.epochs]
        self._claims: list[list[str] | None] = [[] for _ in self.epochs]

    def record(self, trial_id: str, rung: int, value: Value) -> Decision:
        """Enter a value; a trial that may be promoted at once continues without a pause."""
        self._enter(trial_id, rung, value)
        if rung == self._values.last:
            return "finish"
        if trial_id not in self._claimants(rung):
            return "pause"
        self._promote_from(rung, trial_id)
        return "continue"

    def replay(self, trial_id: str, rung: int, value: Value, decision: Decision) -> None:
        """Enter a value without ranking its rung again: a search of thousands of trials resumes in seconds."""
        self._enter(trial_id, rung, value)
        if decision == "continue":
            self._promote_from(rung, trial_id)

    def promotable(self) -> list[str]:
        """Return the paused trials that may be promoted, those on higher rungs first."""
        rungs = range(self._values.last - 1, -1, -1)
        return [trial_id for rung in rungs for trial_id in self._claimants(rung)]

    def promote(self, trial_id: str) -> None:
        """Record that a trial continues from the highest rung that it has reached."""
        self._promote_from(self._values.furthest(trial_id), trial_id)

    def drop(self, trial_id: str) -> None:
        """Remove a trial; if it had been promoted, another one may be promoted instead."""
        self._values.drop(trial_id)
        for promoted in self._promoted:
            promoted.discard(trial_id)
        self._claims = [None] * len(self.epochs)

    def reason(self, trial_id: str) -> str:
        """Return an empty text: this kind stops no trial."""
        return ""

    def expected_trials(self, n_trials: int) -> list[int]:
        """Return about how many of `n_trials` reach each rung; with fewer than η at a rung none is promoted."""
        return [int(count) for count in halved(n_trials, len(self.epochs), self._eta)]

    def _enter(self, trial_id: str, rung: int, value: Value) -> None:
        self._values[rung][trial_id] = value
        self._claims[rung] = None

    def _promote_from(self, rung: int, trial_id: str) -> None:
        self._promoted[rung].add(trial_id)
        self._claims[rung] = None

    def _claimants(self, rung: int) -> list[str]:
        """Return the trials among the best 1/η of a rung that are still paused there."""
        claims = self._claims[rung]
        if claims is None:
            values, promoted = self._values[rung], self._promoted[rung]
            n_kept = len(values) // self._eta
            best = self._objectives.ranked(values)[:n_kept] if n_kept > len(promoted) else []
            claims = [trial_id for trial_id in best if trial_id not in promoted][: n_kept - len(promoted)]
            self._claims[rung] = claims
        return claims
