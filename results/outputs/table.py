"""Tables of other systems: CSV, TSV or Parquet, with or without a header, as rows of cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_prep.corpora.text import read_rows
from data_prep.errors import DataError
from data_prep.wording import plural

PARQUET = (".parquet", ".pq")
SUFFIXES = (".csv", ".tsv", ".txt", *PARQUET)
"""Suffixes of tables, where a folder is searched for them."""
NAME_COLUMNS = ("filename", "file", "fname", "clip_id")
"""Columns that name a clip; the first that a table has is used."""
PREFIX = "p_"
"""Prefix of the columns of probabilities in the predictions of a run."""
_INDEX = ("Unnamed: ", "__index_level_")
"""Beginnings of the names that pandas gives to a row number without a name."""


@dataclass(frozen=True)
class OutputTable:
    """The cells of one file."""

    path: Path
    cells: pd.DataFrame
    """Text or numbers. Columns are named as in the header, or numbered from 0 without one."""
    has_header: bool

    def text(self, *names: str) -> list[str] | None:
        """Return the text of the first of the columns that exists, "" for empty cells; None if there is none."""
        name = next((name for name in names if name in self.cells.columns), None)
        if name is None:
            return None
        column = self.cells[name]
        return column.where(column.notna(), "").astype(str).str.strip().tolist()

    def numbers(self, column: str | int) -> pd.Series[float]:
        """Return a column as numbers, NaN where a cell is none."""
        return pd.to_numeric(self.cells[column], errors="coerce").astype(float)


def read_table(path: Path) -> OutputTable:
    """Return the rows of a CSV, TSV or Parquet file.

    Separator and encoding of a text are recognised. Its first line is the header if it names a column of
    `NAME_COLUMNS` or contains no number. A Parquet file has no header if its columns are numbered from 0.

    Raises:
        DataError: if the file can't be read, has no rows, or its rows have different numbers of cells.
    """
    table = _read_parquet(path) if path.suffix.lower() in PARQUET else _read_text(path)
    if table.cells.empty:
        raise DataError(f"{path}: has no rows")
    return table


def _read_parquet(path: Path) -> OutputTable:
    try:
        cells = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # pyarrow raises various exceptions for a file that is not Parquet
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from None
    if cells.index.name is not None:  # the names of the clips, where they were the index
        cells = cells.reset_index()
    columns = [str(column) for column in cells.columns]
    if columns == [str(number) for number in range(len(columns))]:
        return OutputTable(path, cells.set_axis(range(len(columns)), axis=1), False)
    return _named(path, columns, cells)


def _read_text(path: Path) -> OutputTable:
    rows = list(read_rows(path))
    if not rows:
        raise DataError(f"{path}: has no rows")
    n_cells = len(rows[0][1])
    for line, cells in rows:
        if len(cells) != n_cells:
            raise DataError(
                f"{path}, line {line}: has {plural(len(cells), 'cell')}, the first line has {n_cells}. All rows need "
                "one separator (TAB, comma or semicolon), and a decimal point."
            )
    first, values = rows[0][1], [cells for _, cells in rows]
    if set(first) & set(NAME_COLUMNS) or not any(map(_is_number, first)):
        return _named(path, first, pd.DataFrame(values[1:], columns=range(n_cells)))
    bare = pd.DataFrame(values)
    kept = [column for column in bare.columns if (bare[column] != "").any()]  # separators at the ends of lines
    return OutputTable(path, bare[kept].set_axis(range(len(kept)), axis=1), False)


def _named(path: Path, columns: list[str], cells: pd.DataFrame) -> OutputTable:
    """Return a table with a header, without columns that only number the rows."""
    kept = [number for number, name in enumerate(columns) if name.strip() and not name.startswith(_INDEX)]
    names = [columns[number].strip() for number in kept]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: the header has the column {twice!r} more than once; rename one")
    return OutputTable(path, cells.iloc[:, kept].set_axis(names, axis=1), True)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
