"""Number of clips of each scene and device, by split."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_prep.corpora.splits import SPLITS
from data_prep.figures.data import PlotData
from data_prep.figures.style import Theme, blank, plain, titled
from data_prep.wording import shortened

_HATCHES = {"train": "", "validation": "////", "test": "", "evaluation": "...."}


def count_figure(data: PlotData, theme: Theme) -> Figure:
    """Return clips by scene and by device as bars, stacked by split."""
    clips = data.clips.assign(scene=data.clips["scene"].fillna("(unlabelled)"))
    scenes = [scene for scene in (*data.classes, "(unlabelled)") if (clips["scene"] == scene).any()]
    devices = sorted(clips["device"].unique())
    width, height = 12.0, 1.6 + 0.34 * max(len(scenes), len(devices))
    figure = blank(theme, width, height)
    grid = figure.add_gridspec(
        1, 2, left=1.75 / width, right=1 - 0.35 / width, top=1 - 0.72 / height, bottom=0.78 / height, wspace=0.32
    )
    for cell, column, names, title in (
        (grid[0], "scene", scenes, "Clips by scene"),
        (grid[1], "device", devices, "Clips by device"),
    ):
        axes = figure.add_subplot(cell)
        _draw_bars(axes, theme, pd.crosstab(clips[column], clips["split"]).reindex(names))
        axes.set_ylim(max(len(scenes), len(devices)) - 0.5, -0.5)  # equal bar heights on both sides
        titled(axes, theme, title, f"{data.name}, fold {data.fold}, as recorded (copies not counted)")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="lower left",
        bbox_to_anchor=(1.6 / width, 0.02),
        ncols=4,
        frameon=False,
        labelcolor=theme.ink,
    )
    return figure


def _draw_bars(axes: Axes, theme: Theme, counts: pd.DataFrame) -> None:
    plain(axes, theme)
    axes.grid(visible=False, axis="y")
    colours = {"train": theme.primary, "validation": theme.ramp[1], "test": theme.accent, "evaluation": theme.muted}
    positions = range(len(counts))
    left = pd.Series(0, index=counts.index)
    for split in SPLITS:
        if split in counts:
            bars = axes.barh(positions, counts[split], left=left, height=0.72, label=split, color=colours[split])
            for bar in bars:
                bar.set(hatch=_HATCHES[split], edgecolor=theme.background, linewidth=0.6)
            left = left + counts[split]
    for position, total in zip(positions, left, strict=True):
        axes.annotate(f"{total:,}", (total, position), (4, 0), textcoords="offset points", va="center", color=theme.ink)
    axes.set_yticks(positions, [shortened(str(name).replace("_", " ")) for name in counts.index])
    axes.set_xlim(0, max(1, left.max()) * 1.12)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
