"""Report content about networks of single devices: what they give, next to the general network alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from results.candidates.candidates import Candidate
from results.report.data import RunData
from results.report.tables.table import Column, Table
from results.report.text import Content

ALL = "all"
"""Row of the clips of all devices, those without a network included."""


@dataclass(frozen=True)
class TunedScores:
    """Scores of one candidate on the clips of one device, or of all."""

    candidate: str
    split: str
    device: str
    """Name, or `ALL`."""
    general: dict[str, Any]
    """Scores of the general network alone: macro_accuracy, log_loss, n_clips."""
    tuned: dict[str, Any]
    """Scores with the networks of devices."""


def fine_tuning_table(data: RunData) -> Table[TunedScores]:
    """Return one row per candidate, split and device with a network, then one for all clips; of the files as they are.

    No rows without fine-tuning.
    """
    rows = [row for candidate in data.candidates for row in _rows(candidate)]

    def score(which: str, name: str) -> Callable[[TunedScores], float]:
        """Return a function from a row to a score of `general` or `tuned`."""
        return lambda row: float(getattr(row, which)[name])

    def minus(name: str) -> Callable[[TunedScores], float]:
        """Return a function from a row to how much higher a score is with the networks of devices."""
        return lambda row: float(row.tuned[name] - row.general[name])

    return Table(
        rows,
        (
            Column("candidate", lambda row: row.candidate, kind="text"),
            Column("split", lambda row: row.split, kind="text"),
            Column("device", lambda row: row.device, kind="text"),
            Column("n_clips", lambda row: row.tuned["n_clips"], "count", "clips"),
            Column("general_macro_accuracy", score("general", "macro_accuracy"), "share", "accuracy, general"),
            Column("macro_accuracy", score("tuned", "macro_accuracy"), "share", "accuracy, by device"),
            Column(
                "macro_accuracy_gain",
                minus("macro_accuracy"),
                "share",
                "gain, points",
                format=lambda row: f"{100 * minus('macro_accuracy')(row):+.1f}",
            ),
            Column("general_log_loss", score("general", "log_loss"), "nats", "log loss, general"),
            Column("log_loss", score("tuned", "log_loss"), "nats", "log loss, by device"),
        ),
        page=(
            *("candidate", "split", "device", "n_clips", "general_macro_accuracy", "macro_accuracy"),
            *("macro_accuracy_gain", "general_log_loss", "log_loss"),
        ),
    )


def fine_tuning(data: RunData) -> Content | None:
    """Return the table of the selected candidate, else of all; None without fine-tuning."""
    table = fine_tuning_table(data)
    chosen = [row for row in table.rows if data.selected is not None and row.candidate == data.selected.name]
    shown = Table(chosen or table.rows, table.columns, table.page)
    return shown.content() if shown.rows else None


def _rows(candidate: Candidate) -> list[TunedScores]:
    metrics = candidate.metrics
    rows = []
    for split, general in metrics.general.items():
        tuned = metrics.splits[split]
        of_devices = [name for name in tuned["by_device"] if name in metrics.devices]
        rows += [
            TunedScores(candidate.name, split, name, general["by_device"][name], tuned["by_device"][name])
            for name in of_devices
        ]
        rows.append(TunedScores(candidate.name, split, ALL, general, tuned))
    return rows
