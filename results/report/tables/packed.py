"""Report content about the systems of the submission package: slots, scores with their temperatures, differences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from asc_models.rules import total
from data_prep.errors import DataError
from data_prep.files.files import read_json
from results.candidates.differences import Difference, difference_to
from results.candidates.predictions import Predictions, tempered
from results.report.data import RunData
from results.report.tables.scores import calibrated_columns, interval_columns, quantity_column
from results.report.tables.table import Column, Table, Unit
from results.report.tables.trials import Record
from results.report.text import number, size_text


def packed_rows(data: RunData) -> list[dict[str, Any]]:
    """Return the systems in the summary of the package, [] without a package.

    Raises:
        DataError: if the summary is damaged.
    """
    path = data.run.submission_summary_path
    if not path.is_file():
        return []
    try:
        rows: list[dict[str, Any]] = read_json(path)["systems"]
        for row in rows:
            number(row["validation_log_loss"])
            number(row.get("temperature"))
            _ = row["label"], row["system"], [str(name) for name in row["members"]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error!r}); rerun `asc submit`") from None
    return rows


def packed_table(data: RunData, rows: Sequence[dict[str, Any]]) -> Table[Record]:
    """Return the packed systems, test scores with the temperature that each is packed with.

    Args:
        data: of the run.
        rows: systems in the summary of the package.
    """
    scores = {name: test.summarize() for name, test in packed_tests(data, rows).items()}
    sizes = {candidate.name: data.size(candidate) for candidate in data.candidates}
    quantity = data.limit.quantity

    has_ensembles = any(len(row["members"]) > 1 for row in rows)

    def size(row: Record) -> int | None:
        """Return the total of the displayed quantity, None if a member is gone."""
        known = [sizes[name] for name in row["members"] if name in sizes]
        return total(quantity, known) if len(known) == len(row["members"]) else None

    def written(row: Record) -> str:
        """Return the size and its share of the limit."""
        value = size(row)
        return "–" if value is None else f"{size_text(data, value)} ({100 * value / data.limit.limit:.0f} %)"

    def test(name: str, unit: Unit, heading: str) -> Column[Record]:
        """Return the column of a test score, None if there are no test predictions."""
        return Column(f"test_{name}", lambda row: scores.get(row["system"], {}).get(name), unit, heading)

    return Table(
        rows,
        (
            Column("label", lambda row: row["label"]),
            Column("slot", lambda row: row.get("slot", ""), kind="text"),
            Column("system", lambda row: row["system"], kind="text"),
            Column("members", lambda row: ", ".join(row["members"]), kind="wrap"),
            quantity_column(quantity, size, format=written),
            *calibrated_columns(data, lambda row: row["validation_log_loss"], lambda row: row.get("temperature")),
            test("log_loss", "nats", "test log loss, with it"),
            test("macro_accuracy", "share", "test accuracy"),
            *interval_columns(lambda row: data.interval(row["system"])),
            Column("reason", lambda row: row.get("reason", ""), kind="wrap"),
        ),
        page=(
            *("label", "slot", "system", *(["members"] if has_ensembles else []), quantity),
            *("validation_calibrated_log_loss", "temperature", "test_log_loss", "test_macro_accuracy", "test_low"),
        ),
    )


def packed_tests(data: RunData, rows: Sequence[dict[str, Any]]) -> dict[str, Predictions]:
    """Return {system: test predictions with the packed temperature} of the packed systems that have them."""
    ensembles = {ensemble.name for ensemble in data.ensembles}
    return {
        name: data.test[name] if name in ensembles else tempered(data.test[name], float(row["temperature"]))
        for row in rows
        if (name := str(row["system"])) in data.test and row.get("temperature") is not None
    }


def packed_differences(data: RunData, rows: Sequence[dict[str, Any]]) -> list[Difference]:
    """Return the paired difference on test of every two packed systems, the later one minus the earlier one."""
    pairs = combinations(packed_tests(data, rows).items(), 2)
    found = (difference_to(second, first) for first, second in pairs)
    return [one for one in found if one is not None]
