"""Figure of a comparison: the fronts of several runs."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_prep.figures.style import Theme, styled, titled
from results.comparison.comparison import FRONT_SCORES, ComparedRun, Comparison, FrontScore, RunGroup
from results.report.figures.all import Plot
from results.report.figures.scales import accuracy_axis, size_axis
from results.report.figures.search import MANY, axis_title
from results.report.figures.style import Margins, legend_below, new_axes, series_look

TITLES: dict[FrontScore, tuple[str, str]] = {
    "macro_accuracy": ("Fronts by accuracy", "macro accuracy {scored}"),
    "log_loss": ("Fronts by log loss", "log loss of the files {scored}, nats"),
}


def all_plots(comparison: Comparison) -> dict[str, list[Plot]]:
    """Return {title of a group: its figures} of the groups that are compared and have a score."""
    plots: dict[str, list[Plot]] = {}
    for number, group in enumerate(comparison.groups, start=1):
        if group.is_compared:
            suffix = f"_{number}" if len(comparison.groups) > 1 else ""
            drawn = [score for score in FRONT_SCORES if _points(group, score)]
            plots[group.title] = [_plot(group, score, f"fronts_{score}{suffix}") for score in drawn]
    return plots


def _plot(group: RunGroup, score: FrontScore, stem: str) -> Plot:
    def draw(theme: Theme) -> Figure:
        """Draw with the style of the figures."""
        with styled():
            return front_figure(group, score, theme)

    fronts = ", ".join(f"{run.name} ({len(run.front(score))} points)" for run in group.runs)
    return Plot(stem, f"Fronts of {_axis(group, score)} against weight bytes: {fronts}.", draw)


def _axis(group: RunGroup, score: FrontScore) -> str:
    """Return the title of the axis of a score, with where the trials of these runs are scored."""
    return TITLES[score][1].format(scored=" or ".join(sorted({run.data.trials_scored for run in group.runs})))


def front_figure(group: RunGroup, score: FrontScore, theme: Theme) -> Figure:
    """Return the fronts of the finished trials of all runs of a group, with the selected candidates."""
    figure, axes = new_axes(theme, 9.2, 5.2, Margins())
    sizes, values = zip(*_points(group, score), strict=True)
    size_axis(axes, list(sizes), "weight_bytes")
    if score == "macro_accuracy":
        accuracy_axis(axes, list(values))
    else:
        axes.margins(y=0.08)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    right = axes.get_xlim()[1]
    for number, run in enumerate(group.runs):
        look = series_look(number, theme)
        _front(axes, run, score, right, look)
        if (found := _selected(run, score)) is not None:
            mark = {"color": look["color"], "marker": look["marker"]}
            axes.scatter(*found, s=130, linewidths=1.6, edgecolors=theme.ink, zorder=6, **mark)
    if any(_selected(run, score) for run in group.runs):
        label = "selected candidate, retrained"
        axes.scatter([], [], s=110, marker="o", facecolors="none", edgecolors=theme.ink, linewidths=1.6, label=label)
    axes.set_xlabel(axis_title("weight_bytes"), color=theme.ink)
    axes.set_ylabel(_axis(group, score), color=theme.ink)
    subtitle = f"{group.title}; lines: fronts of the finished trials; faint: other finished trials"
    titled(axes, theme, TITLES[score][0], subtitle)
    legend_below(axes, theme)
    return figure


def _front(axes: Axes, run: ComparedRun, score: FrontScore, right: float, look: dict[str, Any]) -> None:
    """Draw the front of a run as steps to the right end of the axes, and its other finished trials as faint marks."""
    color, marker = look["color"], look["marker"]
    front = run.front(score)
    if front.empty:
        axes.plot([], [], **look, label=f"run {run.name} (no finished trial)")
        return
    faint: dict[str, Any] = {"s": 16, "color": color, "marker": marker, "alpha": 0.35, "linewidths": 0, "zorder": 2}
    axes.scatter(run.values("weight_bytes"), run.values(score), rasterized=len(run.finished) > MANY, **faint)
    x, y = front["weight_bytes"].astype(float).tolist(), front[score].astype(float).tolist()
    axes.step([*x, right], [*y, y[-1]], where="post", color=color, linestyle=look["linestyle"], linewidth=1.6, zorder=3)
    axes.plot(x, y, color=color, marker=marker, markersize=6, linestyle="none", zorder=4)
    axes.plot(
        [], [], **look, linewidth=1.6, markersize=6, label=f"run {run.name}"
    )  # matplotlib leaves out labels that start with _


def _selected(run: ComparedRun, score: FrontScore) -> tuple[float, float] | None:
    """Return weight bytes and validation score of a run's selected candidate, None if there is none."""
    if run.data.selected is None:
        return None
    metrics = run.data.selected.metrics
    return float(metrics.weight_bytes), metrics.value("validation", score)


def _points(group: RunGroup, score: FrontScore) -> list[tuple[float, float]]:
    """Return weight bytes and score of everything that a figure shows."""
    trials = [point for run in group.runs for point in zip(run.values("weight_bytes"), run.values(score), strict=True)]
    selected = [found for run in group.runs if (found := _selected(run, score)) is not None]
    return [(float(x), float(y)) for x, y in [*trials, *selected] if x == x and y == y]
