"""Text tables as data sets have them: TAB or comma, any line ends, with or without a byte order mark or a header."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.corpora.listing import Row
from data_prep.errors import DataError

HEADER = "filename, scene_label; in meta.csv also identifier and source_label"


def read_list(path: Path) -> list[Row]:
    """Return the rows of a list whose first line names the columns, as the TAU editions have it.

    Raises:
        DataError: if the file can't be read, has no column `filename`, has no rows, or a row has no file name.
    """
    columns, records = read_records(path)
    if "filename" not in columns:
        raise DataError(
            f"{path}: the first line must name the columns ({HEADER}), separated by TAB or comma; it is "
            f"{' '.join(columns)[:80]!r}"
        )
    if not records:
        raise _empty(path)
    return [
        Row(
            path,
            line,
            filename_of(record.get("filename"), path, line),
            scene=record.get("scene_label"),
            device=record.get("source_label"),
            location=record.get("identifier"),
        )
        for line, record in records
    ]


def read_bare_list(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a list without header as (line, fields), as the TUT editions have it.

    Raises:
        DataError: if the file can't be read, has no rows, or a row has no file name.
    """
    lines = [line for line in _lines(path) if line.strip()]
    rows = [
        (number, [field.strip() for field in fields])
        for number, fields in enumerate(csv.reader(lines, delimiter=_delimiter(lines)), start=1)
    ]
    for number, fields in rows:
        filename_of(fields[0], path, number)
    if not rows:
        raise _empty(path)
    return rows


def read_records(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    """Return the columns that the first line names, and each further line's fields by column; None for an empty one.

    Raises:
        DataError: if the file can't be read or has a column twice.
    """
    lines = _lines(path)
    reader = csv.DictReader(lines, delimiter=_delimiter(lines[:1]))
    columns = [(name or "").strip() for name in reader.fieldnames or ()]
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}: the first line names a column twice: {', '.join(columns)}")
    reader.fieldnames = columns
    records = [(reader.line_num, _stripped(fields)) for fields in reader if any(fields.values())]
    return columns, records


def filename_of(field: str | None, path: Path, line: int) -> str:
    """Return the file name in a row.

    Raises:
        DataError: if there is none.
    """
    if not field:
        raise DataError(f"{path}, line {line}: the row has no file name")
    return field if "/" in field else field.replace("\\", "/")  # lists written on Windows


def by_filename(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the rows by their file names; of several for one name the first."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.filename, row)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list in UTF-8: {error}") from None


def _delimiter(lines: Sequence[str]) -> str:
    first = next(iter(lines), "")
    return "," if "," in first and "\t" not in first else "\t"


def _stripped(fields: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the named fields; what stands beyond the last column has no name, and is a list."""
    return {name: value.strip() or None if value else None for name, value in fields.items() if name is not None}


def _empty(path: Path) -> DataError:
    return DataError(f"{path}: the list is empty. Fill it, or remove the file if this fold has no such list.")
