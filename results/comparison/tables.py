"""Tables of a comparison of runs, and the comparison as plain values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from data_prep.wording import shortened
from results.candidates.candidates import Candidate
from results.comparison.comparison import FRONT_SCORES, ComparedRun, Comparison, FrontScore, RunGroup
from results.report.tables.scores import interval_columns, score_columns
from results.report.tables.table import Column, Table, Unit
from results.report.tables.ties import difference_table

Row = tuple[RunGroup, ComparedRun]
SEARCH_COLUMNS = ("run", "n_trials", "n_finished", "epochs")
"""Columns of `run_table` about the search on the terminal, before those of `VOLUME_COLUMNS` if runs are compared."""
VOLUME_COLUMNS = tuple(f"hypervolume_{score}" for score in FRONT_SCORES)
SELECTED_COLUMNS = (
    *("run", "selected", "weight_bytes", "validation_macro_accuracy", "validation_calibrated_log_loss"),
    *("test_macro_accuracy", "test_calibrated_log_loss"),
)
"""Columns of `run_table` about the selected candidate on the terminal."""
UNITS: dict[FrontScore, Unit] = {"macro_accuracy": "share", "log_loss": "nats"}


def run_table(comparison: Comparison) -> Table[Row]:
    """Return one row per run: data, search, hypervolumes of its fronts, and its selected candidate."""

    return Table(
        comparison.rows,
        (
            Column("run", lambda row: row[1].name),
            Column("group", lambda row: comparison.groups.index(row[0]) + 1, "count"),
            Column("data", lambda row: row[1].data_set, kind="text"),
            Column("manifest_hash", lambda row: row[1].manifest_hash, kind="text"),
            Column("fold", lambda row: row[1].fold, "count"),
            *_search_columns(),
            *_selected_columns(),
        ),
        page=(
            *("run", "fold", "n_trials", "n_finished", "epochs", *VOLUME_COLUMNS),
            *("selected", "weight_bytes", "validation_macro_accuracy", "validation_calibrated_log_loss"),
            *("test_macro_accuracy", "test_low", "test_calibrated_log_loss"),
        ),
    )


def _search_columns() -> list[Column[Row]]:
    """Return the columns of a run's search: what was trained, and the hypervolumes of its fronts."""

    def number(name: str, value: Callable[[ComparedRun], Any], **options: Any) -> Column[Row]:
        """Return the column of a count."""
        return Column(name, lambda row: value(row[1]), "count", **options)

    def volume(score: FrontScore) -> Column[Row]:
        """Return the column of a hypervolume."""
        text = "accuracy" if score == "macro_accuracy" else "loss"
        return Column(
            f"hypervolume_{score}",
            lambda row: row[0].hypervolume(row[1], score),
            UNITS[score],
            f"hypervolume, {text}",
            f"volume {'acc' if score == 'macro_accuracy' else 'loss'}",
        )

    return [
        number("n_trials", lambda run: len(run.trained), heading="trials"),
        number("n_finished", lambda run: len(run.finished), heading="finished"),
        number("epochs", lambda run: int(run.trained["epochs"].fillna(0).sum())),
        *map(volume, FRONT_SCORES),
        number("n_candidates", lambda run: len(run.data.candidates), heading="candidates"),
    ]


def _selected_columns() -> list[Column[Row]]:
    """Return the columns of a run's selected candidate, empty if there is none."""

    def value(of: Callable[[Candidate], Any]) -> Callable[[Row], Any]:
        """Return a function from a row to a value of its selected candidate, None if there is none."""
        return lambda row: None if (found := row[1].data.selected) is None else of(found)

    def bounds(row: Row) -> tuple[float, float]:
        """Return the interval of the test accuracy, NaN without a candidate."""
        return row[1].data.interval(row[1].data.selected.name if row[1].data.selected is not None else "")

    def loss(split: str) -> Column[Row]:
        """Return the column of the calibrated log loss."""
        return Column(
            f"{split}_calibrated_log_loss",
            lambda row: (
                None if (found := row[1].data.selected) is None else row[1].data.calibrated_loss(found.name, split)
            ),
            "nats",
            f"{split} log loss, calibrated",
            "val loss" if split == "validation" else "test loss",
        )

    scores: list[Column[Row]] = score_columns(
        lambda row: {} if row[1].data.selected is None else row[1].data.selected.metrics.splits
    )
    return [
        Column("selected", value(lambda one: one.name), kind="text"),
        Column("weight_bytes", value(lambda one: one.metrics.weight_bytes), "bytes", "weights", "weight bytes"),
        Column("file_bytes", value(lambda one: one.metrics.file_bytes), "bytes", "file"),
        *scores[:3],
        *interval_columns(bounds, heading="95 %"),
        *scores[3:],
        *map(loss, ("validation", "test")),
    ]


def front_table(comparison: Comparison) -> pd.DataFrame:
    """Return the points of the fronts of all runs: run, score of the front, and trial with its size and scores."""
    columns = ["trial_id", "weight_bytes", "file_bytes", "epochs", "macro_accuracy", "log_loss"]
    fronts = [
        run.front(score)[columns].assign(run=run.name, front=score)
        for _, run in comparison.rows
        for score in FRONT_SCORES
    ]
    return pd.concat(fronts, ignore_index=True)[["run", "front", *columns]]


def setting_table(group: RunGroup) -> Table[tuple[str, dict[str, Any]]]:
    """Return one row per key of the configuration in which the runs differ, with the value of each run as JSON."""

    def of(number: int, run: str) -> Column[tuple[str, dict[str, Any]]]:
        """Return the column of a run, whose name may be that of another column."""
        return Column(f"run_{number}", lambda row: shortened(_value(row[1], run), 200), heading=run, kind="wrap")

    key: Column[tuple[str, dict[str, Any]]] = Column("key", lambda row: row[0])
    columns = (key, *(of(number, run.name) for number, run in enumerate(group.runs)))
    names = [column.name for column in columns]
    return Table(list(group.settings.items()) if group.is_compared else [], columns, page=names, terminal=names)


def _value(values: Mapping[str, Any], run: str) -> str:
    """Return the value of a run as JSON, a dash without one; the keys of a section have rows of their own."""
    if run not in values:
        return "–"
    return "{…}" if isinstance(values[run], Mapping) and values[run] else json.dumps(values[run], ensure_ascii=False)


def all_tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Return {file stem: table} of all tables that have rows."""
    compared = [group for group in comparison.groups if group.is_compared]
    settings = [
        {"key": key, "run": run.name, "value": _value(values, run.name)}
        for group in compared
        for key, values in group.settings.items()
        for run in group.runs
    ]
    tables = {
        "runs": run_table(comparison).frame(),
        "fronts": front_table(comparison),
        "differences": difference_table([one for group in compared for one in group.differences]).frame(),
        "settings": pd.DataFrame(settings),
    }
    return {name: table for name, table in tables.items() if not table.empty}


def summary(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values, for JSON."""
    runs = iter(_records(run_table(comparison).frame()))
    return {
        "groups": [
            {
                "data": group.runs[0].data_set,
                "manifest_hash": group.runs[0].manifest_hash,
                "fold": group.runs[0].fold,
                "runs": [next(runs) for _ in group.runs],
                "reference": None if group.reference is None else group.reference._asdict(),
                "differences": _records(difference_table(group.differences).frame()),
                "settings": group.settings if group.is_compared else {},
                "notes": group.notes,
            }
            for group in comparison.groups
        ],
        "reasons": comparison.reasons,
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, None where missing."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15, force_ascii=False))
    return rows
