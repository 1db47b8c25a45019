"""Figure of a cross-validation: accuracy of every fold and seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from data_prep.figures.style import Theme, titled
from results.crossval.scores import Crossval
from results.report.figures.scales import accuracy_axis
from results.report.figures.style import Margins, new_axes

N_SYSTEMS = 4
"""Most systems that the figure shows, those with the lowest log loss."""
N_IN_ROW = 2
"""Most systems in a row of the legend: names may be long."""


def fold_figure(scores: Crossval, theme: Theme) -> Figure:
    """Return the accuracy of each fold and seed as marks, systems side by side, with means over seeds and folds."""
    shown = scores.systems[:N_SYSTEMS]
    folds = sorted({fold for system in shown for fold in system.folds})
    figure, axes = new_axes(theme, 9.2, 4.2, Margins(bottom=0.82 if len(shown) <= N_IN_ROW else 1.05))
    colors = (theme.primary, theme.accent, theme.good, theme.muted)
    for i, (system, color) in enumerate(zip(shown, colors, strict=False)):
        offset = 0.16 * (i - (len(shown) - 1) / 2)
        x = [folds.index(one.fold) + offset for one in system.scores]
        label = f"{system.name}: mean {100 * system.accuracy.mean:.1f} %"
        y = [one.accuracy for one in system.scores]
        axes.scatter(x, y, s=70, color=color, edgecolors=theme.ink, linewidths=0.8, zorder=4, label=label)
        for fold, mean in system.by_fold().items():
            at = folds.index(fold) + offset
            axes.plot([at - 0.07, at + 0.07], [mean, mean], color=theme.ink, linewidth=1.6, zorder=5)
        axes.axhline(system.accuracy.mean, color=color, linewidth=1.4, linestyle=(0, (5, 3)), zorder=2)
    axes.set_xticks(np.arange(len(folds)), [f"fold {fold}" for fold in folds])
    accuracy_axis(axes, [one.accuracy for system in shown for one in system.scores])
    axes.set_ylabel(f"macro accuracy, {scores.split}", color=theme.ink)
    n_seeds = max(len(system.seeds) for system in shown)
    what = "one mark per seed" if n_seeds > 1 else "one training per fold"
    left_out = f"; the {N_SYSTEMS} systems with the lowest log loss" if len(scores.systems) > N_SYSTEMS else ""
    titled(axes, theme, "Accuracy by fold", f"exported files; {what}; dashed: mean over folds{left_out}")
    below: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (-0.01, -0.1), "ncols": min(len(shown), N_IN_ROW)}
    axes.legend(**below, frameon=False, labelcolor=theme.ink, fontsize=9.5)
    return figure
