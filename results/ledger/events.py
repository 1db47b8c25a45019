"""The kinds of ledger events, their fields, and the resulting states of a trial.

Readers ignore unknown kinds and use `get` for fields that older ledgers lack. Code outside this package tests the kind
of an event with `is_kind` and `of_kind` only, so that mypy reports misspelled kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypedDict, get_args

Event = Mapping[str, Any]
"""One line of a ledger: `event` is the kind, `time` is UTC in ISO 8601; the fields of each kind are described below."""

TrialKind = Literal["trial_started", "trial_promoted", "trial_resumed", "trial_retried", "rung", "trial_ended"]
"""Events of a trial that is trained."""
CandidateKind = Literal[
    "candidate_started", "candidate_resumed", "candidate_retried", "candidate_failed", "candidate_finished", "test_read"
]
EventKind = Literal[
    TrialKind, CandidateKind, "session_started", "session_ended", "warm_start", "infeasible", "line_finished"
]
OF_TRIALS: tuple[TrialKind, ...] = get_args(TrialKind)

STATES = ("running", "paused", "stopped", "finished", "failed", "infeasible")
"""A `paused` trial waits for a promotion, in this search or a later one; a `finished` trial reached the last rung."""
EndState = Literal["finished", "stopped", "failed"]
ENDED = frozenset(get_args(EndState))


def is_kind(event: Event, *kinds: EventKind) -> bool:
    """Return whether an event is one of these kinds."""
    return event["event"] in kinds


def of_kind(events: Iterable[Event], *kinds: EventKind) -> Iterator[Event]:
    """Return the events of these kinds, in their original order."""
    return (event for event in events if event["event"] in kinds)


class SessionStarted(TypedDict):
    """`session_started`: a driver starts training trials."""

    n_trials: int
    epochs: list[int]
    """Epochs of the rungs, ascending."""
    folds: list[int]
    """Networks of a trial at each rung, each trained for these epochs: one, or more with `search.inner_folds`. Missing
    in older ledgers, in which it was one."""
    expected: list[int]
    """Number of trials expected to reach each rung."""


class SessionEnded(TypedDict):
    """`session_ended`: a driver has ended. A killed driver writes no such event."""

    reason: Literal["done", "failed", "interrupted"]


class WarmStarted(TypedDict):
    """`warm_start`: prior knowledge of a search before its first trial (search/strategies/warm_start.py)."""

    runs: list[str]
    presets: list[dict[str, Any]]
    trials: list[dict[str, Any]]
    notes: list[str]


class Proposed(TypedDict):
    """Fields known for every proposal; sizes are estimates."""

    params: dict[str, Any]
    n_params: int
    macs: int
    weight_bytes: int


class Infeasible(Proposed):
    """`infeasible`: a proposal over the limits; it is never trained. `limit` is in weight bytes."""

    limit: int | None
    reason: str


class OfTrial(TypedDict):
    """Common field of all events of a `TrialKind`."""

    trial_id: str


class TrialStarted(OfTrial, Proposed):
    """`trial_started`: a trial starts."""

    key: str
    """Hash of the canonical configuration, data, seed and epochs."""
    config: dict[str, Any]
    """Configuration of the training: model, train, reader, mode, fold, and inner_folds if it is set."""
    seed: int
    peak_activation_bytes: int


class TrialContinued(OfTrial):
    """`trial_promoted` from a pause, or `trial_resumed` after its driver was interrupted."""

    rung: int
    """The rung that it trains to, counted from 0."""


class TrialRetried(TrialContinued):
    """`trial_retried`: the process of a trial died, and a new process continues it."""

    reason: str


class RungMeasurements(TypedDict):
    """Measurements of a trial at a rung. Scores are on validation, or with `search.inner_folds` over the parts that the
    networks were trained without; sizes are those of the exported file, the largest of several. NaN is stored as null.
    """

    macro_accuracy: float
    log_loss: float
    weight_bytes: int
    nonzero_weight_bytes: int
    file_bytes: int
    seconds: float
    """Total time for this rung: `train_seconds` + `reading_seconds`."""
    train_seconds: float
    reading_seconds: float
    """Time for the export and its validation."""


class RungReached(OfTrial, RungMeasurements):
    """`rung`: a trial reached a rung."""

    rung: int
    epochs: int
    decision: Literal["continue", "pause", "stop", "finish"]
    """Missing in older ledgers, in which trials were never paused."""


class TrialEnded(OfTrial):
    """`trial_ended`: a trial ended."""

    state: EndState
    reason: str | None


class OfCandidate(TypedDict):
    """Common field of all events of a `CandidateKind`; `candidate_finished` has no other."""

    candidate: str
    """`<candidate>-s<seed>`, or `<candidate>-s<seed>/inner/<part>` for a training of its inner cross-validation."""


class CandidateStarted(OfCandidate):
    """`candidate_started`: the retraining of a trial, or of a system given by name, starts."""

    trial_id: str | None
    seed: int
    epochs: int
    splits: list[str]


class CandidateResumed(OfCandidate):
    """`candidate_resumed`: a retraining resumes from the checkpoint of an epoch."""

    epoch: int


class CandidateTrouble(OfCandidate):
    """`candidate_retried`: its process died, and a new process continues. `candidate_failed`: no further attempts."""

    reason: str


class SplitRead(OfCandidate):
    """`test_read`: a split that must not influence any selection is about to be read."""

    split: str


class RunFinished(TypedDict):
    """`line_finished`: ensemble, report and package have been written."""

    inputs: str
    """Hash of their inputs."""


SHAPES: dict[str, tuple[Any, frozenset[str]]] = {
    "session_started": (SessionStarted, frozenset({"n_trials"})),
    "session_ended": (SessionEnded, frozenset()),
    "warm_start": (WarmStarted, frozenset({"runs", "presets", "trials", "notes"})),
    "infeasible": (Infeasible, frozenset({"params"})),
    "trial_started": (TrialStarted, frozenset({"trial_id", "params", "key", "config"})),
    "trial_promoted": (TrialContinued, frozenset({"trial_id"})),
    "trial_resumed": (TrialContinued, frozenset({"trial_id"})),
    "trial_retried": (TrialRetried, frozenset({"trial_id"})),
    "rung": (RungReached, frozenset({"trial_id", "rung", "epochs", "macro_accuracy", "log_loss", "weight_bytes"})),
    "trial_ended": (TrialEnded, frozenset({"trial_id", "state"})),
    "candidate_started": (CandidateStarted, frozenset({"candidate"})),
    "candidate_resumed": (CandidateResumed, frozenset({"candidate"})),
    "candidate_retried": (CandidateTrouble, frozenset({"candidate"})),
    "candidate_failed": (CandidateTrouble, frozenset({"candidate"})),
    "candidate_finished": (OfCandidate, frozenset({"candidate"})),
    "test_read": (SplitRead, frozenset({"candidate", "split"})),
    "line_finished": (RunFinished, frozenset({"inputs"})),
}
"""{kind: (its fields, those that every ledger has)}. Ledgers of older versions may lack the others."""
