"""Failed trials and retrainings, with their reasons."""

from __future__ import annotations

from collections.abc import Iterable

from results.ledger.events import Event, is_kind


def failures(events: Iterable[Event]) -> dict[str, str]:
    """Return {trial or candidate: reason} of everything whose last attempt has failed, in the order of the ledger."""
    failed: dict[str, str] = {}
    for event in events:
        name = str(event.get("candidate") or event.get("trial_id") or "")
        if is_kind(event, "candidate_failed") or (is_kind(event, "trial_ended") and event["state"] == "failed"):
            failed[name] = str(event.get("reason") or "unknown").rstrip(".")
        elif is_kind(event, "candidate_started", "candidate_resumed", "candidate_finished"):
            failed.pop(name, None)
    return failed


def first_failures(failed: dict[str, str], n_shown: int = 5) -> list[str]:
    """Return a line per reason, the most frequent first, with the number of failures and the first that has it."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in failed.items():
        by_reason.setdefault(" ".join(reason.split()), []).append(name)
    most_first = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {reason}" for reason, names in most_first
    ][:n_shown]
