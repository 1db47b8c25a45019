"""Test scores by scene or by device, of all systems and as published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from results.published import CLASS_WISE, CLASS_WISE_AVERAGE, COLUMNS, DEVICE_WISE
from results.report.data import RunData, group_accuracy_intervals
from results.report.tables.scores import interval_columns
from results.report.tables.table import Column, Table

Group = Literal["scene", "device"]


@dataclass(frozen=True)
class GroupScores:
    """Scores on the test clips of one scene or device, or of all."""

    name: str
    systems: Mapping[str, Mapping[str, Any]]
    """{system: its scores}, of the systems that have clips here."""
    interval: tuple[float, float]
    """95 % interval of the selected candidate's accuracy."""
    published: Mapping[str, float]
    """{published system: accuracy in percent}."""

    def accuracy_of(self, published: str) -> float | None:
        """Return the accuracy of a published system as a share, None if none was published."""
        return round(self.published[published] / 100, 4) if published in self.published else None


def score_table(data: RunData, group: Group) -> Table[GroupScores]:
    """Return test accuracy by scene (in class order) or by device; no rows if no candidate is selected.

    Scenes have a last row `average`: the scores of all clips, of which accuracy is the mean over scenes.

    Columns: the group, `n_clips`, then `macro_accuracy`, `low`, `high` (95 % interval) and `log_loss` of the selected
    candidate with the temperature that it is packed with, then the accuracy of each other system under its name, then
    on TAU the published accuracies as `published: <system>`.
    """
    chosen = data.selected.name if data.selected is not None else ""
    tests = {name: data.packed_test(name).summarize() for name in data.test} if chosen in data.test else {}
    rows = _rows(data, group, chosen, tests) if tests else []
    others = [name for name in tests if name != chosen]
    published = [system for system in COLUMNS if any(system in row.published for row in rows)]

    def score(system: str, name: str) -> Callable[[GroupScores], Any]:
        """Return a function from a row to a system's score, None if it has no clip there."""
        return lambda row: row.systems.get(system, {}).get(name)

    def printed(system: str) -> Column[GroupScores]:
        """Return the column of a published system."""
        headings = f"{system} (published)", f"publ. {system}"
        return Column(f"published: {system}", lambda row: row.accuracy_of(system), "share", *headings)

    compared: list[Column[GroupScores]] = [
        *(Column(name, score(name, "macro_accuracy"), "share", name) for name in others),
        *map(printed, published),
    ]
    names = [column.name for column in compared]
    return Table(
        rows,
        (
            Column(group, lambda row: row.name, format=lambda row: row.name.replace("_", " ")),
            Column("n_clips", score(chosen, "n_clips"), "count", "clips"),
            Column("macro_accuracy", score(chosen, "macro_accuracy"), "share", chosen),
            *interval_columns(lambda row: row.interval, prefix=""),
            Column("log_loss", score(chosen, "log_loss"), "nats", "its log loss"),
            *compared,
        ),
        page=(group, "n_clips", "macro_accuracy", "low", "log_loss", *names),
        terminal=(group, "n_clips", "macro_accuracy", *names),
        average=(
            GroupScores("average", tests, data.interval(chosen), CLASS_WISE_AVERAGE)
            if rows and group == "scene"
            else None
        ),
    )


def group_table(data: RunData, group: Group) -> pd.DataFrame:
    """Return test accuracy by scene or by device, one row each, without the average (see `score_table`)."""
    return score_table(data, group).frame(with_average=False)


def _rows(data: RunData, group: Group, chosen: str, tests: Mapping[str, Mapping[str, Any]]) -> list[GroupScores]:
    """Return the scenes or devices of the selected candidate's test clips.

    Args:
        data: of the run.
        group: what the rows are.
        chosen: selected candidate.
        tests: {system: summary of its test predictions}.
    """
    parts, test = {name: found[f"by_{group}"] for name, found in tests.items()}, data.test[chosen]
    published = (CLASS_WISE if group == "scene" else DEVICE_WISE) if data.has_published else {}
    intervals = group_accuracy_intervals(test, group)
    return [
        GroupScores(
            part,
            {name: found[part] for name, found in parts.items() if part in found},
            intervals[part],
            published.get(part, {}),
        )
        for part in parts[chosen]
    ]
