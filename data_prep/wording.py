"""Words that messages share."""

from __future__ import annotations

from unicodedata import category


def printable(text: str) -> str:
    """Return `text` with what no terminal and no UTF-8 file should take written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        repr(letter)[1:-1]
        if category(letter) in ("Cc", "Cs")
        else letter  # control characters; bytes that aren't UTF-8
        for letter in text
    )


def plural(value: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
