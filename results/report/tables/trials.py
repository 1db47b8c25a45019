"""The trials of a search, as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import pandas as pd

from results.report.tables.table import Column, Table, Unit

Record = Mapping[str, Any]


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
