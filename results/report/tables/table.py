"""Tables with one definition of each column for CSV files, HTML page and terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import pandas as pd

from results.report.text import Content, count, grid, kilobytes, number, percent, setting

RowT = TypeVar("RowT")
Unit = Literal["", "share", "nats", "bytes", "count"]

WRITTEN: dict[Unit, Callable[[Any], str]] = {
    "": setting,
    "share": percent,
    "nats": number,
    "bytes": kilobytes,
    "count": count,
}
"""{unit: how the page formats a value}."""


@dataclass(frozen=True)
class Column(Generic[RowT]):
    """One column of a table."""

    name: str
    """Name in CSV files."""
    value: Callable[[RowT], Any]
    """Returns the plain value of a row, for CSV files and the terminal."""
    unit: Unit = ""
    """Unit of the value; the page shows shares in percent and bytes as kB."""
    heading: str = ""
    """Heading on the page; defaults to `name` with spaces for underscores."""
    short: str = ""
    """Heading on the terminal, if `heading` is too long."""
    format: Callable[[RowT], str] | None = None
    """Returns the page's cell for a row; None formats the value by its unit."""
    kind: Literal["", "text", "wrap"] = ""
    """Alignment on the page: "" right-aligned numbers, `text` left-aligned, `wrap` left-aligned and may wrap."""
    in_csv: bool = True

    @property
    def title(self) -> str:
        """The heading on the page."""
        return self.heading or self.name.replace("_", " ")

    def cell(self, row: RowT) -> str:
        """Return the cell on the page."""
        return self.format(row) if self.format else WRITTEN[self.unit](self.value(row))


@dataclass(frozen=True)
class Table(Generic[RowT]):
    """Rows and the columns that show them."""

    rows: Sequence[RowT]
    columns: Sequence[Column[RowT]]
    """All columns, in the order of the CSV file."""
    page: Sequence[str]
    """Names of the columns on the page, in order."""
    terminal: Sequence[str] = ()
    """Names of the columns on the terminal, in order."""
    average: RowT | None = None
    """A last row over all others, in every output; None for no such row."""
    total: Mapping[str, str] = field(default_factory=dict)
    """{column: cell on the page} of a row of totals; {} for no such row."""
    header: str = ""
    """Name of the column that names the rows of the page for screen readers; "" for the first."""

    @property
    def all_rows(self) -> list[RowT]:
        """The rows, followed by the average, if any."""
        return [*self.rows, *([] if self.average is None else [self.average])]

    def named(self, names: Sequence[str]) -> list[Column[RowT]]:
        """Return the columns with these names, in this order and without duplicates."""
        columns = {column.name: column for column in self.columns}
        return [columns[name] for name in dict.fromkeys(names)]

    def frame(self, *, with_average: bool = True) -> pd.DataFrame:
        """Return the table as written to the CSV file."""
        columns = [column for column in self.columns if column.in_csv]
        of = self.all_rows if with_average else self.rows
        rows = [{column.name: column.value(row) for column in columns} for row in of]
        return pd.DataFrame(rows, columns=[column.name for column in columns])

    def content(self, looks: Sequence[str] = ()) -> Content:
        """Return the table in the format of the page's template.

        Args:
            looks: CSS class of each row, such as `chosen`; the row of totals is always `total`.
        """
        columns = self.named(self.page)
        cells = [[column.cell(row) for column in columns] for row in self.all_rows]
        looks = [*looks, *[""] * (len(self.rows) - len(looks)), *([] if self.average is None else ["total"])]
        if self.total:
            cells.append([self.total.get(column.name, "") for column in columns])
            looks.append("total")
        header = next((number for number, column in enumerate(columns) if column.name == self.header), 0)
        return grid([(column.title, column.kind) for column in columns], cells, looks, header)
