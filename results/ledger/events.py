"""The states of a trial, and how the ledger's events change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Event = Mapping[str, Any]
"""One line of the ledger."""

STATES = ("running", "paused", "stopped", "finished", "failed", "infeasible")
"""`paused` waits for a promotion, in this search or a later one; only `finished` has trained to the last rung."""
ENDED = frozenset({"stopped", "finished", "failed"})
"""States that no event of a rung changes any more."""

_GOES_ON = frozenset({"trial_started", "trial_promoted", "trial_resumed", "trial_retried"})
OF_TRIALS = _GOES_ON | {"rung", "trial_ended"}
"""Kinds of events that are about a trial that trains; all of them name its `trial_id`."""


def state_after(event: Event, before: str | None) -> str | None:
    """Return a trial's state after `event`, `before` where the event says nothing of it.

    A rung pauses a trial only if it says so: older ledgers don't note decisions, and knew no pause.
    """
    kind = event["event"]
    if kind == "infeasible":
        return "infeasible"
    if kind == "trial_ended":
        return str(event["state"])
    if kind == "rung" and before not in ENDED:
        return "paused" if event.get("decision") == "pause" else "running"
    return "running" if kind in _GOES_ON else before


EndState = Literal["finished", "stopped", "failed"]
