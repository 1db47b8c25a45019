"""One trial as files for others show it: what the ledger says of it, event by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from results.ledger.events import OF_TRIALS, Event, state_after

AT_START = ("key", "seed", "n_params", "macs")
AT_RUNG = ("rung", "epochs", "macro_accuracy", "log_loss", "weight_bytes")


@dataclass(slots=True)
class TrialLog:
    """What the ledger says of a trial.

    Attributes:
        facts: what it is, and what its last rung measured.
        scores: {epochs: {score: value}} of its rungs, without values that are no numbers.
        started: time of its start; ended: of its end, None before.
    """

    trial_id: str
    state: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    scores: dict[int, dict[str, float]] = field(default_factory=dict)
    started: str | None = None
    ended: str | None = None

    def apply(self, event: Event) -> None:
        """Take the next event about it."""
        kind = event["event"]
        self.state = state_after(event, self.state)
        if kind == "trial_started":
            self.params = event.get("params") or {}
            self.facts |= {name: event[name] for name in AT_START if event.get(name) is not None}
            self.started = event["time"]
        elif kind == "rung":
            self.facts |= {name: event.get(name) for name in AT_RUNG}
            scores = {name: event.get(name) for name in ("macro_accuracy", "log_loss")}
            self.scores[int(event["epochs"])] = {
                name: float(value) for name, value in scores.items() if value is not None
            }
        elif kind in {"trial_ended", "trial_retried"}:
            self.ended = event["time"] if kind == "trial_ended" else None
            if event.get("reason"):
                self.facts["reason"] = event["reason"]


class TrialLogs(dict[str, TrialLog]):
    """{trial_id: trial} of a ledger."""

    def apply(self, event: Event) -> TrialLog | None:
        """Take the next event; return the trial that it is about, None where it is about none that trains."""
        if event["event"] not in OF_TRIALS:
            return None
        trial = self.setdefault(event["trial_id"], TrialLog(event["trial_id"]))
        trial.apply(event)
        return trial
