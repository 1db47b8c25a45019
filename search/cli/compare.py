"""`asc compare`: several runs next to each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import JsonOption, terminal
from search.cli.screen.outcome import show_percent
from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from results.comparison.comparison import Comparison


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write compare.html, tables and figures.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: fronts and their hypervolumes, selected candidates, and keys in which the configurations differ.

    Runs of other data or another fold are shown in groups, and not compared. A fold of a cross-validation is a run.
    """
    from results.comparison.comparison import compare_runs
    from results.comparison.page import write_comparison
    from results.comparison.tables import summary
    from results.rundir import RunDirectory
    from search.run_config import read_run

    screen = terminal()
    comparison = compare_runs([(path, read_run(RunDirectory(path)).model_dump(mode="json")) for path in runs])
    page = None if out is None else write_comparison(comparison, out)
    if as_json:
        screen.json(summary(comparison))
        return
    _show(screen, comparison)
    if page is not None:
        screen.say(f"Page: {page}")


def _show(screen: Terminal, comparison: Comparison) -> None:
    """Print each group, and why it is not compared with the first."""
    from results.comparison.page import reference_text
    from results.comparison.tables import SEARCH_COLUMNS, SELECTED_COLUMNS, VOLUME_COLUMNS, run_table, setting_table
    from results.report.tables.ties import difference_table

    table = run_table(comparison)
    for group, reason in zip(comparison.groups, ["", *comparison.reasons], strict=True):
        runs = replace(table, rows=[(group, run) for run in group.runs])
        for line in filter(None, (reason, *group.notes)):
            screen.paragraph(line)
        search = (*SEARCH_COLUMNS, *(VOLUME_COLUMNS if group.is_compared else ()))
        show_percent(screen, f"Searches: {group.title}", replace(runs, terminal=search))
        if text := reference_text(group):
            screen.paragraph(f"{text}\n")
        show_percent(screen, "Selected candidates", replace(runs, terminal=SELECTED_COLUMNS))
        if group.differences:
            title = "Difference of the selected candidates on test, paired"
            show_percent(screen, title, difference_table(group.differences))
        settings = setting_table(group)
        if settings.rows:
            show_percent(screen, "Configuration: keys that differ", settings)
    screen.say("acc: macro accuracy in %; loss: log loss in nats; 95 %: interval over locations")
    screen.say("Losses of selected candidates are calibrated, as in the ranking.")
    screen.say("Choose on validation; a choice by test scores makes them too good.")
