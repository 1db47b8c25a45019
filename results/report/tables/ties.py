"""Report content about paired differences: groups of systems that validation does not tell apart, and all pairs."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

from data_prep.wording import plural
from results.candidates.differences import Difference, difference_to
from results.candidates.seeds import seed_groups
from results.ensembles.calibration import locations_of
from results.report.data import RunData, drawn_units
from results.report.tables.table import Column, Table
from results.report.text import Content, grid

N_IN_MATRIX = 12
"""Most systems of which the page has all pairs."""


class TiedSystem(NamedTuple):
    """A system of a group."""

    group: int
    """Number of the group, from 1."""
    system: str
    difference: Difference | None
    """To the group's first system; None for that system itself."""


def tie_table(data: RunData) -> Table[TiedSystem]:
    """Return candidates and ensembles in groups that validation does not tell apart (results.candidates.ties).

    No rows if there are fewer than two systems. An ensemble of one candidate is no system of its own.
    """
    rows = [
        TiedSystem(number, *row)
        for number, group in enumerate(data.ties if len(data.validation) > 1 else [], 1)
        for row in [(group.best, None), *((one.system, one) for one in group.others)]
    ]

    def accuracy(row: TiedSystem) -> str:
        """Return the difference in points, with its interval."""
        return "–" if row.difference is None else points(row.difference)

    def loss(row: TiedSystem) -> str:
        """Return the difference in nats, with its interval."""
        return "–" if row.difference is None else nats(row.difference)

    def of(row: TiedSystem, name: str, bound: int | None = None) -> float | None:
        """Return a value of the difference, or a bound of its interval."""
        if row.difference is None:
            return None
        value = getattr(row.difference, name)
        return float(value if bound is None else value[bound])

    return Table(
        rows,
        (
            Column("group", lambda row: row.group, "count"),
            Column("system", lambda row: row.system, kind="text"),
            Column("log_loss", lambda row: of(row, "loss"), "nats", "log loss minus the group's first", format=loss),
            Column("log_loss_low", lambda row: of(row, "loss_interval", 0), "nats"),
            Column("log_loss_high", lambda row: of(row, "loss_interval", 1), "nats"),
            Column(
                "macro_accuracy",
                lambda row: of(row, "accuracy"),
                "share",
                "accuracy minus the group's first, points",
                format=accuracy,
            ),
            Column("macro_accuracy_low", lambda row: of(row, "accuracy_interval", 0), "share"),
            Column("macro_accuracy_high", lambda row: of(row, "accuracy_interval", 1), "share"),
        ),
        page=("group", "system", "log_loss", "macro_accuracy"),
        header="system",
    )


def ties(data: RunData) -> Content | None:
    """Return a sentence about the first group and the table of all, None if there are fewer than two systems."""
    table = tie_table(data)
    if not table.rows:
        return None
    first = [row.system for row in table.rows if row.group == 1]
    n_others = len(table.rows) - len(first)
    if len(first) == 1:
        text = f"{first[0]} has a significantly lower log loss than {plural(n_others, 'other system')}."
    elif n_others:
        text = (
            f"{' and '.join(first[1:])} cannot be distinguished from {first[0]} by log loss; "
            f"{plural(n_others, 'system')} {'is' if n_others == 1 else 'are'} significantly worse."
        )
    else:
        text = f"None of the other {plural(len(first) - 1, 'system')} can be distinguished from {first[0]} by log loss."
    return {"text": text, "resampled": _resampled(data), "table": table.content(), "matrix": difference_matrix(data)}


def _resampled(data: RunData) -> str:
    """Return what the intervals resample, and how many trainings a system has."""
    predictions = next(iter(data.compared.values()))
    n_locations, n_clips = len(set(locations_of(predictions))), len(predictions.clips)
    n_seeds = {len(group.members) for group in seed_groups(data.candidates)}
    seeds = plural(min(n_seeds), "seed") if len(n_seeds) == 1 else f"{min(n_seeds)} to {max(n_seeds)} seeds"
    units = {"locations": "", "clips": " (no location is known: each clip is one)"}
    known = units.get(drawn_units(predictions), " (a clip without a known one is a location)")
    resampled = f"{plural(n_locations, 'location')}{known} with {plural(n_clips, f'{data.scored_on} clip')}"
    return (
        f"Intervals resample {resampled}. Each network was trained with {seeds}; the variation between seeds is not "
        "included."
    )


def validation_differences(data: RunData) -> list[Difference]:
    """Return the paired difference of every two compared systems, both calibrated, in the order of their ranks.

    The system is the one ranked lower, so that a difference above 0 means that the reference is better.
    """
    pairs = combinations(data.compared.items(), 2)
    found = (difference_to(second, first) for first, second in pairs)
    return [one for one in found if one is not None]


def difference_matrix(data: RunData) -> Content | None:
    """Return a table of log loss differences, row minus column, with a `=` before those that contain 0.

    None for fewer than two systems, and for more than `N_IN_MATRIX`.
    """
    names = list(data.compared)
    if not 2 <= len(names) <= N_IN_MATRIX:
        return None
    cells = {}
    for one in validation_differences(data):
        low, high = one.loss_interval
        mark = "= " if low <= 0.0 <= high else ""
        cells[one.system, one.reference] = f"{mark}{one.loss:+.3f} ({low:+.3f} to {high:+.3f})"
        cells[one.reference, one.system] = f"{mark}{-one.loss:+.3f} ({-high:+.3f} to {-low:+.3f})"
    rows = [[row, *(cells.get((row, column), "–") for column in names)] for row in names]
    return grid([("log loss, row minus column", "text"), *((name, "") for name in names)], rows)


def points(difference: Difference) -> str:
    """Return a difference of accuracies in points, with its interval."""
    value, low, high = (100 * share for share in (difference.accuracy, *difference.accuracy_interval))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def nats(difference: Difference) -> str:
    """Return a difference of log losses in nats, with its interval."""
    low, high = difference.loss_interval
    return f"{difference.loss:+.3f} ({low:+.3f} to {high:+.3f})"


def difference_table(differences: list[Difference]) -> Table[Difference]:
    """Return one row per pair of systems; on the page, each difference has its interval beside it."""

    scores = [f"{score}{end}" for score in ("macro_accuracy", "log_loss") for end in ("", "_low", "_high")]
    return Table(
        differences,
        (
            Column("system", lambda one: one.system, kind="text"),
            Column("reference", lambda one: one.reference, heading="minus", short="minus", kind="text"),
            Column("n_clips", lambda one: one.n_clips, "count", "clips", "clips"),
            Column("macro_accuracy", lambda one: one.accuracy, "share", "accuracy, points", "accuracy", format=points),
            Column("macro_accuracy_low", lambda one: one.accuracy_interval[0], "share", short="95 % low"),
            Column("macro_accuracy_high", lambda one: one.accuracy_interval[1], "share", short="high"),
            Column("log_loss", lambda one: one.loss, "nats", short="loss", format=nats),
            Column("log_loss_low", lambda one: one.loss_interval[0], "nats", short="95 % low"),
            Column("log_loss_high", lambda one: one.loss_interval[1], "nats", short="high"),
        ),
        page=("system", "reference", "n_clips", "macro_accuracy", "log_loss"),
        terminal=("system", "reference", *scores),
    )
