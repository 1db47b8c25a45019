"""Figure of knobs: the accuracy of trials against the values of the most important ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_prep.figures.style import Theme, blank, plain, titled
from data_prep.wording import plural, shortened
from results.ledger.importance import KnobEffects
from results.report.figures.scales import accuracy_axis

N_SHOWN = 4
"""Most knobs that the figure shows."""
MAX_VALUES = 8
"""Most values that have a tick each; a knob with more is drawn as a range of numbers."""
MAX_LETTERS = 16
"""Most letters of a panel's ticks; longer ones are tilted."""


def knob_figure(effects: KnobEffects, theme: Theme, scored: str = "on validation") -> Figure:
    """Return one panel per knob, most important first: accuracy of each trial by value, and the mean of each value.

    Args:
        effects: with at least one knob.
        theme: colours.
        scored: where the scores of trials are measured.
    """
    shown = effects.importances[:N_SHOWN]
    width, height = 9.2, 3.6
    figure = blank(theme, width, height)
    figure.subplots_adjust(0.95 / width, 0.85 / height, 1 - 0.25 / width, 1 - 0.66 / height, wspace=0.12)
    panels: list[Axes] = [*figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]]
    accuracy = effects.trials["macro_accuracy"]
    for axes, one in zip(panels, shown, strict=True):
        plain(axes, theme)
        _draw(axes, effects.trials[one.knob], accuracy, theme)
        axes.set_xlabel(shortened(one.knob.replace("_", " ")), color=theme.ink, fontsize=9.5)
    accuracy_axis(panels[0], accuracy.tolist())
    panels[0].set_ylabel(f"macro accuracy {scored}", color=theme.ink, fontsize=9.5)
    what = f"{plural(len(effects.trials), 'trial')} at epoch {effects.epochs}"
    order = "most important knob first; " if effects.r_squared > 0 else ""
    titled(panels[0], theme, "Knobs", f"{what}; {order}lines: means of values")
    return figure


def _draw(axes: Axes, values: pd.Series, accuracy: pd.Series, theme: Theme) -> None:
    """Draw trials as dots, side by side within a value, and the mean of each value."""
    known = values.dropna()
    if pd.api.types.is_numeric_dtype(values) and known.nunique() > MAX_VALUES:
        axes.scatter(known.astype("float64"), accuracy[known.index], s=22, color=theme.primary, alpha=0.6, linewidths=0)
        return
    labels = values.astype("object").where(values.notna(), "–")
    order = [*sorted(known.unique()), *(["–"] if values.isna().any() else [])]
    for position, value in enumerate(order):
        here = accuracy[labels == value].to_numpy(dtype=np.float64)
        beside = position + np.linspace(-0.2, 0.2, len(here)) if len(here) > 1 else [position]
        axes.scatter(beside, here, s=22, color=theme.primary, alpha=0.6, linewidths=0, zorder=3)
        axes.plot([position - 0.3, position + 0.3], [here.mean()] * 2, color=theme.ink, linewidth=1.8, zorder=4)
    texts = [shortened(_tick(value), 12) for value in order]
    tilted: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(order)), texts, fontsize=8.5, **(tilted if len("".join(texts)) > MAX_LETTERS else {}))
    axes.set_xlim(-0.6, len(order) - 0.4)


def _tick(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else str(value)
