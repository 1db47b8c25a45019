"""Progress of a search, computed incrementally from the ledger's events so that following a run is cheap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from results.ledger.events import ENDED, STATES, Event
from results.ledger.running import RunningTrial
from results.ledger.trial import Trials
from results.pareto import pareto_front

N_REASONS = 3
"""Number of most common failure reasons that are reported."""


@dataclass(frozen=True, slots=True)
class RankedTrial:
    """A trial with its scores at its last rung."""

    trial_id: str
    state: str
    epochs: int
    macro_accuracy: float
    log_loss: float | None
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class RungCount:
    """Counts of the trials that reached a rung."""

    epochs: int
    """Epochs of the rung."""
    folds: int
    """Networks of each trial there, trained for these epochs; more than one with `search.inner_folds` only."""
    n_reached: int
    """Trials with a score at the rung."""
    n_went_on: int
    """Trials of these that were continued beyond the rung."""
    n_paused: int
    """Trials of these that are paused at the rung, waiting for a promotion."""
    best: float | None
    """Highest macro accuracy at the rung; None if no score is a number."""


@dataclass(frozen=True, slots=True)
class Session:
    """The last driver's session on the run, until its end or the current time."""

    started: float | None
    """Start in seconds since 1970; None before the first trial."""
    seconds: float
    """Duration so far, or until the session ended."""
    epochs: int
    """Epochs trained at rungs reached in this session, summed over networks."""
    epochs_per_s: float | None
    """Epochs per second of wall-clock time, summed over parallel trials: of the rungs reached, before the first one of
    the reports of running trials; None without either."""
    end: str | None
    """Reason for the end; None if the session is active or its driver was killed."""


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """Progress of a search."""

    n_trials: int | None
    """Trials requested; None if unknown."""
    n_started: int
    """Trials started."""
    states: dict[str, int]
    """{state: number of trials}, without zero counts and without `infeasible`."""
    n_infeasible: int
    """Proposals over the limits, which are never trained."""
    n_retries: int
    """Trainings restarted after a failure."""
    rungs: tuple[RungCount, ...]
    """Counts per rung, lowest rung first."""
    front: tuple[RankedTrial, ...]
    """Pareto front of the finished trials, smallest first."""
    provisional: tuple[RankedTrial, ...]
    """Pareto front of the running and paused trials by their last rung, smallest first; not final."""
    failures: tuple[tuple[str, int], ...]
    """The most common failure reasons with their counts."""
    session: Session
    epochs: int
    """Epochs trained in all sessions, including those that running trials have reported since their last rung; summed
    over networks, as `epochs_left`."""
    epochs_left: float | None
    """Epochs expected until the search is complete; None if unknown or if the session has ended."""
    seconds_left: float | None
    """Estimated time to train `epochs_left`; None without a rate."""
    running: tuple[RunningTrial, ...] = ()
    """Reports of the running trials; a trial that waits for a process has none."""

    @property
    def ends(self) -> float | None:
        """Estimated end of the search in seconds since 1970; None without an estimate."""
        if self.seconds_left is None or self.session.started is None:
            return None
        return self.session.started + self.session.seconds + self.seconds_left

    @property
    def n_ended(self) -> int:
        """Trials that finished, were stopped or failed."""
        return sum(self.states.get(state, 0) for state in ENDED)


class ProgressFold:
    """Accumulates the ledger's events; `progress` can be called after any of them."""

    def __init__(self) -> None:
        self._plan: Event | None = None
        """The `session_started` event of the last session."""
        self._trials = Trials()
        self._best: dict[int, float | None] = {}
        self._epochs_of: dict[int, int] = {}
        self._folds_of: dict[int, int] = {}
        """Networks at each rung; one where the ledger says nothing."""
        self._n_infeasible = self._epochs = 0
        self._still: SearchProgress | None = None
        self._started: float | None = None
        self._end: str | None = None
        self._ended: float | None = None
        self._begin_session(None)

    def apply(self, event: Event) -> None:
        """Process the next event; events that do not belong to a search are ignored."""
        kind = event["event"]
        self._still = None
        if kind == "session_started":
            self._begin_session(_time(event))
            self._plan = event
            self._epochs_of |= dict(enumerate(event.get("epochs") or ()))
            self._folds_of |= dict(enumerate(event.get("folds") or ()))
        elif kind == "session_ended":
            self._end = str(event.get("reason") or "done")
            self._ended = _time(event)
        elif kind == "infeasible":
            self._n_infeasible += 1
        elif self._trials.apply(event) is not None:
            if kind == "rung":
                self._count_rung(event)
            if self._started is None:  # older ledgers have no session events
                self._started = _time(event)

    def _begin_session(self, started: float | None) -> None:
        self._started = started
        self._busy_from: float | None = None  # excludes the start of Ray and TensorFlow
        self._last: float | None = None
        self._session_epochs = 0
        self._end = self._ended = None

    def _count_rung(self, event: Event) -> None:
        rung, epochs, time = int(event["rung"]), int(event["epochs"]), _time(event)
        self._epochs_of[rung] = epochs
        trained = self._cost(rung) - self._cost(rung - 1)
        self._epochs += trained
        self._session_epochs += trained
        if time is not None:
            begun = time - float(event.get("seconds") or 0.0)
            self._busy_from = begun if self._busy_from is None else min(self._busy_from, begun)
            self._last = time
        accuracy = event.get("macro_accuracy")
        best = self._best.get(rung)
        self._best[rung] = accuracy if best is None else max(best, accuracy if accuracy is not None else best)

    def _cost(self, rung: int) -> int:
        """Return the epochs of a trial at `rung`, summed over its networks; 0 before the first rung."""
        return self._epochs_of.get(rung, 0) * self._folds_of.get(rung, 1)

    def progress(self, now: float | None = None, reports: Sequence[RunningTrial] = ()) -> SearchProgress:
        """Return the progress.

        Args:
            now: seconds since 1970; None means the time of the last event.
            reports: of running trials, at `now`.
        """
        if self._still is None:
            self._still = self._summarize()
        still = self._still
        if self._started is None:
            return still
        at = self._ended or now or self._last or self._started
        running = tuple(report for report in reports if self._is_current(report)) if self._end is None else ()
        trained = {report: max(0, report.epoch - self._cost(self._trials[report.trial_id].rung)) for report in running}
        rate = self._rate() or sum(n / max(1.0, at - report.started) for report, n in trained.items()) or None
        session = Session(self._started, max(0.0, at - self._started), self._session_epochs, rate, self._end)
        n_trained = sum(trained.values())
        epochs_left = None if still.epochs_left is None else max(0.0, still.epochs_left - n_trained)
        left = None
        if rate and epochs_left is not None:
            # without reports: running trials have trained since the last rung
            left = max(0.0, epochs_left / rate - (0.0 if running else max(0.0, at - (self._last or at))))
        return replace(
            still,
            session=session,
            epochs=still.epochs + n_trained,
            epochs_left=epochs_left,
            seconds_left=left,
            running=running,
        )

    def _is_current(self, report: RunningTrial) -> bool:
        trial = self._trials.get(report.trial_id)
        return trial is not None and trial.state == "running" and trial.rung < report.rung

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
                folds=self._folds_of.get(rung, 1),
                n_reached=sum(trial.rung >= rung for trial in trials),
                n_went_on=sum(trial.rung > rung or (trial.rung == rung < trial.target) for trial in trials),
                n_paused=sum(trial.rung == rung and trial.state == "paused" for trial in trials),
                best=self._best.get(rung),
            )
            for rung, epochs in sorted(self._epochs_of.items())
        )

    def _front(self, states: set[str]) -> tuple[RankedTrial, ...]:
        trials = [
            RankedTrial(name, trial.state, trial.epochs, trial.macro_accuracy, trial.log_loss, trial.weight_bytes or 0)
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
        left = 0.0
        for rung, (_, expected) in enumerate(zip(plan.get("epochs") or (), plan["expected"], strict=False)):
            n_reached = sum(trial.rung >= rung for trial in self._trials.values())
            n_expected = expected * max(0, plan["n_trials"] - n_lost) // max(1, plan["n_trials"])
            left += max(0, n_expected - n_reached) * (self._cost(rung) - self._cost(rung - 1))
        return left


def summarize_search(events: Iterable[Event], now: float | None = None) -> SearchProgress:
    """Return the progress of a search after all `events`.

    Args:
        events: events of the ledger, oldest first.
        now: seconds since 1970; None means the time of the last rung.
    """
    fold = ProgressFold()
    for event in events:
        fold.apply(event)
    return fold.progress(now)


def _time(event: Event) -> float | None:
    text = event.get("time")
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
