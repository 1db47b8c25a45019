"""How far a search has come, from the ledger's events alone: one event at a time, so that a follower stays cheap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from results.ledger.events import ENDED, STATES, Event
from results.ledger.trial import Trials
from results.pareto import pareto_front

N_REASONS = 3
"""Reasons of failures that are told."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A trial with the value of its last rung."""

    trial_id: str
    state: str
    epochs: int
    macro_accuracy: float
    log_loss: float | None
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class RungCount:
    """What has become of the trials that reached a rung.

    Attributes:
        epochs: of the rung.
        n_reached: trials that have a value there.
        n_went_on: of these, the ones that were let train beyond it.
        n_paused: of these, the ones that wait there for a promotion.
        best: highest macro accuracy there, None where no value is a number.
    """

    epochs: int
    n_reached: int
    n_went_on: int
    n_paused: int
    best: float | None


@dataclass(frozen=True, slots=True)
class Session:
    """The last driver's work on the run, from its start to its end or to now.

    Attributes:
        started: seconds since 1970; None before a trial was begun.
        seconds: since then, to the session's end where it has one.
        epochs: trained at rungs reached in it.
        epochs_per_s: the same over the time in which trials trained, all side by side; None before the first rung.
        end: why it ended; None while it hasn't, and where its driver was killed.
    """

    started: float | None
    seconds: float
    epochs: int
    epochs_per_s: float | None
    end: str | None


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far a search has come.

    Attributes:
        n_trials: asked for; None where that is not known.
        n_started: trials begun.
        states: {state: trials}, without states that none is in and without `infeasible`.
        n_infeasible: proposals over the limit, never trained.
        n_retries: trainings that were begun again after a failure.
        rungs: lowest first.
        front: finished trials of which none is as accurate and as small as another, smallest first.
        provisional: the same of the trials that still train or wait, by their last rung: values that will change.
        failures: the commonest reasons and how often.
        epochs: trained in all sessions.
        epochs_left: expected until the search is done; None where that is not known or the session has ended.
        seconds_left: the same as time; None without a rate.
    """

    n_trials: int | None
    n_started: int
    states: dict[str, int]
    n_infeasible: int
    n_retries: int
    rungs: tuple[RungCount, ...]
    front: tuple[Standing, ...]
    provisional: tuple[Standing, ...]
    failures: tuple[tuple[str, int], ...]
    session: Session
    epochs: int
    epochs_left: float | None
    seconds_left: float | None

    @property
    def n_ended(self) -> int:
        """Trials that finished, were stopped or failed."""
        return sum(self.states.get(state, 0) for state in ENDED)


class ProgressFold:
    """Takes the ledger's events one by one and says at any time how far the search has come."""

    def __init__(self) -> None:
        self._plan: Event | None = None
        """The last session's start."""
        self._trials = Trials()
        self._best: dict[int, float | None] = {}
        self._epochs_of: dict[int, int] = {}
        self._n_infeasible = self._epochs = 0
        self._still: SearchProgress | None = None
        self._started: float | None = None
        self._end: str | None = None
        self._ended: float | None = None
        self._begin_session(None)

    def apply(self, event: Event) -> None:
        """Take the next event; those that are none of a search's change nothing."""
        kind = event["event"]
        self._still = None
        if kind == "session_started":
            self._begin_session(_time(event))
            self._plan = event
            self._epochs_of |= dict(enumerate(event.get("epochs") or ()))
        elif kind == "session_ended":
            self._end = str(event.get("reason") or "done")
            self._ended = _time(event)
        elif kind == "infeasible":
            self._n_infeasible += 1
        elif self._trials.apply(event) is not None:
            if kind == "rung":
                self._count_rung(event)
            if self._started is None:  # older ledgers don't note sessions
                self._started = _time(event)

    def _begin_session(self, started: float | None) -> None:
        self._started = started
        self._busy_from: float | None = None  # without the start of Ray and TensorFlow
        self._last: float | None = None
        self._session_epochs = 0
        self._end = self._ended = None

    def _count_rung(self, event: Event) -> None:
        rung, epochs, time = int(event["rung"]), int(event["epochs"]), _time(event)
        self._epochs_of[rung] = epochs
        trained = epochs - self._epochs_of.get(rung - 1, 0)
        self._epochs += trained
        self._session_epochs += trained
        if time is not None:
            begun = time - float(event.get("seconds") or 0.0)
            self._busy_from = begun if self._busy_from is None else min(self._busy_from, begun)
            self._last = time
        accuracy = event.get("macro_accuracy")
        best = self._best.get(rung)
        self._best[rung] = accuracy if best is None else max(best, accuracy if accuracy is not None else best)

    def progress(self, now: float | None = None) -> SearchProgress:
        """Return how far the search has come at `now`, in seconds since 1970; None means at its last event's time."""
        if self._still is None:
            self._still = self._summarize()
        still = self._still
        if self._started is None:
            return still
        at = self._ended or now or self._last or self._started
        rate = self._rate()
        session = Session(self._started, max(0.0, at - self._started), self._session_epochs, rate, self._end)
        left = None
        if rate and still.epochs_left is not None:  # what trains now is on its way to the next rung
            left = max(0.0, still.epochs_left / rate - max(0.0, at - (self._last or at)))
        return replace(still, session=session, seconds_left=left)

    def _rate(self) -> float | None:
        if self._busy_from is None or self._last is None or self._last <= self._busy_from:
            return None
        return self._session_epochs / (self._last - self._busy_from)

    def _summarize(self) -> SearchProgress:
        states = Counter(trial.state for trial in self._trials.values())
        reasons = Counter(trial.reason or "unknown" for trial in self._trials.values() if trial.state == "failed")
        return SearchProgress(
            n_trials=int(self._plan["n_trials"]) if self._plan else None,
            n_started=len(self._trials),
            states={state: states[state] for state in STATES if states[state]},
            n_infeasible=self._n_infeasible,
            n_retries=sum(trial.n_retries for trial in self._trials.values()),
            rungs=self._rungs(),
            front=self._front({"finished"}),
            provisional=self._front({"running", "paused"}),
            failures=tuple(reasons.most_common(N_REASONS)),
            session=Session(self._started, 0.0, self._session_epochs, None, self._end),
            epochs=self._epochs,
            epochs_left=self._epochs_left(),
            seconds_left=None,
        )

    def _rungs(self) -> tuple[RungCount, ...]:
        trials = self._trials.values()
        return tuple(
            RungCount(
                epochs=epochs,
                n_reached=sum(trial.rung >= rung for trial in trials),
                n_went_on=sum(trial.rung > rung or (trial.rung == rung < trial.target) for trial in trials),
                n_paused=sum(trial.rung == rung and trial.state == "paused" for trial in trials),
                best=self._best.get(rung),
            )
            for rung, epochs in sorted(self._epochs_of.items())
        )

    def _front(self, states: set[str]) -> tuple[Standing, ...]:
        trials = [
            Standing(name, trial.state, trial.epochs, trial.macro_accuracy, trial.log_loss, trial.weight_bytes or 0)
            for name, trial in self._trials.items()
            if trial.state in states and trial.macro_accuracy is not None
        ]
        front = pareto_front([trial.macro_accuracy for trial in trials], [trial.weight_bytes for trial in trials])
        return tuple(trials[index] for index in front)

    def _epochs_left(self) -> float | None:
        plan = self._plan
        if plan is None or not plan.get("expected") or self._end is not None:
            return None
        n_lost = sum(trial.state == "failed" and trial.rung < 0 for trial in self._trials.values())
        left, before = 0.0, 0
        for rung, (epochs, expected) in enumerate(zip(plan["epochs"], plan["expected"], strict=True)):
            n_reached = sum(trial.rung >= rung for trial in self._trials.values())
            n_expected = expected * max(0, plan["n_trials"] - n_lost) // plan["n_trials"]
            left += max(0, n_expected - n_reached) * (epochs - before)
            before = epochs
        return left


def summarize_search(events: Iterable[Event], now: float | None = None) -> SearchProgress:
    """Return how far a search has come after all `events`.

    Args:
        events: the ledger's, oldest first.
        now: seconds since 1970; None means the time of the last rung.
    """
    fold = ProgressFold()
    for event in events:
        fold.apply(event)
    return fold.progress(now)


def _time(event: Event) -> float | None:
    text = event.get("time")
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
