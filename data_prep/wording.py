"""Helpers for texts in messages."""

from __future__ import annotations

from unicodedata import category

_TURNS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode marks that change the writing direction and can disguise a text."""


def printable(text: str, *, keep: str = "") -> str:
    """Return `text` with characters unsafe for terminals or UTF-8 files as escapes, such as `\\x1b`.

    Args:
        text: untrusted text, such as the name of a scene or a file.
        keep: characters to keep unescaped.
    """
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape", "surrogatepass").decode()
        if (category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in _TURNS) and letter not in keep
        else letter  # control characters; line breaks; bytes that aren't UTF-8
        for letter in text
    )


def shortened(text: str, n_letters: int = 40) -> str:
    """Return `printable(text)`, cut to `n_letters` characters with an ellipsis."""
    shown = printable(text)
    return shown if len(shown) <= n_letters else f"{shown[: n_letters - 1]}…"


def plural(value: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
