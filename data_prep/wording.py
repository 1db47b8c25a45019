"""Helpers for texts in messages."""

from __future__ import annotations

import re
from typing import Any
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


_FORMULA = ("=", "+", "-", "@")
"""Characters that start a formula in spreadsheet programs."""


def inert(value: Any) -> Any:
    """Return a cell of a CSV file for people: no formula, no control characters; numbers as they are."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def duration_text(seconds: float) -> str:
    """Return a duration as `40 s`, `9 min` or `3 h 12 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def shortened(text: str, n_letters: int = 40) -> str:
    """Return `printable(text)`, cut to `n_letters` characters with an ellipsis."""
    shown = printable(text)
    return shown if len(shown) <= n_letters else f"{shown[: n_letters - 1]}…"


_MARKS = re.compile(r"[\\`*{}\[\]<>#|~&!$@:]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What Markdown reads as markup, HTML, an entity, a formula, a table or a link without brackets."""


def in_markdown(text: str, n_letters: int = 40) -> str:
    """Return `shortened(text)` for a Markdown page, where it is shown as it is: no markup, no link, no HTML."""
    return _MARKS.sub(r"\\\g<0>", shortened(text, n_letters)).replace("www.", "www\\.")


_EMPTY = re.compile(
    r"Graph execution error|Detected at node|<stack traces unavailable>|Exception encountered when calling"
    r"|Original stack trace|Traceback \(most recent|\[\[\{\{node|\[Op:|Hint: |\* "
)
"""Beginnings of lines by which TensorFlow and Keras surround the message of an error."""
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


def error_line(error: BaseException, n_letters: int = 300) -> str:
    """Return the kind and the message of an error in one line, without the stack traces that frameworks put into it."""
    lines: list[str] = []
    follows_file = False
    for line in map(str.strip, _COLOURS.sub("", str(error)).splitlines()):
        if line.startswith("Arguments received by"):  # Keras lists whole tensors after it
            break
        is_file = line.startswith('File "')
        if line and not is_file and not follows_file and not _EMPTY.match(line):
            lines.append(line)
        follows_file = is_file  # a line of source, or an empty one
    return shortened(f"{type(error).__name__}: {' '.join(lines)}".rstrip(": "), n_letters)


def plural(value: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
