"""Words that messages share."""

from __future__ import annotations


def plural(value: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
