"""Tables of a cross-validation."""

from __future__ import annotations

from results.crossval.scores import Crossval, FoldScore, SystemScores
from results.report.tables.table import Column, Table
from results.report.text import interval, number, percent


def system_table(scores: Crossval) -> Table[SystemScores]:
    """Return one row per system, lowest log loss first."""
    folds = sorted({fold for one in scores.systems for fold in one.folds})

    def accuracy(one: SystemScores) -> str:
        """Return the mean with its spread over seeds."""
        sd = one.accuracy.sd
        return percent(one.accuracy.mean) if sd is None else f"{percent(one.accuracy.mean)} ± {100 * sd:.1f}"

    def of_fold(fold: int) -> Column[SystemScores]:
        """Return the column of the accuracy on a fold, mean over seeds."""
        return Column(f"fold_{fold}", lambda one: one.by_fold().get(fold), "share")

    return Table(
        scores.systems,
        (
            Column("system", lambda one: one.name, kind="text"),
            Column("n_folds", lambda one: len(one.folds), "count", "folds", "folds"),
            Column("n_seeds", lambda one: len(one.seeds), "count", "seeds", "seeds"),
            Column("n_clips", lambda one: len(one.clips), "count", "clips", "clips"),
            Column(
                "macro_accuracy",
                lambda one: one.accuracy.mean,
                "share",
                "accuracy ± over seeds",
                "accuracy",
                format=accuracy,
            ),
            Column("macro_accuracy_sd", lambda one: one.accuracy.sd, "share", "sd over seeds", "± seeds"),
            Column(
                "macro_accuracy_low",
                lambda one: one.interval[0],
                "share",
                "95 % interval",
                "95 % low",
                format=lambda one: interval(*one.interval),
            ),
            Column("macro_accuracy_high", lambda one: one.interval[1], "share", "95 % high", "high"),
            Column("log_loss", lambda one: one.loss.mean, "nats", short="loss"),
            Column("log_loss_sd", lambda one: one.loss.sd, "nats"),
            Column(
                "brier_score",
                lambda one: one.brier.mean,
                heading="Brier score",
                format=lambda one: number(one.brier.mean),
            ),
            Column(
                "calibration_error",
                lambda one: one.calibration.mean,
                heading="ECE",
                format=lambda one: percent(one.calibration.mean),
            ),
            Column("weight_bytes", lambda one: one.quantity("weight_bytes"), "bytes"),
            Column("nonzero_weight_bytes", lambda one: one.quantity("nonzero_weight_bytes"), "bytes"),
            Column("file_bytes", lambda one: one.quantity("file_bytes"), "bytes"),
            Column("macs", lambda one: one.quantity("macs"), "count"),
            *map(of_fold, folds),
        ),
        page=(
            *("system", "n_folds", "n_seeds", "n_clips", "macro_accuracy", "macro_accuracy_low", "log_loss"),
            *("brier_score", "calibration_error", "weight_bytes", "file_bytes", *(f"fold_{fold}" for fold in folds)),
        ),
        terminal=(
            *("system", "n_seeds", "macro_accuracy", "macro_accuracy_sd", "macro_accuracy_low", "macro_accuracy_high"),
            *("log_loss", "weight_bytes"),
        ),
    )


def fold_table(scores: Crossval) -> Table[FoldScore]:
    """Return one row per system, fold and seed."""

    def size(name: str) -> Column[FoldScore]:
        """Return the column of a size of the exported file."""
        return Column(name, lambda one: getattr(one.metrics, name) if one.metrics else None, "bytes")

    return Table(
        [one for system in scores.systems for one in system.scores],
        (
            Column("system", lambda one: one.system, kind="text"),
            Column("fold", lambda one: one.fold, "count"),
            Column("seed", lambda one: one.seed, "count"),
            Column("n_clips", lambda one: len(one.predictions.clips), "count", "clips"),
            Column("macro_accuracy", lambda one: one.accuracy, "share"),
            Column("log_loss", lambda one: one.loss, "nats"),
            Column("brier_score", lambda one: one.brier, heading="Brier score", format=lambda one: number(one.brier)),
            Column(
                "calibration_error",
                lambda one: one.calibration,
                heading="ECE",
                format=lambda one: percent(one.calibration),
            ),
            size("weight_bytes"),
            size("nonzero_weight_bytes"),
            size("file_bytes"),
        ),
        page=(
            *("system", "fold", "seed", "n_clips", "macro_accuracy", "log_loss", "brier_score", "calibration_error"),
            *("weight_bytes", "nonzero_weight_bytes", "file_bytes"),
        ),
    )
