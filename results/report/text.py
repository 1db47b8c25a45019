"""Numbers in words and rows in tables, as the report's page writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from asc_models.rules import QUANTITY_NAMES, Quantity
from results.report.data import RunData

Content = dict[str, Any]


def grid(columns: Iterable[tuple[str, str]], rows: Iterable[Sequence[str]], looks: Sequence[str] = ()) -> Content:
    """Return a table as the template takes it.

    Args:
        columns: heading and kind of each: `text`, `wrap`, or empty for numbers.
        rows: cells, already in words.
        looks: a class per row, `chosen` or `total`.
    """
    return {
        "columns": [{"name": name, "text": kind} for name, kind in columns],
        "rows": [
            {"cells": list(cells), "look": looks[number] if number < len(looks) else ""}
            for number, cells in enumerate(rows)
        ],
    }


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, text: str = "") -> Content:
    """Return a small table of one place on the page.

    Args:
        columns: headings.
        rows: cells, already in words.
        text: headings of columns that hold text, separated by `|`; a heading that ends in `*` may wrap.
    """
    kinds = {name.rstrip("*"): "wrap" if name.endswith("*") else "text" for name in text.split("|")}
    return grid([(name, kinds.get(name, "")) for name in columns], rows)


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent, a dash where there is none."""
    return "–" if share is None or pd.isna(share) else f"{100 * share:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """Return a score, a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def count(value: Any) -> str:
    """Return a whole number with thousands apart, a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{int(value):,}"


def kilobytes(value: float | None) -> str:
    """Return bytes as kB (1000 bytes)."""
    return "–" if value is None or pd.isna(value) else f"{value / 1000:,.1f} kB"


def setting(value: Any) -> str:
    """Return a parameter or a setting in words: no trailing zeros, thousands apart, a dash where there is none."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return count(value)
    if isinstance(value, (float, np.floating)):
        real = float(value)
        return "–" if np.isnan(real) else f"{real:.4g}" if abs(real) < 1e4 else f"{real:,.0f}"
    return "–" if value is None or value is pd.NA else str(value)


def interval(low: float, high: float) -> str:
    """Return an interval of shares in percent, a dash where there is none."""
    return "–" if np.isnan(low) else f"{100 * low:.1f}–{100 * high:.1f}"


def size_text(data: RunData, value: float) -> str:
    """Return an amount of the limited quantity with its unit."""
    return kilobytes(value) if data.limit.quantity.endswith("bytes") else count(value)


def amount(quantity: Quantity, value: float) -> str:
    """Return an amount of one of several limited quantities: bytes as kB, others with what is counted."""
    return kilobytes(value) if quantity.endswith("bytes") else f"{count(value)} {QUANTITY_NAMES[quantity]}"


def data_name(data: RunData) -> str:
    """Return what the data set is called."""
    return str((data.config.get("data") or {}).get("name") or "an unnamed data set")


def fold_of(data: RunData) -> Any:
    """Return the fold that was trained and tested."""
    return data.config.get("fold") or (data.config.get("data") or {}).get("fold") or 1
