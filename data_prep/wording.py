"""Words that messages share."""

from __future__ import annotations

from unicodedata import category

_TURNS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of writing, so that a text reads as another one."""


def printable(text: str, *, keep: str = "") -> str:
    """Return `text` with what no terminal and no UTF-8 file should take written as escapes, such as `\\x1b`.

    Args:
        text: such as a scene's or a file's name, which may hold anything.
        keep: characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape", "surrogatepass").decode()
        if (category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in _TURNS) and letter not in keep
        else letter  # control characters; breaks of lines; bytes that aren't UTF-8
        for letter in text
    )


def shortened(text: str, n_letters: int = 40) -> str:
    """Return `text` as `printable` gives it, cut to `n_letters` with an ellipsis."""
    shown = printable(text)
    return shown if len(shown) <= n_letters else f"{shown[: n_letters - 1]}…"


def plural(value: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
