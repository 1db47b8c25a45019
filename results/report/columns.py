"""The columns of the report's tables, each written once: CSV files, page and terminal read the same lists.

To add a column, write it into a table's `columns`, and its name where people are to see it: into `page`, `terminal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any, Generic, Literal, TypeVar

import pandas as pd

from asc_models.rules import QUANTITY_NAMES, Quantity
from results.candidates.candidates import Candidate
from results.candidates.predictions import Predictions
from results.candidates.seeds import SCORES, SeedGroup, seed_groups
from results.ensemble import Ensemble
from results.published import CLASS_WISE, CLASS_WISE_AVERAGE, COLUMNS, DEVICE_WISE, SYSTEMS, PublishedSystem
from results.report.data import RunData, accuracy_interval
from results.report.text import Content, count, grid, interval, kilobytes, number, percent, setting

Row = TypeVar("Row")
Record = Mapping[str, Any]
Group = Literal["scene", "device"]
Unit = Literal["", "share", "nats", "bytes", "count"]

_WRITTEN: dict[Unit, Callable[[Any], str]] = {
    "": setting,
    "share": percent,
    "nats": number,
    "bytes": kilobytes,
    "count": count,
}
"""How the page writes a value of each unit."""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One quantity of a table's rows."""

    name: str
    """In CSV files; with spaces it is the heading, unless `heading` says otherwise."""
    value: Callable[[Row], Any]
    """From a row to the plain value that CSV files and the terminal take."""
    unit: Unit = ""
    """Of the value; the page writes shares in percent and bytes as kB."""
    heading: str = ""
    short: str = ""
    """Heading on the terminal, where the other is too long there."""
    format: Callable[[Row], str] | None = None
    """From a row to the page's cell, where that is more than the value in its unit."""
    kind: Literal["", "text", "wrap"] = ""
    """How the page aligns the column: numbers to the right, text to the left, and whether it may wrap."""
    in_csv: bool = True

    @property
    def title(self) -> str:
        """The heading on the page."""
        return self.heading or self.name.replace("_", " ")

    def cell(self, row: Row) -> str:
        """Return what the page shows."""
        return self.format(row) if self.format else _WRITTEN[self.unit](self.value(row))


@dataclass(frozen=True)
class Table(Generic[Row]):
    """Rows and the columns in which they are shown."""

    rows: Sequence[Row]
    columns: Sequence[Column[Row]]
    """All, in the order of the CSV file."""
    page: Sequence[str]
    """Names of those on the page, in its order."""
    terminal: Sequence[str] = ()
    """Names of those on the terminal, in its order."""
    total: Mapping[str, str] = field(default_factory=dict)
    """{column: the page's cell} of a last row; {} without one."""

    def named(self, names: Sequence[str]) -> list[Column[Row]]:
        """Return the columns of some names in their order, each once."""
        columns = {column.name: column for column in self.columns}
        return [columns[name] for name in dict.fromkeys(names)]

    def frame(self) -> pd.DataFrame:
        """Return the table of the CSV file."""
        columns = [column for column in self.columns if column.in_csv]
        rows = [{column.name: column.value(row) for column in columns} for row in self.rows]
        return pd.DataFrame(rows, columns=[column.name for column in columns])

    def content(self, looks: Sequence[str] = ()) -> Content:
        """Return the table as the page's template takes it.

        Args:
            looks: a class per row, such as `chosen`; the last row of totals has its own.
        """
        columns = self.named(self.page)
        cells = [[column.cell(row) for column in columns] for row in self.rows]
        looks = [*looks, *[""] * (len(cells) - len(looks))]
        if self.total:
            cells.append([self.total.get(column.name, "") for column in columns])
            looks.append("total")
        return grid([(column.title, column.kind) for column in columns], cells, looks)


def candidate_table(data: RunData) -> Table[Candidate]:
    """Return the retrained candidates, best validation log loss first; `test_low`, `test_high` bound 95 %."""
    bounds, limited = cache(data.interval), data.limit.quantity
    several_modes = len({candidate.metrics.mode for candidate in data.candidates}) > 1  # else the headline has it

    def of(name: str, unit: Unit = "", **options: Any) -> Column[Candidate]:
        """Return the column of a field of the metrics."""
        return Column(name, lambda candidate: getattr(candidate.metrics, name), unit, **options)

    def size(name: Quantity, *, in_millions: bool = False, **options: Any) -> Column[Candidate]:
        """Return the column of a quantity that rules may limit; the page marks what is over."""
        unit = _unit(name)

        def written(candidate: Candidate) -> str:
            """Return the amount, and whether it is over its limit."""
            value = getattr(candidate.metrics, name)
            text = f"{value / 1e6:,.1f}" if in_millions else _WRITTEN[unit](value)
            return text + (" (over)" if name in data.limits.verdict([candidate.metrics]).over else "")

        return of(name, unit, **{"heading": QUANTITY_NAMES[name], "format": written, **options})

    def mode(candidate: Candidate) -> str:
        """Return how the weights are stored, and whether the rules refuse that."""
        refused = data.limits.verdict([candidate.metrics]).refused
        return candidate.metrics.mode + (" (refused)" if refused else "")

    scores: list[Column[Candidate]] = _scores(lambda candidate: candidate.metrics.splits)
    return Table(
        data.candidates,
        (
            Column("candidate", lambda candidate: candidate.name),
            Column("selected", lambda candidate: candidate is data.selected),
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
            of("best_epoch", format=lambda c: f"{count(c.metrics.best_epoch)} of {c.metrics.epochs:,}"),
            of("epochs", "count"),
            of("seed"),
            of("trial_id", heading="trial"),
            Column("trained_on", lambda candidate: " + ".join(candidate.metrics.trained_on)),
        ),
        page=(
            *("candidate", "validation_log_loss", "validation_macro_accuracy", "test_macro_accuracy", "test_low"),
            *("test_log_loss", limited, "weight_bytes", "file_bytes", "n_params", "macs", "agreement", "best_epoch"),
            *(["mode"] if several_modes else []),
        ),
        terminal=("candidate", limited, "file_bytes", "n_params", *(score.name for score in scores)),
    )


def ensemble_values(data: RunData, ensemble: Ensemble) -> dict[str, Any]:
    """Return {column of `candidate_table`: value} of an ensemble, as far as an ensemble has them."""
    scores: list[Column[Ensemble]] = _scores(lambda ensemble: ensemble.metrics)
    return {
        "candidate": f"{ensemble.name} ({len(ensemble.members)})",
        data.limit.quantity: ensemble.total_bytes,
        **{column.name: column.value(ensemble) for column in scores},
    }


def member_table(data: RunData, ensembles: Sequence[Ensemble]) -> Table[tuple[Ensemble, str]]:
    """Return the members of ensembles; of a single ensemble with a row for all members together."""
    limited = data.limit.quantity
    sizes = {candidate.name: data.size(candidate) for candidate in data.candidates}
    total = {"member": "together", "weight": percent(1.0)}
    if len(ensembles) == 1:
        total[limited] = _WRITTEN[_unit(limited)](ensembles[0].total_bytes)
    return Table(
        [(ensemble, member) for ensemble in ensembles for member in ensemble.members],
        (
            Column("ensemble", lambda row: row[0].name),
            Column("member", lambda row: row[1]),
            Column("weight", lambda row: row[0].members[row[1]], "share"),
            Column(limited, lambda row: sizes.get(row[1]), _unit(limited), QUANTITY_NAMES[limited]),
            Column("temperature", lambda row: row[0].temperature),
            *_scores(lambda row: row[0].metrics),
        ),
        page=("member", "weight", limited),
        total=total if len(ensembles) == 1 else {},
    )


def seed_table(data: RunData) -> Table[SeedGroup]:
    """Return the candidates over their seeds; no rows where none was trained with several.

    A single seed's spread would be a row of dashes beside the table of candidates.
    """
    limited, groups = data.limit.quantity, seed_groups(data.candidates)
    summaries = {group.name: group.summary(limited) for group in groups}

    def of(name: str, unit: Unit = "", **options: Any) -> Column[SeedGroup]:
        """Return the column of an entry of the summary."""
        return Column(name, lambda group: summaries[group.name][name], unit, **options)

    def spread(split: str, score: str) -> list[Column[SeedGroup]]:
        """Return the columns of a score; the page has all four in one."""

        def written(group: SeedGroup) -> str:
            """Return mean, standard deviation and, of accuracies, the range."""
            found = group.scores.get((split, score))
            return "–" if found is None else found.text(span=score == "macro_accuracy")

        name = f"{split}_{score}"
        mean = of(f"{name}_mean", heading=_score_heading(split, score), format=written)
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
            of(limited, _unit(limited), heading=QUANTITY_NAMES[limited]),
            *(column for split, score in SCORES for column in spread(split, score)),
        ),
        page=("candidate", "n_seeds", limited, *(f"{split}_{score}_mean" for split, score in SCORES)),
    )


def score_table(data: RunData, group: Group) -> Table[str]:
    """Return test accuracy by scene (in class order) or by device; no rows where no candidate is selected.

    Columns: the group, n_clips, then the selected candidate's macro_accuracy, low, high (95 %) and log_loss, then every
    other system's accuracy under its name, then on TAU the published accuracies as `published: <system>`.
    """
    chosen = data.selected.name if data.selected is not None else ""
    tests = {name: test.summarize() for name, test in data.test.items()} if chosen in data.test else {}
    parts = list(tests[chosen][f"by_{group}"]) if tests else []
    others = [name for name in tests if name != chosen]
    table = (CLASS_WISE if group == "scene" else DEVICE_WISE) if data.has_published else {}
    published = [system for system in COLUMNS if any(system in table.get(part, {}) for part in parts)]

    @cache
    def bounds(part: str) -> tuple[float, float]:
        """Return the 95 % interval of the selected candidate's accuracy in one part."""
        return accuracy_interval(_part(data.test[chosen], group, part))

    def score(system: str, key: str) -> Callable[[str], Any]:
        """Return what gives a system's score in a part."""
        return lambda part: tests[system][f"by_{group}"].get(part, {}).get(key)

    def printed(system: str) -> Callable[[str], float | None]:
        """Return what gives a published system's accuracy in a part, as a share."""
        return lambda part: round(table[part][system] / 100, 4) if system in table.get(part, {}) else None

    total = {}
    if parts and group == "scene" and data.has_published:
        whole = tests[chosen]
        total = {group: "average", "n_clips": count(whole["n_clips"]), "log_loss": number(whole["log_loss"])}
        total |= {"macro_accuracy": percent(whole["macro_accuracy"]), "low": interval(*data.interval(chosen))}
        total |= {name: percent(tests[name]["macro_accuracy"]) for name in others}
        total |= {f"published: {system}": percent(CLASS_WISE_AVERAGE[system] / 100) for system in published}
    columns: tuple[Column[str], ...] = (
        Column(group, str, format=lambda part: part.replace("_", " ")),
        Column("n_clips", score(chosen, "n_clips"), "count", "clips"),
        Column("macro_accuracy", score(chosen, "macro_accuracy"), "share", chosen),
        Column("low", lambda part: bounds(part)[0], "share", "95 % interval", format=lambda p: interval(*bounds(p))),
        Column("high", lambda part: bounds(part)[1], "share"),
        Column("log_loss", score(chosen, "log_loss"), "nats"),
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
        total=total,
    )


def system_table(data: RunData) -> Table[PublishedSystem]:
    """Return the published systems, accuracy as a share; no rows where the run is not on TAU's scenes."""
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
    """Return some trials with the parameters in which they differ; the CSV file is the ledger's table as it is."""

    def of(name: str, unit: Unit = "", **options: Any) -> Column[Record]:
        """Return the column of a record's entry."""
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


def _scores(splits: Callable[[Row], Mapping[str, Any]]) -> list[Column[Row]]:
    """Return the columns of validation and test scores.

    Args:
        splits: from a row to {split: its scores}.
    """

    def column(split: str, score: str) -> Column[Row]:
        """Return the column of one score; a missing one is None."""
        unit: Unit = "share" if score == "macro_accuracy" else "nats"
        short = f"{split.removesuffix('idation')} {'acc' if score == 'macro_accuracy' else 'loss'}"
        heading = _score_heading(split, score)
        return Column(f"{split}_{score}", lambda row: splits(row).get(split, {}).get(score), unit, heading, short)

    return [column(split, score) for split, score in SCORES]


def _score_heading(split: str, score: str) -> str:
    return f"{split} {score.removeprefix('macro_').replace('_', ' ')}"


def _unit(quantity: str) -> Unit:
    return "bytes" if quantity.endswith("bytes") else "count"


def _part(predictions: Predictions, group: Group, name: str) -> Predictions:
    rows = (predictions.clips[group].astype(str) == name).to_numpy()
    return Predictions(predictions.clips[rows], predictions.probabilities[rows], predictions.classes)
