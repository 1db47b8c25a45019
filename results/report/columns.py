"""Column definitions of the report's tables, shared by CSV files, HTML page and terminal.

To add a column, add it to the `columns` of a table, and its name to `page` or `terminal` to show it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Literal

import pandas as pd

from asc_models.rules import QUANTITY_NAMES, QUANTITY_TITLES, Quantity
from results.candidates.candidates import Candidate
from results.candidates.seeds import SCORES, SeedGroup, seed_groups
from results.ensembles.ensemble import Ensemble
from results.published import CLASS_WISE, CLASS_WISE_AVERAGE, COLUMNS, DEVICE_WISE, SYSTEMS, PublishedSystem
from results.report.data import RunData, group_accuracy_intervals
from results.report.table import WRITTEN, Column, RowT, Table, Unit
from results.report.text import count, interval, number, percent

Record = Mapping[str, Any]
Group = Literal["scene", "device"]


METHOD_NAMES = {
    "single": "best single network",
    "greedy": "greedy",
    "per_byte": "greedy, gain per byte",
    "exact": "all small sets",
}
"""{method of `results.ensembles.members`: its name}."""


class _Average(str):
    """The name of a row that is no scene's, even if a scene has the same name."""


AVERAGE = _Average("average")


def candidate_table(data: RunData) -> Table[Candidate]:
    """Return the retrained candidates, lowest calibrated validation log loss first.

    `test_low` and `test_high` are the bounds of the 95 % interval of test macro accuracy.
    """
    bounds, limited = cache(data.interval), data.limit.quantity
    retrain = data.config.get("retrain") or {}
    kept = "epoch kept" if retrain.get("all_clips") else "best epoch"
    several_modes = len({candidate.metrics.mode for candidate in data.candidates}) > 1  # else shown in the headline

    def of(name: str, unit: Unit = "", **options: Any) -> Column[Candidate]:
        """Return the column of a field of the metrics."""
        return Column(name, lambda candidate: getattr(candidate.metrics, name), unit, **options)

    def size(name: Quantity, *, in_millions: bool = False, **options: Any) -> Column[Candidate]:
        """Return the column of a quantity that rules may limit; the page marks values over the limit."""
        unit = _unit(name)

        def written(candidate: Candidate) -> str:
            """Return the value, marked if over its limit."""
            value = getattr(candidate.metrics, name)
            text = f"{value / 1e6:,.1f}" if in_millions else WRITTEN[unit](value)
            return text + (" (over)" if name in data.limits.verdict([candidate.metrics]).over else "")

        titles = {"heading": QUANTITY_TITLES[name], "short": QUANTITY_NAMES[name]}
        return of(name, unit, **{**titles, "format": written, **options})

    def mode(candidate: Candidate) -> str:
        """Return the quantization mode, marked if the rules do not allow it."""
        refused = data.limits.verdict([candidate.metrics]).refused
        return candidate.metrics.mode + (" (refused)" if refused else "")

    scores: list[Column[Candidate]] = score_columns(lambda candidate: candidate.metrics.splits, data.scored_on)
    return Table(
        data.candidates,
        (
            Column("candidate", lambda candidate: candidate.name),
            Column("selected", lambda candidate: candidate is data.selected),
            Column(
                "validation_calibrated_log_loss",
                lambda candidate: data.calibrated_loss(candidate.name, "validation"),
                "nats",
                f"{data.scored_on} log loss",
                "cal loss",
            ),
            Column(
                "temperature",
                lambda candidate: _temperature(data, candidate.name),
                format=lambda candidate: number(_temperature(data, candidate.name), 2),
            ),
            *scores[:3],
            Column(
                "test_low",
                lambda candidate: bounds(candidate.name)[0],
                "share",
                "95 % interval",
                format=lambda candidate: interval(*bounds(candidate.name)),
            ),
            Column("test_high", lambda candidate: bounds(candidate.name)[1], "share"),
            *scores[3:],
            Column(
                "test_calibrated_log_loss",
                lambda candidate: data.calibrated_loss(candidate.name, "test"),
                "nats",
                "test log loss",
            ),
            *calibration_columns(lambda candidate: candidate.metrics.splits),
            Column("within_limit", lambda candidate: data.limits.verdict([candidate.metrics]).feasible),
            size("nonzero_weight_bytes"),
            size("weight_bytes"),
            of("quantization_bytes", "bytes"),
            size("file_bytes"),
            size("n_params", short="params"),
            size("macs", heading="M MACs", in_millions=True),
            size("peak_activation_bytes", short="peak act.", in_csv=False),
            of("mode", format=mode, kind="text"),
            of("agreement", "share"),
            of("float_macro_accuracy", "share", heading="network's accuracy"),
            of("float_log_loss", "nats", heading="network's log loss"),
            of(
                "best_epoch",
                heading=kept,
                short="best epoch",
                format=lambda c: f"{count(c.metrics.best_epoch)} of {c.metrics.epochs:,}",
            ),
            of("epochs", "count"),
            of("seed"),
            of("trial_id", heading="trial"),
            Column("trained_on", lambda candidate: " + ".join(candidate.metrics.trained_on)),
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


def _temperature(data: RunData, name: str) -> float | None:
    found = data.calibrations.get(name)
    return None if found is None else found.temperature


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


def member_table(data: RunData, ensembles: Sequence[Ensemble]) -> Table[tuple[Ensemble, str]]:
    """Return the members of ensembles; for a single ensemble, with a row of totals."""
    limited = data.limit.quantity
    sizes = {candidate.name: data.size(candidate) for candidate in data.candidates}
    total = {"member": "together", "weight": percent(1.0)}
    if len(ensembles) == 1:
        total[limited] = WRITTEN[_unit(limited)](ensembles[0].total_bytes)
    return Table(
        [(ensemble, member) for ensemble in ensembles for member in ensemble.members],
        (
            Column("ensemble", lambda row: row[0].name),
            Column("member", lambda row: row[1]),
            Column("weight", lambda row: row[0].members[row[1]], "share"),
            Column(
                limited,
                lambda row: sizes.get(row[1], row[0].outside.get(row[1])),
                _unit(limited),
                QUANTITY_TITLES[limited],
            ),
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
            Column(limited, of(lambda ensemble: ensemble.total_bytes), _unit(limited), QUANTITY_TITLES[limited]),
            Column("gain", gain(0), "nats", f"log loss minus that of {reference}", format=written),
            Column("gain_low", gain(1), "nats"),
            Column("gain_high", gain(2), "nats"),
        ),
        page=("method", "held_out_log_loss", "n_members", limited, "gain"),
    )


def seed_table(data: RunData) -> Table[SeedGroup]:
    """Return mean and spread of the candidates over seeds; no rows if none was trained with several seeds."""
    limited, groups = data.limit.quantity, seed_groups(data.candidates)
    summaries = {group.name: group.summary(limited) for group in groups}

    def of(name: str, unit: Unit = "", **options: Any) -> Column[SeedGroup]:
        """Return the column of a field of the summary."""
        return Column(name, lambda group: summaries[group.name][name], unit, **options)

    def spread(split: str, score: str) -> list[Column[SeedGroup]]:
        """Return the four columns of a score; the page combines them in the first."""

        def written(group: SeedGroup) -> str:
            """Return mean, standard deviation and, for accuracies, the range."""
            found = group.scores.get((split, score))
            return "–" if found is None else found.text(span=score == "macro_accuracy")

        name = f"{split}_{score}"
        mean = of(f"{name}_mean", heading=_score_heading(split, score, data.scored_on), format=written)
        return [mean, *(of(f"{name}_{part}") for part in ("sd", "low", "high"))]

    return Table(
        groups if any(len(group.members) > 1 for group in groups) else [],
        (
            of("candidate"),
            of("trial_id", heading="trial"),
            of("trained_on"),
            of("epochs"),
            of("n_seeds", "count", heading="seeds"),
            Column("seeds", lambda group: " ".join(map(str, group.seeds))),
            of(limited, _unit(limited), heading=QUANTITY_TITLES[limited]),
            *(column for split, score in SCORES for column in spread(split, score)),
        ),
        page=("candidate", "n_seeds", limited, *(f"{split}_{score}_mean" for split, score in SCORES)),
    )


def score_table(data: RunData, group: Group) -> Table[str]:
    """Return test accuracy by scene (in class order) or by device; no rows if no candidate is selected.

    Scenes have a last row `average`: the scores of all clips, of which accuracy is the mean over scenes.

    Columns: the group, `n_clips`, then `macro_accuracy`, `low`, `high` (95 % interval) and `log_loss` of the selected
    candidate with the temperature that it is packed with, then the accuracy of each other system under its name, then
    on TAU the published accuracies as `published: <system>`.
    """
    chosen = data.selected.name if data.selected is not None else ""
    tests = {name: data.packed_test(name).summarize() for name in data.test} if chosen in data.test else {}
    parts = list(tests[chosen][f"by_{group}"]) if tests else []
    others = [name for name in tests if name != chosen]
    table = (CLASS_WISE if group == "scene" else DEVICE_WISE) if data.has_published else {}
    published = [system for system in COLUMNS if any(system in table.get(part, {}) for part in parts)]

    intervals = group_accuracy_intervals(data.test[chosen], group) if tests else {}

    @cache
    def bounds(part: str) -> tuple[float, float]:
        """Return the 95 % interval of the selected candidate's accuracy in one scene or device."""
        return data.interval(chosen) if part is AVERAGE else intervals[part]

    def score(system: str, key: str) -> Callable[[str], Any]:
        """Return a function from a scene or device to a system's score."""

        def value(part: str) -> Any:
            """Return the score, None if the system has no clip there."""
            found = tests[system]
            return (found if part is AVERAGE else found[f"by_{group}"].get(part, {})).get(key)

        return value

    def printed(system: str) -> Callable[[str], float | None]:
        """Return a function from a scene or device to a published system's accuracy, as a share."""

        def value(part: str) -> float | None:
            """Return the accuracy, None if none was published."""
            found = CLASS_WISE_AVERAGE if part is AVERAGE else table.get(part, {})
            return round(found[system] / 100, 4) if system in found else None

        return value

    columns: tuple[Column[str], ...] = (
        Column(group, str, format=lambda part: part.replace("_", " ")),
        Column("n_clips", score(chosen, "n_clips"), "count", "clips"),
        Column("macro_accuracy", score(chosen, "macro_accuracy"), "share", chosen),
        Column("low", lambda part: bounds(part)[0], "share", "95 % interval", format=lambda p: interval(*bounds(p))),
        Column("high", lambda part: bounds(part)[1], "share"),
        Column("log_loss", score(chosen, "log_loss"), "nats", "its log loss"),
        *(Column(name, score(name, "macro_accuracy"), "share", name) for name in others),
        *(
            Column(f"published: {name}", printed(name), "share", f"{name} (published)", f"publ. {name}")
            for name in published
        ),
    )
    accuracies = [column.name for column in columns[6:]]
    return Table(
        parts,
        columns,
        page=(group, "n_clips", "macro_accuracy", "low", "log_loss", *accuracies),
        terminal=(group, "n_clips", "macro_accuracy", *accuracies),
        average=AVERAGE if parts and group == "scene" else None,
    )


def system_table(data: RunData) -> Table[PublishedSystem]:
    """Return the published systems, accuracy as a share; no rows if they are not comparable with the run."""
    columns: tuple[Column[PublishedSystem], ...] = (
        Column("system", lambda system: system.name),
        Column(
            "macro_accuracy",
            lambda system: round(system.macro_accuracy / 100, 4),
            "share",
            "accuracy",
            format=lambda system: percent(system.macro_accuracy / 100),
        ),
        Column("log_loss", lambda system: system.log_loss, "nats"),
        Column("size", lambda system: system.size),
        Column("source", lambda system: system.source, kind="wrap"),
    )
    return Table(SYSTEMS if data.has_published else (), columns, page=[column.name for column in columns])


def trial_table(trials: pd.DataFrame) -> Table[Record]:
    """Return trials with all parameters that have values; only for display, since the CSV file has its own table."""

    def of(name: str, unit: Unit = "", **options: Any) -> Column[Record]:
        """Return the column of a field of the record."""
        return Column(name, itemgetter(name), unit, **options)

    rows: list[Record] = [{str(name): value for name, value in row.items()} for row in trials.to_dict("records")]
    columns = (
        of("trial_id", heading="trial"),
        of("state", kind="text"),
        of("epochs", "count"),
        of("macro_accuracy", "share", heading="accuracy"),
        of("log_loss", "nats"),
        of("weight_bytes", "count"),
        *(
            of(str(name), heading=str(name).removeprefix("param_").replace("_", " "))
            for name in trials.columns
            if str(name).startswith("param_") and trials[name].notna().any()
        ),
    )
    return Table(rows, columns, page=[column.name for column in columns])


def score_columns(splits: Callable[[RowT], Mapping[str, Any]], scored_on: str = "validation") -> list[Column[RowT]]:
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
        heading = _score_heading(split, score, scored_on)
        return Column(f"{split}_{score}", lambda row: splits(row).get(split, {}).get(score), unit, heading, short)

    return [column(split, score) for split, score in SCORES]


def calibration_columns(splits: Callable[[RowT], Mapping[str, Any]]) -> list[Column[RowT]]:
    """Return the columns of Brier score and expected calibration error; None in runs of older versions."""

    def column(split: str, score: str) -> Column[RowT]:
        """Return the column of one score."""
        return Column(f"{split}_{score}", lambda row: splits(row).get(split, {}).get(score))

    return [column(split, score) for split in ("validation", "test") for score in ("brier_score", "calibration_error")]


def _score_heading(split: str, score: str, scored_on: str) -> str:
    return f"{scored_on if split == 'validation' else split} {score.removeprefix('macro_').replace('_', ' ')}"


def _unit(quantity: str) -> Unit:
    return "bytes" if quantity.endswith("bytes") else "count"
