"""State of each trial, derived from the ledger's events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from results.ledger.events import ENDED, OF_TRIALS, Event

FACTS = ("params", "key", "seed", "n_params", "macs", "weight_bytes", "nonzero_weight_bytes", "file_bytes")
"""Fields of a trial that are updated from every event that contains them."""


class RungScore(NamedTuple):
    """Scores and sizes of a trial at a rung."""

    macro_accuracy: float
    log_loss: float
    weight_bytes: int
    nonzero_weight_bytes: int = 0


@dataclass(slots=True)
class Trial:
    """State of a trial after its events so far. The large `config` of `trial_started` is not kept."""

    trial_id: str
    state: str = "running"
    """One of `STATES`."""
    key: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    n_params: int | None = None
    macs: int | None = None
    weight_bytes: int | None = None
    """Estimated until the first rung, then measured."""
    nonzero_weight_bytes: int | None = None
    file_bytes: int | None = None
    rung: int = -1
    """Highest rung reached; -1 before the first."""
    target: int = 0
    """Rung that it trains to, or last trained to."""
    epochs: int = 0
    """Epochs at the highest rung."""
    macro_accuracy: float | None = None
    """Score at the highest rung, as `log_loss`; None if training diverged."""
    log_loss: float | None = None
    scores: dict[int, RungScore] = field(default_factory=dict)
    """{epochs: scores} of all rungs with finite scores."""
    seconds: float | None = None
    """Total over all rungs."""
    n_retries: int = 0
    reason: str | None = None
    """Reason of the latest retry or end; None if it had none."""
    last_reason: str | None = None
    """The latest reason that was not None."""
    started: str | None = None
    ended: str | None = None

    @property
    def next_rung(self) -> int:
        """The rung after the highest one reached."""
        return self.rung + 1

    @property
    def has_ended(self) -> bool:
        """Whether the trial finished, was stopped or failed."""
        return self.state in ENDED

    def apply(self, event: Event) -> None:
        """Process the next event of the trial, or the single event of an infeasible proposal."""
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
        """Process a rung. Rungs of older ledgers have no `decision` and never pause a trial."""
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
            sizes = int(self.weight_bytes or 0), int(self.nonzero_weight_bytes or 0)
            self.scores[epochs] = RungScore(float(accuracy), float(loss), *sizes)

    def _take_facts(self, event: Event) -> None:
        for name in FACTS:
            if event.get(name) is not None:
                setattr(self, name, event[name])


class Trials(dict[str, Trial]):
    """{trial_id: trial} of a ledger, in order of start."""

    def apply(self, event: Event) -> Trial | None:
        """Process the next event and return its trial; None if it is not a `TrialKind`."""
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
