"""The retrained candidates: scores, sizes, exported file and training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asc_models.rules import QUANTITY_NAMES, QUANTITY_TITLES, Quantity
from results.candidates.candidates import Candidate
from results.candidates.limits import Limits
from results.ensembles.ensemble import Ensemble
from results.report.data import RunData
from results.report.tables.scores import (
    calibrated_columns,
    calibration_columns,
    interval_columns,
    quantity_unit,
    score_columns,
)
from results.report.tables.table import WRITTEN, Column, Table, Unit
from results.report.text import count


def candidate_table(data: RunData) -> Table[Candidate]:
    """Return the retrained candidates, lowest calibrated validation log loss first.

    `test_low` and `test_high` are the bounds of the 95 % interval of test macro accuracy.
    """
    limited = data.limit.quantity
    scores = score_columns(_splits, data.scored_on)
    several_modes = len({candidate.metrics.mode for candidate in data.candidates}) > 1  # else shown in the headline
    return Table(
        data.candidates,
        (
            Column("candidate", lambda candidate: candidate.name),
            Column("selected", lambda candidate: candidate is data.selected),
            *calibrated_columns(
                data,
                lambda candidate: data.calibrated_loss(candidate.name, "validation"),
                lambda candidate: _temperature(data, candidate.name),
                "log loss",
            ),
            *scores[:3],
            *interval_columns(lambda candidate: data.interval(candidate.name)),
            *scores[3:],
            Column(
                "test_calibrated_log_loss",
                lambda candidate: data.calibrated_loss(candidate.name, "test"),
                "nats",
                "test log loss",
            ),
            *calibration_columns(_splits),
            *_size_columns(data.limits),
            *_file_columns(data.limits),
            *(_general_columns() if any(candidate.metrics.general for candidate in data.candidates) else []),
            *_training_columns(data.config.get("retrain") or {}),
        ),
        page=(
            *("candidate", "validation_calibrated_log_loss", "validation_macro_accuracy", "test_calibrated_log_loss"),
            *("test_macro_accuracy", "test_low", limited, "n_params", "macs", "best_epoch"),
            *(["mode"] if several_modes else []),
        ),
        terminal=(
            *("candidate", limited, "file_bytes", "n_params", "validation_calibrated_log_loss"),
            *(score.name for score in scores),
        ),
    )


def ensemble_values(data: RunData, ensemble: Ensemble) -> dict[str, Any]:
    """Return {column of `candidate_table`: value} for the columns that apply to an ensemble."""
    scores: list[Column[Ensemble]] = score_columns(lambda ensemble: ensemble.metrics)
    name, title = ensemble.name, f"{ensemble.name} ({len(ensemble.members)})"
    if ensemble.is_single and not ensemble.outside:
        name = next(iter(ensemble.members))
        title = f"{name} with T {ensemble.temperature:.2f}"
    return {
        "candidate": title,
        data.limit.quantity: ensemble.total_bytes,
        "validation_calibrated_log_loss": data.calibrated_loss(name, "validation"),
        **{column.name: column.value(ensemble) for column in scores},
    }


def _splits(candidate: Candidate) -> Mapping[str, Any]:
    return candidate.metrics.splits


def _temperature(data: RunData, name: str) -> float | None:
    found = data.calibrations.get(name)
    return None if found is None else found.temperature


def _metric(name: str, unit: Unit = "", **options: Any) -> Column[Candidate]:
    """Return the column of a field of the metrics."""
    return Column(name, lambda candidate: getattr(candidate.metrics, name), unit, **options)


def _size_columns(limits: Limits) -> list[Column[Candidate]]:
    """Return the columns of the quantities that rules may limit; the page marks values over their limit."""

    def size(name: Quantity, write: Callable[[Any], str] | None = None, **options: Any) -> Column[Candidate]:
        """Return the column of a quantity."""
        unit = quantity_unit(name)

        def written(candidate: Candidate) -> str:
            """Return the value, marked if over its limit."""
            text = (write or WRITTEN[unit])(getattr(candidate.metrics, name))
            return text + (" (over)" if name in limits.verdict([candidate.metrics]).over else "")

        titles = {"heading": QUANTITY_TITLES[name], "short": QUANTITY_NAMES[name]}
        return _metric(name, unit, **{**titles, "format": written, **options})

    return [
        Column("within_limit", lambda candidate: limits.verdict([candidate.metrics]).feasible),
        size("nonzero_weight_bytes"),
        size("weight_bytes"),
        _metric("quantization_bytes", "bytes"),
        size("file_bytes"),
        size("n_params", short="params"),
        size("macs", lambda macs: f"{macs / 1e6:,.1f}", heading="M MACs"),
        size("peak_activation_bytes", short="peak act.", in_csv=False),
    ]


def _file_columns(limits: Limits) -> list[Column[Candidate]]:
    """Return the columns of the exported file: its mode, and how it compares with the network in floats."""

    def mode(candidate: Candidate) -> str:
        """Return the quantization mode, marked if the rules do not allow it."""
        return candidate.metrics.mode + (" (refused)" if limits.verdict([candidate.metrics]).refused else "")

    return [
        _metric("mode", format=mode, kind="text"),
        _metric("agreement", "share"),
        *(_float_column(split, score) for split in ("validation", "test") for score in ("macro_accuracy", "log_loss")),
        _metric("ms_per_clip", heading="ms per clip", format=_milliseconds),
    ]


def _milliseconds(candidate: Candidate) -> str:
    return "–" if (ms := candidate.metrics.ms_per_clip) is None else f"{ms:.1f}"


def _float_column(split: str, score: str) -> Column[Candidate]:
    """Return the column of a score of the network before its export."""
    return Column(
        f"float_{split}_{score}",
        lambda candidate: candidate.metrics.float_scores.get(split, {}).get(score),
        "share" if score == "macro_accuracy" else "nats",
        f"float32 {score.removeprefix('macro_').replace('_', ' ')}, {split}",
    )


def _general_columns() -> list[Column[Candidate]]:
    """Return the columns of the general network alone, if devices have networks."""

    def of(split: str, score: str) -> Column[Candidate]:
        """Return the column of a score."""
        return Column(
            f"general_{split}_{score}",
            lambda candidate: candidate.metrics.general.get(split, {}).get(score),
            "share" if score == "macro_accuracy" else "nats",
        )

    return [
        Column("devices", lambda candidate: " ".join(candidate.metrics.devices), kind="text"),
        *(of(split, score) for split in ("validation", "test") for score in ("macro_accuracy", "log_loss")),
    ]


def _training_columns(retrain: Mapping[str, Any]) -> list[Column[Candidate]]:
    """Return the columns of the training.

    Args:
        retrain: this section of the configuration.
    """
    kept = "epoch kept" if retrain.get("all_clips") else "best epoch"

    def epoch(candidate: Candidate) -> str:
        """Return the epoch that was kept, and of how many."""
        return f"{count(candidate.metrics.best_epoch)} of {candidate.metrics.epochs:,}"

    return [
        _metric("best_epoch", heading=kept, short="best epoch", format=epoch),
        _metric("epochs", "count"),
        _metric("seed"),
        _metric("trial_id", heading="trial"),
        Column("trained_on", lambda candidate: " + ".join(candidate.metrics.trained_on)),
    ]
