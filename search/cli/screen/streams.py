"""Output streams of any encoding: letters that a stream cannot write are replaced, and nothing ends in an error."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper
from typing import TextIO

PLAIN = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "±": "+-", "·": "*", "→": "->", "≤": "<=", "≥": ">=", "•": "*"}
)
"""Replacements that read as well; other letters are written as `\\u00e9`."""


def accept_any_text() -> None:
    """Let standard output and standard error take every letter, whatever the locale or PYTHONIOENCODING says."""
    codecs.register_error("asc", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and not is_utf8(stream):
            stream.reconfigure(errors="asc")


def is_utf8(stream: TextIO) -> bool:
    """Return whether a stream writes UTF-8, or keeps text as it is."""
    encoding = getattr(stream, "encoding", None)
    return encoding is None or codecs.lookup(encoding).name == "utf-8"


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return "".join(letter if letter.isascii() else _escaped(letter) for letter in text), error.end


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
