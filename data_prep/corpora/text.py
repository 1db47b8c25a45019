"""Text of lists, in the encodings and dialects that spreadsheets write."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from data_prep.errors import DataError

MAX_BYTES = 1 << 29
"""Larger lists are refused; a line has about 100 bytes, and a list at most about 100,000 lines."""
_FIRST_LINE = re.compile(r"\s*([^\r\n]*)(?:\r\n?|\n|\Z)")
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
"""Line before the header in which Excel declares the separator."""


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty lines of a list as (line number, stripped cells).

    The separator is declared by a first line such as `sep=;`, else TAB, semicolon or comma, whichever occurs in the
    first line. Encodings are UTF-8, UTF-16 with a byte order mark, and Windows-1252.

    Raises:
        DataError: if the file is not text, or has unbalanced quotation marks.
    """
    text, _ = _read_text(path)
    first = _FIRST_LINE.match(text)
    declared = _SEPARATOR_LINE.fullmatch(first[1]) if first is not None else None
    n_skipped = 0
    if first is not None and declared is not None:
        n_skipped = text.count("\n", 0, first.end())
        text = text[first.end() :]
        first = _FIRST_LINE.match(text)
    delimiter = declared[1] if declared is not None else _delimiter(first[1] if first is not None else "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num + n_skipped, stripped
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num + n_skipped}: cannot be read as a list: {error}. A quotation mark may be "
            "unclosed; double quotation marks inside a cell."
        ) from None


def encoding_remark(path: Path) -> str | None:
    """Return a warning if the encoding of a list had to be guessed, else None.

    Raises:
        DataError: if the file is not text.
    """
    if _read_text(path)[1] != "cp1252":
        return None
    return (
        f"{path.name} is not UTF-8 and was read as Windows-1252; if labels or names look wrong, save it as UTF-8 (in "
        "Excel: CSV UTF-8)"
    )


def _read_text(path: Path) -> tuple[str, str]:
    """Return the text of a file, and its encoding."""
    if not path.is_file():
        what = "no such file" if not path.exists() else "is not a file"
        raise DataError(f"{path}: {what}. A list is a text file.")
    try:
        n_bytes = path.stat().st_size
        if n_bytes > MAX_BYTES:
            raise DataError(f"{path}: has {n_bytes:,} bytes; at most {MAX_BYTES:,} are read as a list.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}. Check the file and its permissions.") from None
    is_wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    encodings = ("utf-16",) if is_wide else ("utf-8-sig", "cp1252")
    problem = ""
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            problem = problem or str(error)
            continue
        if "\0" in text:
            problem = "it contains NUL bytes, so it is damaged, or UTF-16 without a byte order mark"
            break
        return text, encoding
    raise DataError(f"{path}: cannot be read as a list in UTF-8, UTF-16 or Windows-1252: {problem}. Save it as UTF-8.")


def _delimiter(line: str) -> str:
    if "\t" in line or not ("," in line or ";" in line):
        return "\t"
    return ";" if line.count(";") > line.count(",") else ","
