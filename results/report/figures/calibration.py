"""Figure of the calibration on the test split: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from data_prep.figures.style import Theme, titled
from results.report.figures.style import Margins, new_axes, percent, series_look


def calibration_figure(bins: pd.DataFrame, labels: Mapping[str, str], theme: Theme) -> Figure:
    """Return a reliability diagram: a system whose confidence is right is on the diagonal.

    Args:
        bins: rows of results.report.tables.calibration.calibration_table.
        labels: {system: name in the legend}, in the order of drawing.
        theme: colours.
    """
    figure, axes = new_axes(theme, 6.6, 6.4, Margins(bottom=1.05))
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1.2, linestyle=(0, (1, 2)), zorder=2)
    for number, (system, label) in enumerate(labels.items()):
        rows, look = bins[bins["system"] == system], series_look(number, theme)
        x, y = rows["confidence"].to_numpy(), rows["accuracy"].to_numpy()
        area = 16 + 500 * (rows["n_clips"] / rows["n_clips"].sum()).to_numpy()
        axes.plot(x, y, color=look["color"], linewidth=1.2, alpha=0.7, zorder=3)
        mark = {"color": look["color"], "marker": look["marker"], "edgecolors": theme.background, "linewidths": 0.8}
        axes.scatter(x, y, s=area, **mark, zorder=4)
        axes.plot([], [], **look, label=label)
    ticks = np.linspace(0, 1, 6)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    for axis, name in ((axes.xaxis, "confidence: highest probability"), (axes.yaxis, "correct clips")):
        axis.set_ticks(ticks)
        axis.set_major_formatter(FuncFormatter(percent))
        axis.set_label_text(name, color=theme.ink)
    titled(axes, theme, "Calibration on test", "larger marks: more clips; below the dotted line: over-confident")
    figure.legend(loc="lower center", ncols=2, frameon=False, labelcolor=theme.ink, fontsize=9.5)
    return figure
