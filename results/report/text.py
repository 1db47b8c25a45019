"""Formatting of numbers and tables for the report's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from asc_models.rules import QUANTITY_NAMES, Quantity
from results.report.data import RunData

Content = dict[str, Any]


def grid(
    columns: Iterable[tuple[str, str]], rows: Iterable[Sequence[str]], looks: Sequence[str] = (), header: int = 0
) -> Content:
    """Return a table in the format of the template.

    Args:
        columns: heading and kind of each column: `text`, `wrap`, or "" for numbers.
        rows: formatted cells.
        looks: CSS class of each row, `chosen`, `total` or ""; missing ones are "".
        header: index of the column that names the rows.
    """
    return {
        "header": header,
        "columns": [{"name": name, "text": kind} for name, kind in columns],
        "rows": [
            {"cells": list(cells), "look": looks[number] if number < len(looks) else ""}
            for number, cells in enumerate(rows)
        ],
    }


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, text: str = "") -> Content:
    """Return a simple table in the format of the template.

    Args:
        columns: headings.
        rows: formatted cells.
        text: headings of the text columns, separated by `|`; a trailing `*` marks a column that may wrap.
    """
    kinds = {name.rstrip("*"): "wrap" if name.endswith("*") else "text" for name in text.split("|")}
    return grid([(name, kinds.get(name, "")) for name in columns], rows)


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent, a dash if missing."""
    return "–" if share is None or pd.isna(share) else f"{100 * share:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """Return a score, a dash if missing."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def count(value: Any) -> str:
    """Return an integer with thousands separators, a dash if missing."""
    return "–" if value is None or pd.isna(value) else f"{int(value):,}"


def kilobytes(value: float | None) -> str:
    """Return bytes as kB (1000 bytes)."""
    return "–" if value is None or pd.isna(value) else f"{value / 1000:,.1f} kB"


def setting(value: Any) -> str:
    """Return a parameter or setting as text: thousands separators, no trailing zeros, a dash if missing."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return count(value)
    if isinstance(value, (float, np.floating)):
        real = float(value)
        return "–" if np.isnan(real) else f"{real:.4g}" if abs(real) < 1e4 else f"{real:,.0f}"
    return "–" if value is None or value is pd.NA else str(value)


def interval(low: float, high: float) -> str:
    """Return an interval of shares in percent, a dash if missing."""
    return "–" if np.isnan(low) else f"{100 * low:.1f}–{100 * high:.1f}"


def size_text(data: RunData, value: float) -> str:
    """Return a value of the displayed limited quantity: bytes as kB, others as a count."""
    return kilobytes(value) if data.limit.quantity.endswith("bytes") else count(value)


def amount(quantity: Quantity, value: float) -> str:
    """Return a value of a limited quantity: bytes as kB, others followed by the name of the quantity."""
    return kilobytes(value) if quantity.endswith("bytes") else f"{count(value)} {QUANTITY_NAMES[quantity]}"


def data_name(data: RunData) -> str:
    """Return the name of the data set."""
    return str((data.config.get("data") or {}).get("name") or "an unnamed data set")


def fold_of(data: RunData) -> Any:
    """Return the fold that was trained and tested."""
    return data.config.get("fold") or (data.config.get("data") or {}).get("fold") or 1
