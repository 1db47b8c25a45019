"""Figure of the retraining: loss and validation scores of every epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_prep.figures.style import Theme, blank, plain, titled
from data_prep.wording import shortened
from results.report.figures.scales import accuracy_axis
from results.report.figures.style import legend_below, series_look

PANELS = {
    "loss": "training loss, nats",
    "log_loss": "validation log loss, nats",
    "macro_accuracy": "validation macro accuracy",
}
"""{column of a history: label of its axis}, top to bottom."""
ABOVE_CHANCE = 1.2
"""The axis of the log loss ends at this multiple of the log loss of equal probabilities."""
N_MARKERS = 12
"""About how many markers a line has, to tell lines apart without colour."""


def training_figure(histories: Mapping[str, pd.DataFrame], theme: Theme, n_scenes: int = 0) -> Figure:
    """Return training loss, validation log loss and validation accuracy over epochs, one line per candidate.

    A validation panel without any value is left out: a training on all clips has no validation.

    Args:
        histories: {candidate: result of results.candidates.history.read_history}, at least one.
        theme: colours.
        n_scenes: number of scenes; the axis of the log loss ends a little above that of chance, 0 shows all values.
    """
    scored = {column for history in histories.values() for column in PANELS if history[column].notna().any()}
    panels = [column for column in PANELS if column == "loss" or column in scored]
    width, height = 9.2, 1.9 + 2.1 * len(panels)
    figure = blank(theme, width, height)
    figure.subplots_adjust(0.95 / width, right=1 - 0.25 / width, top=1 - 0.66 / height, hspace=0.16)
    rows: list[Axes] = [*figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]]
    for axes, column in zip(rows, panels, strict=True):
        plain(axes, theme)
        _mark_schedules(axes, histories, theme)
        for number, (name, history) in enumerate(histories.items()):
            _draw(axes, history, column, series_look(number, theme), shortened(name), theme)
        axes.set_ylabel(PANELS[column], color=theme.ink, fontsize=9.5)
        if column == "log_loss" and n_scenes > 1:
            _cut(axes, histories, ABOVE_CHANCE * math.log(n_scenes), theme)
        if column == "macro_accuracy":
            accuracy_axis(axes, [value for history in histories.values() for value in history[column].dropna()])
    last = rows[-1]
    _name_marks(last, pd.concat(histories.values()), theme)
    last.set_xlabel("epochs", color=theme.ink)
    last.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    titled(
        rows[0], theme, "Training of the candidates", "networks before their export; training loss on augmented clips"
    )
    figure.align_ylabels(rows)
    legend_below(last, theme)
    return figure


def _cut(axes: Axes, histories: Mapping[str, pd.DataFrame], top: float, theme: Theme) -> None:
    """End the axis of the log loss at `top` if values are above it: marks at the edge show those, a note says so."""
    highest = max(history["log_loss"].max() for history in histories.values())
    if not highest > top:
        return
    axes.set_ylim(0, top)
    for number, history in enumerate(histories.values()):
        above = history.loc[history["log_loss"] > top, "epoch"]
        color = series_look(number, theme)["color"]
        axes.plot(above, [top] * len(above), linestyle="none", marker="^", color=color, clip_on=False, zorder=5)
    note = f"▲ above the axis, at most {highest:.1f}"
    axes.annotate(note, (1, 1), (-4, -6), "axes fraction", "offset points", ha="right", va="top", color=theme.muted)


def _draw(axes: Axes, history: pd.DataFrame, column: str, look: dict[str, Any], name: str, theme: Theme) -> None:
    """Draw the line of one candidate; the validation score of its averaged weights is a star."""
    epochs, average = history[~history["is_average"]], history[history["is_average"]]
    every = max(1, len(epochs) // N_MARKERS)
    axes.plot(
        epochs["epoch"], epochs[column], **look, linewidth=1.4, markersize=5, markevery=every, label=name, zorder=3
    )
    if column != "loss":  # the average is not trained
        style: dict[str, Any] = {"marker": "*", "s": 150, "edgecolors": theme.ink, "zorder": 5}
        axes.scatter(average["epoch"], average[column], color=look["color"], **style)


def _mark_schedules(axes: Axes, histories: Mapping[str, pd.DataFrame], theme: Theme) -> None:
    """Draw restarts of the learning rate as dotted lines and shade averaged epochs.

    Once in grey if all candidates agree; otherwise in the colour of each candidate.
    """
    for color, ends in _marked(histories, "is_cycle_end", theme):
        for end in ends:
            axes.axvline(end, color=color, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    for color, averaged in _marked(histories, "is_averaged", theme):
        if averaged:
            axes.axvspan(averaged[0] - 0.5, averaged[-1], color=color, alpha=0.12, linewidth=0, zorder=1)


def _marked(histories: Mapping[str, pd.DataFrame], flag: str, theme: Theme) -> list[tuple[str, list[int]]]:
    """Return (colour, epochs with the flag) of each candidate; once if all agree."""
    epochs = [history.loc[history[flag], "epoch"].tolist() for history in histories.values()]
    if all(one == epochs[0] for one in epochs):
        return [(theme.muted, epochs[0])]
    return [(series_look(number, theme)["color"], one) for number, one in enumerate(epochs)]


def _name_marks(axes: Axes, epochs: pd.DataFrame, theme: Theme) -> None:
    """Add the marks that occur to the legend."""
    if epochs["is_cycle_end"].any():
        axes.plot([], [], color=theme.muted, linewidth=1, linestyle=(0, (1, 2)), label="learning rate restarts")
    if epochs["is_averaged"].any():
        axes.fill_between([], [], color=theme.muted, alpha=0.25, linewidth=0, label="averaged epochs")
    if epochs.loc[epochs["is_average"], "log_loss"].notna().any():
        style: dict[str, Any] = {"marker": "*", "s": 130, "color": theme.muted, "edgecolors": theme.ink}
        axes.scatter([], [], **style, label="averaged weights")
