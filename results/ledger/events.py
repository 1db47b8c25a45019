"""The events of a ledger: the name of each kind, the fields of each, and the states of a trial that follow from them.

Readers ignore kinds that they do not know, and take fields that older ledgers lack with `get`. Outside this package a
kind is asked for by `is_kind` and `of_kind` alone, so that mypy finds a name that no event has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypedDict, get_args

Event = Mapping[str, Any]
"""One line of a ledger: `event` is its kind, `time` is UTC in ISO 8601, and its kind's fields are described below."""

TrialKind = Literal["trial_started", "trial_promoted", "trial_resumed", "trial_retried", "rung", "trial_ended"]
"""Events about a trial that trains."""
CandidateKind = Literal[
    "candidate_started", "candidate_resumed", "candidate_retried", "candidate_failed", "candidate_finished", "test_read"
]
Kind = Literal[
    TrialKind, CandidateKind, "session_started", "session_ended", "warm_start", "infeasible", "line_finished"
]
OF_TRIALS: tuple[TrialKind, ...] = get_args(TrialKind)

STATES = ("running", "paused", "stopped", "finished", "failed", "infeasible")
"""`paused` waits for a promotion, in this search or a later one; only `finished` has trained to the last rung."""
EndState = Literal["finished", "stopped", "failed"]
ENDED = frozenset(get_args(EndState))


def is_kind(event: Event, *kinds: Kind) -> bool:
    """Return whether an event is of one of these kinds."""
    return event["event"] in kinds


def of_kind(events: Iterable[Event], *kinds: Kind) -> Iterator[Event]:
    """Return the events of these kinds, in their order."""
    return (event for event in events if event["event"] in kinds)


class SessionStarted(TypedDict):
    """`session_started`: a driver begins to train trials."""

    n_trials: int
    epochs: list[int]
    """Of the rungs, ascending."""
    expected: list[int]
    """How many of the trials are expected to reach each rung."""


class SessionEnded(TypedDict):
    """`session_ended`: a driver has ended. One that was killed leaves no such line."""

    reason: Literal["done", "failed", "interrupted"]


class WarmStarted(TypedDict):
    """`warm_start`: what a search knows before its first trial (search/strategies/warm_start.py)."""

    runs: list[str]
    presets: list[dict[str, Any]]
    trials: list[dict[str, Any]]
    notes: list[str]


class Proposed(TypedDict):
    """What is known of every proposal; sizes are estimates."""

    params: dict[str, Any]
    n_params: int
    macs: int
    weight_bytes: int


class Infeasible(Proposed):
    """`infeasible`: a proposal over the limit, in weight bytes; it is never trained."""

    limit: int | None
    reason: str


class OfTrial(TypedDict):
    """What every event of a `TrialKind` names."""

    trial_id: str


class TrialStarted(OfTrial, Proposed):
    """`trial_started`: a trial begins. Its key hashes canonical configuration, data, seed and epochs."""

    key: str
    config: dict[str, Any]
    """What is trained: model, train, reader, mode, fold."""
    seed: int
    peak_activation_bytes: int


class TrialContinued(OfTrial):
    """`trial_promoted` from a pause, or `trial_resumed` after its driver was interrupted."""

    rung: int
    """The one it trains to, from 0."""


class TrialRetried(TrialContinued):
    """`trial_retried`: the process of a trial died, and another one continues."""

    reason: str


class Measured(TypedDict):
    """What a trial measures at a rung, of its exported file and on validation. What is no number is null."""

    macro_accuracy: float
    log_loss: float
    weight_bytes: int
    nonzero_weight_bytes: int
    file_bytes: int
    seconds: float
    """For this rung: training and reading, which is the export and its validation."""
    train_seconds: float
    reading_seconds: float


class RungReached(OfTrial, Measured):
    """`rung`: a trial has reached a rung."""

    rung: int
    epochs: int
    decision: Literal["continue", "pause", "stop", "finish"]
    """Older ledgers lack it, and knew no pause."""


class TrialEnded(OfTrial):
    """`trial_ended`: a trial has ended."""

    state: EndState
    reason: str | None


class OfCandidate(TypedDict):
    """What every event of a `CandidateKind` names; `candidate_finished` says no more."""

    candidate: str
    """`<candidate>-s<seed>`, or `<candidate>-s<seed>/inner/<part>` of a training of its inner cross-validation."""


class CandidateStarted(OfCandidate):
    """`candidate_started`: the retraining of a trial, or of a system given by name, begins."""

    trial_id: str | None
    seed: int
    epochs: int
    splits: list[str]


class CandidateResumed(OfCandidate):
    """`candidate_resumed`: a retraining continues from the checkpoint of an epoch."""

    epoch: int


class CandidateTrouble(OfCandidate):
    """`candidate_retried`: its process died, and another one continues. `candidate_failed`: it is given up."""

    reason: str


class SplitRead(OfCandidate):
    """`test_read`: a split that nothing may be chosen by is about to be read."""

    split: str


class LineFinished(TypedDict):
    """`line_finished`: ensemble, report and package are written."""

    inputs: str
    """Hash of what they were made from."""
