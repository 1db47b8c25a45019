"""The one fold of the ledger: what has become of each trial, event by event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from results.ledger.events import ENDED, OF_TRIALS, Event

FACTS = ("params", "key", "seed", "n_params", "macs", "weight_bytes", "nonzero_weight_bytes", "file_bytes")
"""Fields that a trial takes from every event that has them."""


class Score(NamedTuple):
    """The scores of a trial at a rung, and its size there."""

    macro_accuracy: float
    log_loss: float
    weight_bytes: int


@dataclass(slots=True)
class Trial:
    """A trial after the events about it so far. The large `config` of its start is not kept."""

    trial_id: str
    state: str = "running"
    """One of `STATES`."""
    key: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    n_params: int | None = None
    macs: int | None = None
    weight_bytes: int | None = None
    """An estimate until the first rung."""
    nonzero_weight_bytes: int | None = None
    file_bytes: int | None = None
    rung: int = -1
    """The highest that it has reached; -1 before the first."""
    target: int = 0
    """The rung that it trains to, or trained to last."""
    epochs: int = 0
    """At the highest rung, as are both scores: None where training diverged there."""
    macro_accuracy: float | None = None
    log_loss: float | None = None
    scores: dict[int, Score] = field(default_factory=dict)
    """{epochs: scores} of all rungs at which they are numbers."""
    seconds: float | None = None
    """Sum over its rungs."""
    n_retries: int = 0
    reason: str | None = None
    """Of the latest retry or end, which may have none."""
    last_reason: str | None = None
    """The latest that was given."""
    started: str | None = None
    ended: str | None = None

    @property
    def next_rung(self) -> int:
        """The rung after the highest that it has reached."""
        return self.rung + 1

    @property
    def has_ended(self) -> bool:
        """Whether it finished, was stopped or failed."""
        return self.state in ENDED

    def apply(self, event: Event) -> None:
        """Take the next event about it, or the only one about a proposal over the limit."""
        kind = event["event"]
        if kind == "rung":
            self._reach(event)
            return
        self.state, self.ended = "running", None
        if kind == "trial_started":
            self.started = event.get("time")
        elif kind == "trial_retried":
            self.n_retries += 1
        elif kind == "trial_ended":
            self.state, self.ended = str(event["state"]), event.get("time")
        elif kind == "infeasible":
            self.state = "infeasible"
        else:
            self.target = int(event.get("rung", self.target))
        if "reason" in event:
            self.reason = event["reason"]
            self.last_reason = self.reason or self.last_reason
        self._take_facts(event)

    def _reach(self, event: Event) -> None:
        """Take a rung. It pauses the trial only if it says so: older ledgers lack decisions, and knew no pause."""
        rung, epochs, decision = int(event["rung"]), int(event["epochs"]), event.get("decision")
        accuracy, loss = event.get("macro_accuracy"), event.get("log_loss")
        if not self.has_ended:
            self.state = "paused" if decision == "pause" else "running"
        self.seconds = (self.seconds or 0.0) + (event.get("seconds") or 0.0)
        if rung >= self.rung:
            self.rung, self.epochs, self.target = rung, epochs, rung + (decision == "continue")
            self.macro_accuracy, self.log_loss = accuracy, loss
            self._take_facts(event)
        if accuracy is not None and loss is not None:
            self.scores[epochs] = Score(float(accuracy), float(loss), int(self.weight_bytes or 0))

    def _take_facts(self, event: Event) -> None:
        for name in FACTS:
            if event.get(name) is not None:
                setattr(self, name, event[name])


class Trials(dict[str, Trial]):
    """{trial_id: trial} of a ledger, in the order in which they began."""

    def apply(self, event: Event) -> Trial | None:
        """Take the next event; return the trial that it is about, None where it is about none that trains."""
        if event["event"] not in OF_TRIALS:
            return None
        trial_id = event["trial_id"]
        if trial_id not in self:
            self[trial_id] = Trial(trial_id)
        self[trial_id].apply(event)
        return self[trial_id]


def trials_of(events: Iterable[Event]) -> Trials:
    """Return the trials of a ledger after all its events."""
    trials = Trials()
    for event in events:
        trials.apply(event)
    return trials
