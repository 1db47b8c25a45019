"""Sessions of a search that observers watch, without a search."""

from __future__ import annotations

from typing import Any

from search.observers.base import observed


class Fixed:
    """A ledger in memory whose events keep their own times."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def append(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})

    def events(self) -> list[dict[str, Any]]:
        return list(self.lines)


def play(ledger: Any, events: list[dict[str, Any]], *observers: Any) -> list[str]:
    """Write events in one session with new observers and return the warnings."""
    warnings: list[str] = []
    with observed(ledger, observers, warnings.append) as log:
        for event in events:
            log.append(**event)
    return warnings


def play_in_sessions(events: list[dict[str, Any]], cuts: list[int], make: Any) -> None:
    """Write events in several sessions, each with an observer of its own."""
    ledger = Fixed()
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        assert play(ledger, events[start:end], make()) == []
    assert ledger.lines == events
