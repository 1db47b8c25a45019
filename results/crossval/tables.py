"""Tables of a cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from results.candidates.differences import Difference
from results.crossval.ensembles import CrossvalEnsemble, ensembles
from results.crossval.scores import BEST_ON_TEST, SIZES, Crossval, FoldScore, SystemScores
from results.report.tables.table import Column, Table, Unit
from results.report.tables.ties import difference_table, nats, points
from results.report.text import interval, number, percent

RowT = TypeVar("RowT")
ScoresT = TypeVar("ScoresT", FoldScore, SystemScores)

CALIBRATED = "calibrated log loss"
"""Heading of the log loss of `SystemScores.calibrated`."""


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
            *_score_columns(_itself),
            *map(_quantity, SIZES),
            Column("macs", lambda one: one.quantity("macs"), "count"),
            *(_of_fold(fold, _itself) for fold in folds),
            *best,
        ),
        page=(
            *("system", "n_folds", "n_seeds", "n_clips", "macro_accuracy", "macro_accuracy_low", "log_loss"),
            *("calibrated_loss", "brier_score", "calibration_error", "weight_bytes", "file_bytes"),
            *(*(f"fold_{fold}" for fold in folds), *(column.name for column in best)),
        ),
        terminal=(
            *("system", "n_seeds", "macro_accuracy", "macro_accuracy_sd", "macro_accuracy_low", "macro_accuracy_high"),
            *("log_loss", "calibrated_loss", "weight_bytes", *(column.name for column in best)),
        ),
    )


def _itself(system: SystemScores) -> SystemScores:
    return system


def _score_columns(of: Callable[[RowT], SystemScores]) -> list[Column[RowT]]:
    """Return the columns of scores over folds and seeds; `of` returns those of a row."""

    def accuracy(row: RowT) -> str:
        """Return the mean with its spread over seeds."""
        spread = of(row).accuracy
        return percent(spread.mean) if spread.sd is None else f"{percent(spread.mean)} ± {100 * spread.sd:.1f}"

    def bounds(row: RowT) -> str:
        """Return both bounds of the interval."""
        return interval(*of(row).interval)

    return [
        Column(
            "macro_accuracy",
            lambda row: of(row).accuracy.mean,
            "share",
            "accuracy ± over seeds",
            "accuracy",
            format=accuracy,
        ),
        Column("macro_accuracy_sd", lambda row: of(row).accuracy.sd, "share", "sd over seeds", "± seeds"),
        Column(
            "macro_accuracy_low", lambda row: of(row).interval[0], "share", "95 % interval", "95 % low", format=bounds
        ),
        Column("macro_accuracy_high", lambda row: of(row).interval[1], "share", "95 % high", "high"),
        Column("log_loss", lambda row: of(row).loss.mean, "nats", short="loss"),
        Column("log_loss_sd", lambda row: of(row).loss.sd, "nats"),
        Column("calibrated_loss", lambda row: of(row).calibrated.loss.mean, "nats", CALIBRATED, "calibrated"),
        _number("brier_score", "Brier score", lambda row: of(row).brier.mean),
        Column("calibration_error", lambda row: of(row).calibration.mean, "share", "ECE"),
    ]


def _number(name: str, heading: str, value: Callable[[RowT], float]) -> Column[RowT]:
    """Return the column of a score without a unit."""
    return Column(name, value, heading=heading, format=lambda row: number(value(row)))


def _quantity(name: str) -> Column[SystemScores]:
    return Column(name, lambda one: one.quantity(name), "bytes")


def _of_fold(fold: int, of: Callable[[RowT], SystemScores]) -> Column[RowT]:
    """Return the column of the accuracy on a fold, mean over seeds."""
    return Column(f"fold_{fold}", lambda row: of(row).by_fold().get(fold), "share")


def _best_on_test(rows: list[ScoresT]) -> list[Column[ScoresT]]:
    """Return the column of the epoch that is best on test, none if no row has one; its title says that it is chosen."""
    if all(row.best_on_test is None for row in rows):
        return []
    return [Column(BEST_ON_TEST, lambda row: row.best_on_test, "share", "best epoch on test: chosen there", "best*")]


def ensemble_table(scores: Crossval) -> Table[CrossvalEnsemble]:
    """Return one row per ensemble (results.crossval.ensembles); no rows for a single training of a single system."""
    rows = ensembles(scores.systems)
    folds = sorted({fold for row in rows for fold in row.scores.folds})

    def size(name: str, unit: Unit = "bytes") -> Column[CrossvalEnsemble]:
        """Return the column of a size of all members."""
        return Column(name, lambda row: row.sizes[name], unit)

    accuracy, *others = [column for column in _score_columns(_of_ensemble) if not column.name.endswith("_sd")]
    score_columns = [replace(accuracy, heading="accuracy"), *others]  # a single ensemble has no spread
    return Table(
        rows,
        (
            Column("system", lambda row: row.system, kind="text"),
            Column("n_members", lambda row: row.n_members, "count", "networks", "networks"),
            *score_columns,
            Column(
                "gain",
                lambda row: row.difference.accuracy,
                "share",
                "accuracy minus single, points",
                "minus single",
                format=lambda row: points(row.difference),
            ),
            Column("gain_low", lambda row: row.difference.accuracy_interval[0], "share", short="95 % low"),
            Column("gain_high", lambda row: row.difference.accuracy_interval[1], "share", short="high"),
            Column(
                "loss_difference",
                lambda row: row.difference.loss,
                "nats",
                "log loss minus single",
                "loss minus single",
                format=lambda row: nats(row.difference),
            ),
            Column("loss_difference_low", lambda row: row.difference.loss_interval[0], "nats"),
            Column("loss_difference_high", lambda row: row.difference.loss_interval[1], "nats"),
            *map(size, SIZES),
            size("macs", "count"),
            *(_of_fold(fold, _of_ensemble) for fold in folds),
        ),
        page=(
            *("system", "n_members", "macro_accuracy", "macro_accuracy_low", "gain", "log_loss", "loss_difference"),
            *("calibrated_loss", "weight_bytes", "file_bytes", *(f"fold_{fold}" for fold in folds)),
        ),
        terminal=(
            *("system", "n_members", "macro_accuracy", "macro_accuracy_low", "macro_accuracy_high", "gain", "log_loss"),
            *("calibrated_loss", "loss_difference", "weight_bytes"),
        ),
    )


def paired_table(scores: Crossval) -> Table[Difference]:
    """Return one row per system but the first: its difference to the first, with that of the calibrated log losses."""
    table = difference_table(scores.differences())
    calibrated = {one.system: one for one in scores.calibrated_differences()}

    def loss(row: Difference) -> str:
        """Return the difference in nats, with its interval."""
        return nats(calibrated[row.system])

    name = "calibrated_loss"
    columns: tuple[Column[Difference], ...] = (
        Column(name, lambda row: calibrated[row.system].loss, "nats", CALIBRATED, "calibrated", format=loss),
        Column(f"{name}_low", lambda row: calibrated[row.system].loss_interval[0], "nats", short="95 % low"),
        Column(f"{name}_high", lambda row: calibrated[row.system].loss_interval[1], "nats", short="high"),
    )
    return replace(
        table, columns=(*table.columns, *columns), page=(*table.page, name), terminal=(*table.terminal, name)
    )


def _of_ensemble(row: CrossvalEnsemble) -> SystemScores:
    return row.scores


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
