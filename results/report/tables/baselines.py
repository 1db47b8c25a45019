"""Report content about baselines: scores next to the selected system's, and paired differences to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

from asc_models.metrics import log_loss
from results.baselines.baselines import differences_to, shortfalls
from results.candidates.candidates import Candidate
from results.candidates.differences import Difference, difference_to
from results.candidates.predictions import Predictions
from results.ensembles.calibration import calibrated
from results.ensembles.ensemble import Ensemble
from results.report.data import RunData
from results.report.tables.scores import calibration_columns, score_columns
from results.report.tables.table import Column, Table
from results.report.text import Content

COMPARED = ("validation", "test")


@dataclass(frozen=True, eq=False)
class ComparedSystem:
    """The selected candidate, the ensemble or a baseline."""

    name: str
    splits: Mapping[str, Any]
    """{split: scores}."""
    calibrated: Mapping[str, Predictions]
    """{split: predictions} as they are ranked and packed (`results.ensembles.calibration.calibrated`), if stored."""
    weight_bytes: int
    n_params: int | None
    """None for an ensemble."""

    def micro_accuracy(self, split: str) -> float | None:
        """Return the share of correctly classified clips, None without labelled predictions."""
        found = self.calibrated.get(split)
        if found is None or not found.is_labelled:
            return None
        return float((found.probabilities.argmax(axis=1) == found.labels).mean())

    def calibrated_loss(self, split: str) -> float | None:
        """Return the log loss in nats as it is ranked and packed, None without labelled predictions."""
        found = self.calibrated.get(split)
        return None if found is None or not found.is_labelled else log_loss(found.labels, found.probabilities)


def baseline_table(data: RunData) -> Table[ComparedSystem]:
    """Return the selected candidate, the ensemble and the baselines; no rows if there is no baseline.

    Differences are the selected candidate's scores minus those of the row, on the clips that both have predicted, with
    their 95 % intervals over locations; log losses are calibrated. The CSV file has those of the files, too.
    """
    systems = _systems(data)
    chosen = systems[0] if data.selected is not None and systems else None

    minus = cache(partial(_difference, chosen))
    scores: list[Column[ComparedSystem]] = score_columns(lambda row: row.splits, data.scored_on)

    def micro(split: str) -> Column[ComparedSystem]:
        """Return the column of the share of correctly classified clips."""
        return Column(f"{split}_micro_accuracy", lambda row: row.micro_accuracy(split), "share")

    def loss(split: str) -> Column[ComparedSystem]:
        """Return the column of the calibrated log loss."""
        of, short = (data.scored_on, "cal loss") if split == "validation" else (split, "test cal loss")
        return Column(
            f"{split}_calibrated_log_loss",
            lambda row: row.calibrated_loss(split),
            "nats",
            f"{of} log loss, calibrated",
            short,
        )

    return Table(
        systems,
        (
            Column("system", lambda row: row.name),
            *scores,
            *map(micro, COMPARED),
            *map(loss, COMPARED),
            *calibration_columns(lambda row: row.splits),
            Column("weight_bytes", lambda row: row.weight_bytes, "bytes", "weights"),
            Column("n_params", lambda row: row.n_params, "count", "parameters", "params"),
            *(column for split in COMPARED for column in _difference_columns(minus, split, "macro_accuracy")),
            *(column for split in COMPARED for column in _difference_columns(minus, split, "log_loss")),
        ),
        page=(
            *("system", "validation_calibrated_log_loss", "validation_macro_accuracy"),
            *("test_calibrated_log_loss", "test_macro_accuracy", "test_micro_accuracy", "weight_bytes", "n_params"),
            *(f"{split}_{score}_difference" for split in COMPARED for score in ("macro_accuracy", "log_loss")),
        ),
        terminal=(
            *("system", "weight_bytes", "validation_macro_accuracy", "validation_calibrated_log_loss"),
            *("test_macro_accuracy", "test_calibrated_log_loss"),
        ),
    )


def _difference(chosen: ComparedSystem | None, row: ComparedSystem, split: str) -> Difference | None:
    """Return the difference of the selected candidate to a row, None if there is nothing to compare."""
    if chosen is None or row is chosen or split not in chosen.calibrated or split not in row.calibrated:
        return None
    return difference_to((chosen.name, chosen.calibrated[split]), (row.name, row.calibrated[split]))


def _difference_columns(
    minus: Callable[[ComparedSystem, str], Difference | None], split: str, score: Literal["macro_accuracy", "log_loss"]
) -> list[Column[ComparedSystem]]:
    """Return the columns of a difference and its interval; the page combines them in the first."""
    is_accuracy = score == "macro_accuracy"

    def of(row: ComparedSystem) -> tuple[float, float, float] | None:
        """Return the difference, and the bounds of its interval."""
        found = minus(row, split)
        if found is None:
            return None
        return (found.accuracy, *found.accuracy_interval) if is_accuracy else (found.loss, *found.loss_interval)

    def part(index: int) -> Callable[[ComparedSystem], float | None]:
        """Return a function from a row to one of these."""
        return lambda row: None if (found := of(row)) is None else found[index]

    def written(row: ComparedSystem) -> str:
        """Return the difference with its interval, accuracies in points."""
        if (found := of(row)) is None:
            return "–"
        value, low, high = (100 * one for one in found) if is_accuracy else found
        digits = 1 if is_accuracy else 3
        return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"

    name = f"{split}_{score}_difference"
    heading = f"selected minus this: {split} {'accuracy, points' if is_accuracy else 'log loss'}"
    unit: Literal["share", "nats"] = "share" if is_accuracy else "nats"
    first = Column(name, part(0), unit, heading, format=written)
    return [first, *(Column(f"{name}_{end}", part(i), unit) for i, end in ((1, "low"), (2, "high")))]


def baselines(data: RunData) -> Content | None:
    """Return the table and a sentence per comparison that the selected candidate does not win, None if no baseline."""
    if not data.baselines:
        return None
    table = baseline_table(data)
    return {"table": table.content(["chosen" if data.selected is not None else ""]), "notes": comparison_notes(data)}


def comparison_notes(data: RunData) -> list[str]:
    """Return sentences about the baselines that the selected candidate does not clearly beat, on each split."""
    if data.selected is None:
        return ["No candidate is selected, so none is compared with the baselines."]
    chosen, others = _of_candidate(data, data.selected), _baselines(data)
    found = {
        split: differences_to(
            chosen.name, predictions, {one.name: one.calibrated[split] for one in others if split in one.calibrated}
        )
        for split, predictions in chosen.calibrated.items()
    }
    compared = list(dict.fromkeys(one.reference for differences in found.values() for one in differences))
    if not compared:
        return [f"No baseline has predictions of clips that {chosen.name} has predicted, so none is compared."]
    notes = [text for split, differences in found.items() for text in shortfalls(differences, split)]
    return notes or [f"{chosen.name} beats {' and '.join(compared)} in accuracy and log loss."]


def _systems(data: RunData) -> list[ComparedSystem]:
    if not data.baselines:
        return []
    selected = [] if data.selected is None else [_of_candidate(data, data.selected)]
    ensembles = [_of_ensemble(data, ensemble) for ensemble in data.ensembles if not ensemble.is_single]
    return [*selected, *ensembles, *_baselines(data)]


def _baselines(data: RunData) -> list[ComparedSystem]:
    """Return the baselines, lowest calibrated validation log loss first; those without one are last."""
    found = []
    for one in data.baselines:
        stored = {split: one.predictions(split) for split in COMPARED if one.has_predictions(split)}
        both = calibrated(stored["validation"], stored.get("test")) if "validation" in stored else {}
        found.append(ComparedSystem(one.name, one.metrics.splits, both, one.metrics.weight_bytes, one.metrics.n_params))
    losses = {one.name: one.calibrated_loss("validation") for one in found}
    return sorted(found, key=lambda one: (losses[one.name] is None, losses[one.name] or 0.0))


def _of_candidate(data: RunData, candidate: Candidate) -> ComparedSystem:
    metrics = candidate.metrics
    both = data.calibrated(candidate.name)
    return ComparedSystem(candidate.name, metrics.splits, both, metrics.weight_bytes, metrics.n_params)


def _of_ensemble(data: RunData, ensemble: Ensemble) -> ComparedSystem:
    members = [candidate for candidate in data.candidates if candidate.name in ensemble.members]
    size = sum(member.metrics.weight_bytes for member in members) + sum(ensemble.outside.values())
    title, both = f"{ensemble.name} ({len(ensemble.members)})", data.calibrated(ensemble.name)
    return ComparedSystem(title, ensemble.metrics, both, size, None)
