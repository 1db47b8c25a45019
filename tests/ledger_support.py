"""Ledgers of made-up searches, written event by event at times of the test's own choosing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

RUNGS = (2, 6, 14)
START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


class Book:
    """Writes a ledger's events at times of one's own choosing."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.now = 0.0

    def __call__(self, kind: str, trial_id: str | None = None, **fields: Any) -> Book:
        named = {} if trial_id is None else {"trial_id": trial_id}
        time = datetime.fromtimestamp(START + self.now, UTC).isoformat(timespec="milliseconds")
        self.events.append({"event": kind, "time": time, **named, **fields})
        return self

    def rung(
        self, trial_id: str, rung: int, accuracy: float | None, decision: str, size: int = 100, seconds: float = 10.0
    ) -> Book:
        self("rung", trial_id, rung=rung, epochs=RUNGS[rung], macro_accuracy=accuracy, log_loss=1.0,
             weight_bytes=size, seconds=seconds, decision=decision)  # fmt: skip
        if decision in {"stop", "finish"}:
            self("trial_ended", trial_id, state={"stop": "stopped", "finish": "finished"}[decision], reason=None)
        return self
