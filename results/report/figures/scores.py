"""Figures of the selected candidate on the test split: confusion matrix, accuracy by device and by scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from data_prep.figures.style import Theme, titled
from data_prep.wording import shortened
from results.report.figures.style import new_axes, percent

MAX_ANNOTATED = 20
"""Maximum number of scenes for which the cells of a confusion matrix are annotated."""
SHORT_BAR = 0.1
"""Bars below this accuracy are too short for a number, which is written next to them."""
PUBLISHED = "published: "


def confusion_figure(counts: pd.DataFrame, theme: Theme, title: str) -> Figure:
    """Return the confusion matrix, in percent of the clips of each true scene.

    Args:
        counts: counts of clips; rows are true scenes, columns predicted scenes.
        theme: colours.
        title: title of the figure.
    """
    n = len(counts)
    side = min(12.0, 2.9 + 0.52 * n)
    figure, axes = new_axes(theme, side + 0.2, side)
    values = counts.to_numpy(dtype=np.float64)
    share = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    colors = LinearSegmentedColormap.from_list("share", [theme.background, theme.primary])
    axes.imshow(share, cmap=colors, vmin=0, vmax=1, aspect="equal")
    names = [shortened(name.replace("_", " ")) for name in counts.columns]
    axes.set_xticks(range(n), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), names)
    axes.grid(visible=False)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=theme.grid, linewidth=0.8)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if n <= MAX_ANNOTATED:
        for row, column in zip(*np.nonzero(values), strict=True):
            color = _on(colors(share[row, column]))
            weight = "bold" if row == column else "normal"
            text = f"{100 * share[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9.5, fontweight=weight)
    axes.set_xlabel("predicted scene", color=theme.ink)
    axes.set_ylabel("true scene", color=theme.ink)
    titled(axes, theme, title, "percent of the true scene's clips, test split")
    return figure


def _on(background: tuple[float, ...]) -> str:
    """Return black or white, whichever has more contrast to a colour: 4.58 at least (WCAG 2.2 asks for 4.5)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def group_figure(table: pd.DataFrame, group: str, overall: float, theme: Theme, title: str) -> Figure:
    """Return accuracies by scene or by device as bars with 95 % intervals, with published accuracies if any.

    Args:
        table: result of results.report.tables.groups.group_table.
        group: `scene` or `device`, the first column of the table.
        overall: macro accuracy of the whole split, drawn as a line.
        theme: colours.
        title: title of the figure.
    """
    figure, axes = new_axes(theme, 9.2, 1.7 + 0.42 * len(table))
    _bars(axes, table, theme)
    _overall(axes, overall, theme)
    _published(axes, table, theme)
    _labels(axes, table, theme)
    axes.set_yticks(range(len(table)), [shortened(str(name).replace("_", " ")) for name in table[group]])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(FuncFormatter(percent))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    what = "accuracy" if group == "scene" else "macro accuracy"
    axes.set_xlabel(f"{what} on the test split; whiskers: 95 % interval by Wilson's method", color=theme.ink)
    axes.set_title(title, loc="left", color=theme.ink, fontsize=13, fontweight="bold", pad=20)
    return figure


def _bars(axes: Axes, table: pd.DataFrame, theme: Theme) -> None:
    """Draw the accuracies as bars, with whiskers over their intervals."""
    position = np.arange(len(table))
    value, low, high = (table[name].to_numpy(dtype=float) for name in ("macro_accuracy", "low", "high"))
    axes.barh(position, value, height=0.62, color=theme.primary, zorder=2)
    spread = np.vstack([np.maximum(value - low, 0), np.maximum(high - value, 0)])
    wide = spread.sum(axis=0) > 0  # for an interval of width 0, only half a cap would be drawn at the edge
    style: dict[str, Any] = {"ecolor": theme.ink, "elinewidth": 1.5, "capsize": 4, "zorder": 4}
    _, caps, bars = axes.errorbar(value[wide], position[wide], xerr=spread[:, wide], fmt="none", **style)
    for cap in caps:
        cap.set_clip_on(False)
    for part in (*caps, *bars):  # seen on a bar as on the page
        part.set_path_effects([withStroke(linewidth=3.5, foreground=theme.background)])


def _overall(axes: Axes, overall: float, theme: Theme) -> None:
    """Draw the accuracy of all clips as a line, with its number above the axes."""
    axes.axvline(overall, color=theme.accent, linewidth=1.8, zorder=3)
    axes.annotate(
        f"all clips {100 * overall:.1f} %",
        (overall, 1),
        (0, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        color=theme.ink,
        fontsize=9.5,
    )


def _labels(axes: Axes, table: pd.DataFrame, theme: Theme) -> None:
    """Write the accuracy into each bar, or next to a short one, and the number of clips at the right edge."""
    for row, (share, high, n) in enumerate(zip(table["macro_accuracy"], table["high"], table["n_clips"], strict=True)):
        inside = share >= SHORT_BAR
        at, color = (0.008, theme.background) if inside else (max(share, high) + 0.012, theme.ink)
        axes.text(at, row, f"{100 * share:.1f} %", va="center", color=color, fontsize=9.5, fontweight="bold")
        axes.annotate(
            f"{n:,} clips",
            (1, row),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            color=theme.muted,
            fontsize=9,
        )


def _published(axes: Axes, table: pd.DataFrame, theme: Theme) -> None:
    """Draw published accuracies as open marks, the baseline's as squares, with a legend below the axes."""
    columns = [str(column) for column in table.columns if str(column).startswith(PUBLISHED)]
    named: set[str] = set()
    for column in columns:
        is_baseline = column == f"{PUBLISHED}Baseline"
        label = "published baseline" if is_baseline else "published systems 1 to 4 (Cao et al. 2021)"
        axes.scatter(
            table[column].to_numpy(dtype=float),
            np.arange(len(table)),
            marker="s" if is_baseline else "o",
            s=34,
            facecolors=theme.background,
            edgecolors=theme.warning,
            linewidths=1.4,
            zorder=5,
            label="_" if label in named else label,
        )
        named.add(label)
    if columns:
        figure = axes.get_figure(root=True)
        assert isinstance(figure, Figure)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=theme.ink, fontsize=9.5)
