"""Figures of the search: accuracy against size and accuracy over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator

from asc_models.rules import QUANTITY_TITLES, Quantity
from data_prep.figures.style import Theme, titled
from data_prep.wording import plural
from results.ledger.events import of_kind
from results.pareto import pareto_front
from results.report.data import RunData
from results.report.figures.labels import place_labels
from results.report.figures.scales import accuracy_axis, scale_axes
from results.report.figures.style import Margins, legend_below, new_axes

MANY = 1000
"""More marks than this are drawn as an image within the SVG, which would otherwise take megabytes."""


def pareto_figure(data: RunData, theme: Theme) -> Figure:
    """Return accuracy against size: trials, infeasible proposals, front, limit, candidates, ensembles."""
    figure, axes = new_axes(theme, 9.2, 5.6, Margins())
    quantity, limit = data.limit.quantity, data.limit.limit
    size, accuracy = trial_sizes(data), data.trials["macro_accuracy"].to_numpy(dtype=np.float64)
    trained = ~np.isnan(size) & ~np.isnan(accuracy) & (data.trials["state"] != "infeasible").to_numpy(dtype=bool)
    marks = _marks(data)
    everything = [*zip(size[trained], accuracy[trained], strict=True), *((x, y) for x, y, *_ in marks)]
    scale_axes(axes, [x for x, _ in everything], [y for _, y in everything], limit, quantity)
    _trials(axes, data.trials[trained], size[trained], accuracy[trained], theme)
    finished = trained & (data.trials["state"] == "finished").to_numpy(dtype=bool)
    front = pareto_front(accuracy[finished], size[finished])
    if len(front):
        best = accuracy[finished][front]
        edges = [*size[finished][front], limit]
        axes.step(
            edges,
            [*best, best[-1]],
            where="post",
            color=theme.ink,
            linewidth=1.4,
            zorder=3,
            label="front of the finished trials",
        )
    _limit(axes, data, theme)
    for x, y, _, look in marks:
        axes.scatter([x], [y], zorder=6, linewidths=1.3, edgecolors=theme.ink, **_marker(look, theme))
    if marks:
        axes.scatter([], [], linewidths=1.3, edgecolors=theme.ink, label="retrained", **_marker("candidate", theme))
    if any(look == "ensemble" for *_, look in marks):
        axes.scatter([], [], linewidths=1.3, edgecolors=theme.ink, label="ensemble", **_marker("ensemble", theme))
    axes.set_xlabel(axis_title(quantity), color=theme.ink)
    axes.set_ylabel(f"macro accuracy {data.all_scored}", color=theme.ink)
    n_infeasible = int((data.trials["state"] == "infeasible").sum())
    titled(
        axes,
        theme,
        "Accuracy against size",
        f"{plural(int(trained.sum()), 'trial')} with a value, {int(finished.sum()):,} of them finished; "
        f"{plural(n_infeasible, 'proposal')} over the limit, not trained",
    )
    legend_below(axes, theme)
    labels = [(x, y, text, _text(look, theme)) for x, y, text, look in marks]
    lines = [(limit, y) for y in np.linspace(*axes.get_ylim(), 60)]  # keep the limit readable
    if len(front):
        at = np.geomspace(max(1.0, edges[0]), max(1.0, edges[-1]), 60)
        lines += [(x, best[max(0, np.searchsorted(edges[:-1], x, side="right") - 1)]) for x in at]
    place_labels(axes, labels, [*zip(size[trained], accuracy[trained], strict=True), *lines], theme.muted)
    return figure


def learning_figure(data: RunData, theme: Theme) -> Figure:
    """Return accuracy over epochs, one line per trial; finished trials and the best one are highlighted."""
    figure, axes = new_axes(theme, 9.2, 4.6, Margins(bottom=0.82))
    rungs = data.rungs.dropna(subset=["epochs", "macro_accuracy"])
    finished = set(data.trials["trial_id"][data.trials["state"] == "finished"])
    labels: list[tuple[float, float, str, dict[str, Any]]] = []
    curves = _by_trial(rungs)
    best = _best_trial(rungs[rungs["trial_id"].isin(finished)])
    _curves(axes, [curve for name, curve in curves.items() if name not in finished], theme.muted, is_finished=False)
    _curves(axes, [curves[name] for name in curves if name in finished and name != best], theme.primary)
    if best is not None:
        x, y = curves[best].T
        axes.plot(x, y, color=theme.accent, linewidth=2.4, marker="o", markersize=5, markeredgewidth=0, zorder=4)
        labels.append((x[-1], y[-1], f"{best}  {100 * y[-1]:.1f} %", {"color": theme.ink, "fontweight": "bold"}))
    epochs = sorted({int(value) for value in rungs["epochs"]})
    if len(epochs) > 1:
        axes.set_xscale("log")
    n_at = rungs.groupby("epochs")["trial_id"].nunique()
    axes.set_xticks(epochs, [f"{value}\n{n_at[value]} trial{'s' if n_at[value] != 1 else ''}" for value in epochs])
    axes.xaxis.set_minor_locator(NullLocator())
    accuracy_axis(axes, rungs["macro_accuracy"].tolist())
    if len(epochs) > 1:  # room for the name of the best trial
        reach = epochs[-1] / epochs[0]
        axes.set_xlim(epochs[0] * reach**-0.08, epochs[-1] * reach**0.3)
    axes.set_xlabel("epochs trained, at the ends of the warm-restart cycles", color=theme.ink)
    axes.set_ylabel(f"macro accuracy {data.trials_scored}", color=theme.ink)
    titled(axes, theme, "Epochs of the search by trial", "one line per trial; unfinished trials are grey")
    every = 1 + len(curves) // MANY  # obstacles of one label: of many lines, some will do
    obstacles = [point for curve in [*curves.values()][::every] for point in _along(curve)]
    place_labels(axes, labels, obstacles, theme.muted)
    return figure


def axis_title(quantity: Quantity) -> str:
    """Return the title of an axis of a quantity, with its unit."""
    title = QUANTITY_TITLES[quantity]
    return f"{title} (1 kB = 1000 bytes)" if quantity.endswith("bytes") else title


def _curves(axes: Axes, curves: Sequence[npt.NDArray[np.float64]], color: str, *, is_finished: bool = True) -> None:
    """Draw curves of points (epochs, accuracy) as one collection."""
    if not curves:
        return
    look: dict[str, Any] = {
        "alpha": 1.0 if is_finished else 0.55,
        "zorder": 4 if is_finished else 2,
        "rasterized": len(curves) > MANY,
    }
    axes.add_collection(LineCollection(curves, colors=color, linewidths=1.6 if is_finished else 0.9, **look))
    x, y = np.concatenate(curves).T
    axes.scatter(x, y, s=(5 if is_finished else 3.5) ** 2, color=color, linewidths=0, **look)


def _by_trial(rungs: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Return {trial: points (epochs, accuracy), shape (n_rungs, 2)}, sorted by epochs."""
    if rungs.empty:
        return {}
    ordered = rungs.sort_values(["trial_id", "epochs"], kind="stable")
    points = ordered[["epochs", "macro_accuracy"]].to_numpy(dtype=np.float64)
    names, starts = np.unique(ordered["trial_id"].to_numpy(dtype=str), return_index=True)
    return dict(zip(names.tolist(), np.split(points, starts[1:]), strict=True))


def _along(curve: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return points along the line of a trial, interpolated linearly in the logarithm of the epochs."""
    x, y = np.log(curve[:, 0]), curve[:, 1]
    at = np.linspace(x[0], x[-1], 40)
    return list(zip(np.exp(at).tolist(), np.interp(at, x, y).tolist(), strict=True))


def trial_sizes(data: RunData) -> npt.NDArray[np.float64]:
    """Return each trial's displayed limited quantity. Unmeasured bytes are replaced by the weight bytes estimate."""
    quantity = data.limit.quantity
    if quantity == "peak_activation_bytes":  # not in the table, only in the ledger
        known = {event["trial_id"]: event.get(quantity) for event in of_kind(data.events, "trial_started")}
        return np.array([known.get(trial_id) for trial_id in data.trials["trial_id"]], dtype=np.float64)
    sizes = data.trials[quantity]
    if quantity.endswith("bytes"):
        sizes = sizes.fillna(data.trials["weight_bytes"])
    values: npt.NDArray[np.float64] = sizes.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _best_trial(rungs: pd.DataFrame) -> str | None:
    """Return the trial with the best accuracy at its last rung, None if there is none."""
    last = rungs.sort_values("epochs", kind="stable").groupby("trial_id").tail(1).sort_values("macro_accuracy")
    return None if last.empty else str(last["trial_id"].iloc[-1])


def _marks(data: RunData) -> list[tuple[float, float, str, str]]:
    """Return (size, validation accuracy, label, look) of candidates and ensembles, the selected one first."""
    selected = data.selected.name if data.selected else None
    rows = [
        (
            float(data.size(candidate)),
            candidate.metrics.value("validation", "macro_accuracy"),
            f"{candidate.name} (selected)" if candidate.name == selected else candidate.name,
            "selected" if candidate.name == selected else "candidate",
        )
        for candidate in data.candidates
    ]
    rows += [
        (
            float(ensemble.total_bytes),
            float(ensemble.metrics.get("validation", {}).get("macro_accuracy", np.nan)),
            f"{ensemble.name} of {len(ensemble.members)}",
            "ensemble",
        )
        for ensemble in data.ensembles
        if not ensemble.is_single
    ]
    return sorted((row for row in rows if not np.isnan(row[1])), key=lambda row: row[3] != "selected")


def _marker(look: str, theme: Theme) -> dict[str, Any]:
    if look == "ensemble":
        return {"marker": "*", "s": 260, "color": theme.good}
    return {"marker": "D", "s": 95 if look == "selected" else 58, "color": theme.accent}


def _text(look: str, theme: Theme) -> dict[str, Any]:
    halo = withStroke(linewidth=2.5, foreground=theme.background)  # keep text readable over lines
    weight = "bold" if look != "candidate" else "normal"
    return {"color": theme.ink, "fontsize": 10, "fontweight": weight, "path_effects": [halo]}


def _trials(axes: Axes, trials: pd.DataFrame, size: Any, accuracy: Any, theme: Theme) -> None:
    """Draw the trials, darker and larger with more epochs."""
    epochs = trials["epochs"].to_numpy(dtype=np.float64, na_value=0)
    levels = sorted(set(epochs.tolist()))
    for level, value in enumerate(levels):
        rows = epochs == value
        share = (level + 1) / len(levels)
        color = theme.ramp[round(share * (len(theme.ramp) - 2))]
        axes.scatter(
            size[rows],
            accuracy[rows],
            s=22 + 34 * share,
            color=color,
            edgecolors=theme.background,
            linewidths=0.6,
            zorder=4,
            label=f"{value:.0f} epochs",
            rasterized=len(trials) > MANY,
        )


def _limit(axes: Axes, data: RunData, theme: Theme) -> None:
    """Draw the limit, and the sizes of infeasible proposals as crosses on the size axis."""
    limit, (left, right) = data.limit.limit, axes.get_xlim()
    axes.axvspan(limit, right, color=theme.warning, alpha=0.05, linewidth=0, zorder=1)
    axes.axvline(limit, color=theme.warning, linewidth=1.6, linestyle=(0, (5, 3)), zorder=2)
    is_infeasible = (data.trials["state"] == "infeasible").to_numpy(dtype=bool)
    sizes = trial_sizes(data)[is_infeasible]
    shown = sizes[(sizes < right) & (sizes > left)]
    axes.plot(
        shown,
        np.full(len(shown), 0.03),
        linestyle="none",
        marker="x",
        markersize=7,
        markeredgewidth=1.6,
        color=theme.warning,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        zorder=5,
        label="over the limit, not trained: no score" if len(sizes) else "_",
    )
    offset: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "fontsize": 9.5}
    unit = " bytes" if data.limit.quantity.endswith("bytes") else ""
    text = f"{data.limit.rule}: at most\n{limit:,}{unit}"
    axes.annotate(text, (limit, 1), (7, -6), va="top", color=theme.warning, **offset)
    n_further = int((sizes >= right).sum())
    if n_further:
        further = f"{n_further} more →"
        axes.annotate(further, (right, 0.03), (-4, 9), ha="right", va="bottom", color=theme.warning, **offset)
