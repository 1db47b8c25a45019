"""Output of the commands: progress, notes, tables, errors."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from data_prep.progress import ProgressCallback
from data_prep.wording import printable
from search.cli.screen.streams import is_utf8

if TYPE_CHECKING:
    from results.ledger.running import RunningReports
    from search.observers.base import Observer

NUMBER = re.compile(r"[-–\d][\d,.]*( ×.*)?|")

GAP = 2
"""Blanks between two columns."""
MAX_WORD = 14
"""Characters of a word, in a heading or a text, from which it may be broken to make room."""
MAX_UNBROKEN = 60
"""Characters up to which cells of the first column are not wrapped, so that the other columns keep their width."""


class Terminal:
    """The user's terminal. Progress, notes and errors go to standard error, results to standard output.

    Args:
        quiet: whether to show warnings, errors and results only.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._out = Console(soft_wrap=True, emoji=False)
        self._err = Console(stderr=True, soft_wrap=True, emoji=False)

    @contextmanager
    def stage(self, title: str, unit: str) -> Iterator[ProgressCallback]:
        """Show rate and time left until the block ends: a bar on a terminal, else lines in a log; none if quiet."""
        if self.quiet:
            yield lambda done, total: None
            return
        if not self._err.is_terminal:
            from search.cli.screen.stage_log import StageLog

            yield StageLog(title, unit, self.note).update
            return
        columns = (
            TextColumn("[bold]{task.description:<10}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn(unit),
            _RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._err) as progress:
            task = progress.add_task(title, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    def search_view(self, reports: RunningReports) -> Observer:
        """Return the observer that shows a search: a live table on a terminal, else lines in a log; none if quiet."""
        from search.cli.screen.live import LiveTable, LogLines

        if self._err.is_terminal and not self.quiet:
            return LiveTable(self._err, reports)
        return LogLines(self.note, reports)

    @contextmanager
    def live(self, content: RenderableType) -> Iterator[None]:
        """Show refreshed content until the block ends; its last state stays on the screen."""
        with Live(content, console=self._out, refresh_per_second=2, vertical_overflow="crop"):
            yield

    @property
    def is_interactive(self) -> bool:
        """Whether results go to a terminal."""
        return self._out.is_terminal

    def show(self, content: RenderableType) -> None:
        """Print a renderable result."""
        self._out.print(content, soft_wrap=False)

    def note(self, text: str) -> None:
        """Print a note, unless quiet."""
        if not self.quiet:
            self._err.print(f"  {_safe(text)}", style="dim", highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._err.print(f"Warning: {_safe(text)}", style="yellow", highlight=False, markup=False)

    def error(self, text: str) -> None:
        """Print an error."""
        self._err.print(f"Error: {_safe(text)}", style="red", highlight=False, markup=False)

    def say(self, text: str) -> None:
        """Print a result."""
        self._out.print(_safe(text), highlight=False, markup=False)

    def paragraph(self, text: str) -> None:
        """Print a text, wrapped at the terminal's width."""
        self._out.print(_safe(text), highlight=False, markup=False, soft_wrap=False)

    def json(self, value: Any) -> None:
        """Print a value as JSON."""
        print(json.dumps(value, indent=2, ensure_ascii=not is_utf8(sys.stdout)))

    def json_line(self, value: Any) -> None:
        """Print a value as a line of JSON, at once."""
        print(json.dumps(value, ensure_ascii=not is_utf8(sys.stdout)), flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table; columns of numbers are right-aligned, and numbers are never broken.

        If the columns do not fit the width, they are printed in several parts, each with the first column.
        """
        shown = [[printable(_cell(value)) for value in row] for row in rows]
        headings = [printable(column, keep="\n") for column in columns]
        found = [_TableColumn(heading, [row[number] for row in shown]) for number, heading in enumerate(headings)]
        for part in _parts(found, self._out.width):
            table = Table(
                title=Text(printable(title), style="bold"),
                title_justify="left",
                title_style="bold",
                header_style="bold",
                box=None,
                pad_edge=False,
            )
            is_tight = sum(column.width for column in part) + GAP * (len(part) - 1) > self._out.width
            for column in part:
                is_first = column is found[0]
                table.add_column(
                    Text(column.heading),
                    justify="right" if column.is_numeric else "left",
                    overflow="fold",
                    no_wrap=is_first and column.is_short,
                    width=column.least if is_tight and column.is_numeric else None,
                )
            for row in zip(*(column.cells for column in part), strict=True):
                table.add_row(*map(Text, row))
            self._out.print(table)
            self._out.print()


@dataclass(frozen=True)
class _TableColumn:
    """A column of a table as text."""

    heading: str
    cells: list[str]

    @property
    def is_numeric(self) -> bool:
        """Whether all cells are numbers."""
        return bool(self.cells) and all(NUMBER.fullmatch(cell) for cell in self.cells)

    @property
    def is_short(self) -> bool:
        """Whether no cell needs more than a part of the line."""
        return all(len(cell) <= MAX_UNBROKEN for cell in self.cells)

    @property
    def width(self) -> int:
        """Width without any break."""
        return max(map(cell_len, [*self.heading.split("\n"), *self.cells]))

    @property
    def least(self) -> int:
        """Least width: whole numbers, and whole words of the heading unless they are long."""
        cells = max(map(cell_len, self.cells), default=0)
        words = max(map(cell_len, self.heading.split()), default=0)
        return max(cells if self.is_numeric else min(cells, MAX_WORD), min(words, MAX_WORD))


def _parts(columns: list[_TableColumn], width: int) -> list[list[_TableColumn]]:
    """Divide the columns of a table into parts that fit a width, each with the first column."""
    if not columns:
        return [[]]
    first, *others = columns
    needed = min(first.width, MAX_UNBROKEN) if first.is_short else MAX_WORD
    parts, part, left = [], [first], width - needed
    for column in others:
        if len(part) > 1 and column.least + GAP > left:
            parts.append(part)
            part, left = [first], width - needed
        part.append(column)
        left -= column.least + GAP
    return [*parts, part]


class _RateColumn(ProgressColumn):
    """Recent rate in units per second."""

    def render(self, task: Task) -> Text:
        """Return the rate as text; empty until it is known."""
        rate = task.finished_speed or task.speed
        if not rate:
            return Text("")
        return Text(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s", style="progress.data.speed")


def _safe(text: str) -> str:
    """Return a text in which no name acts on the terminal; it may have several lines."""
    return printable(text, keep="\n")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}"
    return str(value)
