"""Lists of data sets as text tables, with or without a header, in any dialect that `text` reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.corpora.listing import ListRow
from data_prep.corpora.text import read_rows
from data_prep.errors import DataError

HEADER = "filename, scene_label; in meta.csv also identifier and source_label"


def read_list(path: Path) -> list[ListRow]:
    """Return the rows of a list whose first line names the columns, as in the TAU editions.

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
        ListRow(
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
    """Return the lines of a list without header as (line, fields), as in the TUT editions.

    Raises:
        DataError: if the file can't be read, has no rows, or a row has no file name.
    """
    rows = list(read_rows(path))
    for number, fields in rows:
        filename_of(fields[0], path, number)
    if not rows:
        raise _empty(path)
    return rows


def read_records(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    """Return the columns named in the first line, and (line, {column: field}) of the others; None for empty fields.

    Columns without a name, which spreadsheets may append, are ignored.

    Raises:
        DataError: if the file can't be read or has a column twice.
    """
    rows = read_rows(path)
    named = _named(path, rows)
    records = []
    for line, cells in rows:
        record = {name: cells[number] or None for number, name in named if number < len(cells)}
        if any(record.values()):
            records.append((line, record))
    return [name for _, name in named], records


def read_columns(path: Path) -> list[str]:
    """Return the columns named in the first line of a list.

    Raises:
        DataError: as `read_records`.
    """
    return [name for _, name in _named(path, read_rows(path))]


def _named(path: Path, rows: Iterator[tuple[int, list[str]]]) -> list[tuple[int, str]]:
    """Return number and name of each column named in the first of the rows."""
    _, columns = next(rows, (0, []))
    named = [(number, name) for number, name in enumerate(columns) if name]
    if len({name for _, name in named}) < len(named):
        raise DataError(f"{path}: the first line contains a column name twice: {', '.join(name for _, name in named)}")
    return named


def filename_of(field: str | None, path: Path, line: int) -> str:
    """Return the file name in a row.

    Raises:
        DataError: if the field is empty.
    """
    if not field:
        raise DataError(f"{path}, line {line}: the row has no file name")
    return with_slashes(field)


def with_slashes(name: str) -> str:
    """Return a file name as POSIX writes it; lists written on Windows have backslashes between folders."""
    return name if "/" in name else name.replace("\\", "/")


def by_filename(rows: Sequence[ListRow]) -> dict[str, ListRow]:
    """Return {file name: first row with that name}."""
    found: dict[str, ListRow] = {}
    for row in rows:
        found.setdefault(row.filename, row)
    return found


def _empty(path: Path) -> DataError:
    return DataError(f"{path}: the list is empty. Fill it, or remove the file if this fold has no such list.")
