"""What a finished run comes to, as the terminal shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from results.rundir import RunDirectory


def show_outcome(screen: Terminal, run: RunDirectory, page: Path, seconds: float) -> None:
    """Print the candidates and the ensemble, best validation log loss first, and where the report is."""
    from results.candidates.candidates import read_candidates
    from results.candidates.limits import read_limits
    from results.ensemble import read_ensembles

    limits = read_limits(run.read_config())
    limit = limits.main
    rows: list[tuple[object, ...]] = []
    for candidate in read_candidates(run):
        metrics = candidate.metrics
        rows.append(
            (
                candidate.name,
                limits.size([metrics]),
                metrics.file_bytes,
                metrics.n_params,
                metrics.value("validation", "macro_accuracy"),
                metrics.value("validation", "log_loss"),
                metrics.value("test", "macro_accuracy"),
                metrics.value("test", "log_loss"),
            )
        )
    for ensemble in read_ensembles(run):
        validation, test = (ensemble.metrics.get(split, {}) for split in ("validation", "test"))
        rows.append(
            (
                f"{ensemble.name} ({len(ensemble.members)})",
                ensemble.total_bytes,
                None,
                None,
                validation.get("macro_accuracy"),
                validation.get("log_loss"),
                test.get("macro_accuracy"),
                test.get("log_loss"),
            )
        )
    columns = ("model", "bytes", "file", "params", "val acc", "loss", "test acc", "loss")
    counted = limit.quantity.replace("_", " ")
    screen.table("Exported files, best validation log loss first", columns, rows)
    screen.say(f"bytes: {counted}, at most {limit.limit:,} ({limit.rule}); acc: macro accuracy; loss: log loss in nats")
    show_published(screen, run)
    screen.say(f"Report: {page}  ({seconds / 60:.1f} min)")


def show_published(screen: Terminal, run: RunDirectory) -> None:
    """Print the report's Tables 1 and 2 beside the run's systems, where the data are TAU's ten scenes."""
    from results.report.data import read_run_data
    from results.report.tables import Group, group_table

    data = read_run_data(run)
    if not data.has_published:
        return
    tables: tuple[tuple[str, Group], ...] = (
        ("Table 1: accuracy by scene in %", "scene"),
        ("Table 2: accuracy by device in %", "device"),
    )
    for title, group in tables:
        table = group_table(data, group).drop(columns=["low", "high", "log_loss"])
        table = table.rename(columns={"macro_accuracy": data.selected.name if data.selected else "selected"})
        names = [str(column).replace("published: ", "publ. ") for column in table.columns]
        rows = [
            (row[0], int(row[1]), *(None if value != value else f"{100 * value:.1f}" for value in row[2:]))
            for row in table.itertuples(index=False)
        ]
        screen.table(title, names, rows)
