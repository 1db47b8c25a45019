"""The ensembles: their members, and the methods that were tried for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asc_models.rules import Quantity
from results.ensembles.ensemble import Ensemble
from results.report.data import RunData
from results.report.tables.scores import calibration_columns, quantity_column, quantity_unit, score_columns
from results.report.tables.table import WRITTEN, Column, Table
from results.report.text import percent

METHOD_NAMES = {
    "single": "best single network",
    "greedy": "greedy",
    "per_byte": "greedy, gain per byte",
    "exact": "all small sets",
}
"""{method of `results.ensembles.members`: its name}."""


def member_table(data: RunData, ensembles: Sequence[Ensemble]) -> Table[tuple[Ensemble, str]]:
    """Return the members of ensembles; for a single ensemble, with a row of totals."""
    limited = data.limit.quantity
    sizes = {candidate.name: data.size(candidate) for candidate in data.candidates}
    total = {"member": "together", "weight": percent(1.0)}
    if len(ensembles) == 1:
        total[limited] = WRITTEN[quantity_unit(limited)](ensembles[0].total_bytes)
    return Table(
        [(ensemble, member) for ensemble in ensembles for member in ensemble.members],
        (
            Column("ensemble", lambda row: row[0].name),
            Column("member", lambda row: row[1]),
            Column("weight", lambda row: row[0].members[row[1]], "share"),
            quantity_column(limited, lambda row: sizes.get(row[1], row[0].outside.get(row[1]))),
            Column("temperature", lambda row: row[0].temperature),
            *score_columns(lambda row: row[0].metrics, data.scored_on),
            *calibration_columns(lambda row: row[0].metrics),
        ),
        page=("member", "weight", limited),
        total=total if len(ensembles) == 1 else {},
    )


def method_table(ensembles: Sequence[Ensemble], limited: Quantity) -> Table[tuple[Ensemble, str]]:
    """Return the methods that were tried for each ensemble; members, size and gain only of the one that was used.

    Args:
        ensembles: of a run.
        limited: displayed limited quantity.
    """

    def of(value: Callable[[Ensemble], Any]) -> Callable[[tuple[Ensemble, str]], Any]:
        """Return a function from a row to a value of the ensemble, None for a method that was not used."""
        return lambda row: value(row[0]) if row[1] == row[0].method else None

    def gain(index: int) -> Callable[[tuple[Ensemble, str]], float | None]:
        """Return a function from a row to the gain or a bound of its interval."""
        return of(lambda ensemble: None if ensemble.gain is None else ensemble.gain[index])

    def written(row: tuple[Ensemble, str]) -> str:
        """Return the gain with its interval."""
        found = of(lambda ensemble: ensemble.gain)(row)
        return "–" if found is None else f"{found[0]:+.3f} ({found[1]:+.3f} to {found[2]:+.3f})"

    joint = len(ensembles) == 1 and bool(ensembles[0].outside)
    reference = "the run's ensemble" if joint else "the best single network"
    return Table(
        [(one, method) for one in ensembles for method in METHOD_NAMES if method in one.held_out],
        (
            Column("ensemble", lambda row: row[0].name),
            Column("method", lambda row: METHOD_NAMES[row[1]], kind="text"),
            Column("held_out_log_loss", lambda row: row[0].held_out[row[1]], "nats", "log loss, held out"),
            Column("n_members", of(lambda ensemble: len(ensemble.members)), "count", "members"),
            quantity_column(limited, of(lambda ensemble: ensemble.total_bytes)),
            Column("gain", gain(0), "nats", f"log loss minus that of {reference}", format=written),
            Column("gain_low", gain(1), "nats"),
            Column("gain_high", gain(2), "nats"),
        ),
        page=("method", "held_out_log_loss", "n_members", limited, "gain"),
    )
