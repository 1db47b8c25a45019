"""Ledgers of made-up searches, written event by event at times of the test's own choosing."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

RUNGS = (2, 6, 14)
KNOBS = {"filters": (8, 16, 24, 32), "dropout": (0.0, 0.2), "attention": ("none", "casam"), "stride": (2, (2, 1))}
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


def story(n: int = 12, seed: int = 0) -> list[dict[str, Any]]:
    """Return a search with pauses, promotions, a failure, refused proposals, two sessions and an interrupted trial."""
    book, rng = Book(), random.Random(seed)
    book("session_started", n_trials=n, epochs=[2, 6, 14], expected=[n, n // 2, n // 4])
    for number in range(n):
        name = f"t{number + 1:04d}"
        params = {knob: rng.choice(choices) for knob, choices in KNOBS.items()}
        params["stride"] = [2, 1] if number % 2 else 2
        params |= {"unknown": "x", "rate": 0.01} if number == 3 else {"rate": 7.0}
        book("infeasible", params=params, weight_bytes=200_000, reason="over")
        book("trial_started", name, params=params, config={}, key=f"k{number}", seed=0, n_params=5, macs=6,
             weight_bytes=100 * number + 40)  # fmt: skip
        book.now += 1
        if number == 2:
            book("trial_ended", name, state="failed", reason="diverged")
            continue
        book.rung(name, 0, 0.4 + 0.03 * number, "pause" if number % 3 else "continue", 100 * number + 40)
        if number % 3 == 0 and number != n - 3:
            book.rung(name, 1, 0.5 + 0.03 * number, "continue" if number != 6 else "stop", 100 * number + 40)
        if number % 3 == 0 and number not in (6, n - 3):
            book.rung(name, 2, 0.6 + 0.01 * number, "finish", 100 * number + 40)
        if number == 5:
            book("session_ended", reason="interrupted")("session_started", n_trials=n, epochs=[2, 6, 14])
    book("trial_promoted", "t0002", rung=1)
    return book.rung("t0002", 1, 0.77, "pause", 140).events
