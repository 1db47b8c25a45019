"""Tables of a cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from results.crossval.scores import BEST_ON_TEST, Crossval, FoldScore, SystemScores
from results.report.tables.table import Column, Table
from results.report.text import interval, number, percent

ScoresT = TypeVar("ScoresT", FoldScore, SystemScores)
SIZES = ("weight_bytes", "nonzero_weight_bytes", "file_bytes")


def system_table(scores: Crossval) -> Table[SystemScores]:
    """Return one row per system, lowest log loss first."""
    folds = sorted({fold for one in scores.systems for fold in one.folds})
    best = _best_on_test(list(scores.systems))
    return Table(
        scores.systems,
        (
            Column("system", lambda one: one.name, kind="text"),
            Column("n_folds", lambda one: len(one.folds), "count", "folds", "folds"),
            Column("n_seeds", lambda one: len(one.seeds), "count", "seeds", "seeds"),
            Column("n_clips", lambda one: len(one.clips), "count", "clips", "clips"),
            *_score_columns(),
            *map(_quantity, SIZES),
            Column("macs", lambda one: one.quantity("macs"), "count"),
            *map(_of_fold, folds),
            *best,
        ),
        page=(
            *("system", "n_folds", "n_seeds", "n_clips", "macro_accuracy", "macro_accuracy_low", "log_loss"),
            *("brier_score", "calibration_error", "weight_bytes", "file_bytes", *(f"fold_{fold}" for fold in folds)),
            *(column.name for column in best),
        ),
        terminal=(
            *("system", "n_seeds", "macro_accuracy", "macro_accuracy_sd", "macro_accuracy_low", "macro_accuracy_high"),
            *("log_loss", "weight_bytes", *(column.name for column in best)),
        ),
    )


def _score_columns() -> list[Column[SystemScores]]:
    """Return the columns of scores over folds and seeds."""

    def accuracy(one: SystemScores) -> str:
        """Return the mean with its spread over seeds."""
        sd = one.accuracy.sd
        return percent(one.accuracy.mean) if sd is None else f"{percent(one.accuracy.mean)} ± {100 * sd:.1f}"

    def bounds(one: SystemScores) -> str:
        """Return both bounds of the interval."""
        return interval(*one.interval)

    return [
        Column(
            "macro_accuracy",
            lambda one: one.accuracy.mean,
            "share",
            "accuracy ± over seeds",
            "accuracy",
            format=accuracy,
        ),
        Column("macro_accuracy_sd", lambda one: one.accuracy.sd, "share", "sd over seeds", "± seeds"),
        Column("macro_accuracy_low", lambda one: one.interval[0], "share", "95 % interval", "95 % low", format=bounds),
        Column("macro_accuracy_high", lambda one: one.interval[1], "share", "95 % high", "high"),
        Column("log_loss", lambda one: one.loss.mean, "nats", short="loss"),
        Column("log_loss_sd", lambda one: one.loss.sd, "nats"),
        _number("brier_score", "Brier score", lambda one: one.brier.mean),
        Column("calibration_error", lambda one: one.calibration.mean, "share", "ECE"),
    ]


def _number(name: str, heading: str, value: Callable[[ScoresT], float]) -> Column[ScoresT]:
    """Return the column of a score without a unit."""
    return Column(name, value, heading=heading, format=lambda row: number(value(row)))


def _quantity(name: str) -> Column[SystemScores]:
    return Column(name, lambda one: one.quantity(name), "bytes")


def _of_fold(fold: int) -> Column[SystemScores]:
    """Return the column of the accuracy on a fold, mean over seeds."""
    return Column(f"fold_{fold}", lambda one: one.by_fold().get(fold), "share")


def _best_on_test(rows: list[ScoresT]) -> list[Column[ScoresT]]:
    """Return the column of the epoch that is best on test, none if no row has one; its title says that it is chosen."""
    if all(row.best_on_test is None for row in rows):
        return []
    return [Column(BEST_ON_TEST, lambda row: row.best_on_test, "share", "best epoch on test: chosen there", "best*")]


def fold_table(scores: Crossval) -> Table[FoldScore]:
    """Return one row per system, fold and seed."""

    def size(name: str) -> Column[FoldScore]:
        """Return the column of a size of the exported file."""
        return Column(name, lambda one: getattr(one.metrics, name) if one.metrics else None, "bytes")

    rows = [one for system in scores.systems for one in system.scores]
    best = _best_on_test(rows)
    return Table(
        rows,
        (
            Column("system", lambda one: one.system, kind="text"),
            Column("fold", lambda one: one.fold, "count"),
            Column("seed", lambda one: one.seed, "count"),
            Column("n_clips", lambda one: len(one.predictions.clips), "count", "clips"),
            Column("macro_accuracy", lambda one: one.accuracy, "share"),
            Column("log_loss", lambda one: one.loss, "nats"),
            _number("brier_score", "Brier score", lambda one: one.brier),
            Column("calibration_error", lambda one: one.calibration, "share", "ECE"),
            *map(size, SIZES),
            *best,
        ),
        page=(
            *("system", "fold", "seed", "n_clips", "macro_accuracy", "log_loss", "brier_score", "calibration_error"),
            *(*SIZES, *(column.name for column in best)),
        ),
    )
