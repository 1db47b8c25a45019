"""Results of a finished run, as tables on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from results.candidates.limits import SizeLimit
    from results.report.data import RunData
    from results.report.tables.table import Table
    from results.rundir import RunDirectory


def show_outcome(screen: Terminal, run: RunDirectory, page: Path, seconds: float) -> None:
    """Print the candidates and the ensemble, best calibrated log loss first, and where the report is."""
    from results.candidates.candidates import fewer_scenes
    from results.report.data import read_run_data
    from results.report.tables.candidates import candidate_table, ensemble_values

    data = read_run_data(run)
    table = candidate_table(data)
    columns = table.named(table.terminal)
    rows = [[column.value(candidate) for column in columns] for candidate in data.candidates]
    for ensemble in data.ensembles:
        values = ensemble_values(data, ensemble)
        rows.append([values.get(column.name) for column in columns])
    headings = [column.short or column.title for column in columns]
    screen.table(f"Exported files, best calibrated {data.scored_on} log loss first", headings, rows)
    screen.say(f"{limit_text(data.limit)}; acc: macro accuracy; loss: log loss in nats; cal: calibrated")
    if sentence := fewer_scenes(candidate.metrics for candidate in data.candidates):
        screen.say(sentence)
    _show_published(screen, data)
    screen.say(f"Report: {page}  ({seconds / 60:.1f} min)")


def limit_text(limit: SizeLimit) -> str:
    """Return the size limit that tables show, worded as the heading of its column."""
    from asc_models.rules import QUANTITY_NAMES

    unit = " bytes" if limit.quantity.endswith("bytes") else ""
    return f"{QUANTITY_NAMES[limit.quantity]}: at most {limit.limit:,}{unit} ({limit.rule})"


def _show_published(screen: Terminal, data: RunData) -> None:
    """Print the run's systems in Tables 1 and 2 of the paper (Cao et al. 2021), if the data are TAU's ten scenes."""
    from results.report.tables.groups import score_table

    if not data.has_published:
        return
    by_scene, by_device = score_table(data, "scene"), score_table(data, "device")
    for title, table in (
        ("Table 1: accuracy by scene in %", by_scene),
        ("Table 2: accuracy by device in %", by_device),
    ):
        show_percent(screen, title, table)


def show_percent(screen: Terminal, title: str, table: Table[Any]) -> None:
    """Print the columns of a table that are for the terminal; shares are in percent."""
    columns = table.named(table.terminal)
    rows = []
    for part in table.all_rows:
        values = [(column.value(part), column.unit) for column in columns]
        rows.append([f"{100 * v:.1f}" if unit == "share" and v is not None else v for v, unit in values])
    screen.table(title, [column.short or column.title for column in columns], rows)
