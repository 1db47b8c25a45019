"""Columns that several tables have: scores by split, their calibration, intervals, and a limited quantity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asc_models.rules import QUANTITY_TITLES, Quantity
from results.candidates.seeds import SCORES
from results.report.data import RunData
from results.report.tables.table import Column, RowT, Unit
from results.report.text import interval, number

Splits = Callable[[RowT], Mapping[str, Any]]
"""Returns {split: scores} of a row."""


def score_columns(splits: Splits[RowT], scored_on: str = "validation") -> list[Column[RowT]]:
    """Return the columns of validation and test scores.

    Args:
        splits: returns {split: scores} of a row.
        scored_on: what validation scores are called (`RunData.scored_on`).
    """

    def column(split: str, score: str) -> Column[RowT]:
        """Return the column of one score; None if missing."""
        unit: Unit = "share" if score == "macro_accuracy" else "nats"
        of = split if split != "validation" else "val" if scored_on == split else "oof"
        short = f"{of} {'acc' if score == 'macro_accuracy' else 'loss'}"
        heading = score_heading(split, score, scored_on)
        return Column(f"{split}_{score}", lambda row: splits(row).get(split, {}).get(score), unit, heading, short)

    return [column(split, score) for split, score in SCORES]


def score_heading(split: str, score: str, scored_on: str) -> str:
    """Return the heading of a score, `macro_accuracy` or `log_loss`."""
    return f"{scored_on if split == 'validation' else split} {score.removeprefix('macro_').replace('_', ' ')}"


def calibrated_columns(
    data: RunData,
    log_loss: Callable[[RowT], float | None],
    temperature: Callable[[RowT], float | None],
    heading: str = "log loss, calibrated",
) -> list[Column[RowT]]:
    """Return the columns of the calibrated log loss on validation and of the temperature behind it."""
    return [
        Column(
            "validation_calibrated_log_loss",
            log_loss,
            "nats",
            f"{data.scored_on} {heading}",
            "cal loss",
        ),
        Column("temperature", temperature, format=lambda row: number(temperature(row), 2)),
    ]


def calibration_columns(splits: Splits[RowT]) -> list[Column[RowT]]:
    """Return the columns of Brier score and expected calibration error; None in runs of older versions."""

    def column(split: str, score: str) -> Column[RowT]:
        """Return the column of one score."""
        return Column(f"{split}_{score}", lambda row: splits(row).get(split, {}).get(score))

    return [column(split, score) for split in ("validation", "test") for score in ("brier_score", "calibration_error")]


def interval_columns(
    bounds: Callable[[RowT], tuple[float, float]], prefix: str = "test_", heading: str = "95 % interval"
) -> list[Column[RowT]]:
    """Return the columns `low` and `high` of an accuracy's interval; the page has both in the first."""
    return [
        Column(f"{prefix}low", lambda row: bounds(row)[0], "share", heading, format=lambda row: interval(*bounds(row))),
        Column(f"{prefix}high", lambda row: bounds(row)[1], "share"),
    ]


def quantity_column(
    quantity: Quantity, value: Callable[[RowT], int | None], format: Callable[[RowT], str] | None = None
) -> Column[RowT]:
    """Return the column of a quantity that rules may limit."""
    return Column(quantity, value, quantity_unit(quantity), QUANTITY_TITLES[quantity], format=format)


def quantity_unit(quantity: Quantity) -> Unit:
    """Return the unit of a quantity that rules may limit."""
    return "bytes" if quantity.endswith("bytes") else "count"
