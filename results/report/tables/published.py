"""The published systems."""

from __future__ import annotations

from results.published import SYSTEMS, PublishedSystem
from results.report.data import RunData
from results.report.tables.table import Column, Table
from results.report.text import percent


def system_table(data: RunData) -> Table[PublishedSystem]:
    """Return the published systems, accuracy as a share; no rows if they are not comparable with the run."""
    columns: tuple[Column[PublishedSystem], ...] = (
        Column("system", lambda system: system.name),
        Column(
            "macro_accuracy",
            lambda system: round(system.macro_accuracy / 100, 4),
            "share",
            "accuracy",
            format=lambda system: percent(system.macro_accuracy / 100),
        ),
        Column("log_loss", lambda system: system.log_loss, "nats"),
        Column("size", lambda system: system.size),
        Column("source", lambda system: system.source, kind="wrap"),
    )
    return Table(SYSTEMS if data.has_published else (), columns, page=[column.name for column in columns])
