"""Axes and number formats of the report's figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_prep.figures.style import Theme, blank, plain

MARKERS = ("o", "s", "^", "v", "P")
"""With the lines of `LINES`, they distinguish series whose colour is the same, and all series without colour."""
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))


@dataclass(frozen=True)
class Margins:
    """Margins around the axes in inches."""

    left: float = 0.95
    right: float = 0.25
    top: float = 0.66
    bottom: float = 0.8


def new_axes(theme: Theme, width: float, height: float, margins: Margins | None = None) -> tuple[Figure, Axes]:
    """Return a figure of `width` × `height` inches with one plain Axes.

    Args:
        theme: colours.
        width: in inches.
        height: in inches.
        margins: margins around the axes; None fits them to the tick labels. Figures with direct labels need fixed
            margins, because otherwise each label changes the layout that it was placed in.
    """
    figure = blank(theme, width, height)
    axes = figure.add_subplot()
    if margins is None:
        figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.12)
    else:
        right, top = 1 - margins.right / width, 1 - margins.top / height
        figure.subplots_adjust(margins.left / width, margins.bottom / height, right, top)
    plain(axes, theme)
    return figure, axes


def series_look(number: int, theme: Theme) -> dict[str, Any]:
    """Return colour, marker and line style of one of several series, counted from 0."""
    colors = (theme.primary, theme.accent, theme.good, theme.warning, theme.muted)
    return {
        "color": colors[number % len(colors)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINES[number // len(colors) % len(LINES)],
    }


def legend_below(axes: Axes, theme: Theme) -> None:
    """Draw the legend below the axes, in one or two rows, and make room for it; none without labels."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    n = len(handles)
    n_columns = n if n <= 7 else -(-n // 2)
    by_row = [i for column in range(n_columns) for i in range(column, n, n_columns)]  # legends fill column by column
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.subplots_adjust(bottom=(0.72 + 0.25 * -(-n // n_columns)) / figure.get_figheight())
    figure.legend(
        [handles[i] for i in by_row],
        [labels[i] for i in by_row],
        loc="lower center",
        bbox_to_anchor=(0.5, 0.01),
        ncols=n_columns,
        frameon=False,
        labelcolor=theme.ink,
        fontsize=9.5,
        handletextpad=0.3,
        columnspacing=1.2,
        handlelength=1.6,
    )


def percent(value: float, _: object = None) -> str:
    """Return a share as whole percent; a tick formatter."""
    return f"{100 * value:.0f} %"


def kilobytes(value: float, _: object = None) -> str:
    """Return bytes as kB (1000 bytes); a tick formatter."""
    return f"{value / 1000:g} kB"
