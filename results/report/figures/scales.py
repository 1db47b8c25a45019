"""Limits and ticks of size and accuracy axes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from results.report.figures.style import kilobytes


def scale_axes(axes: Axes, sizes: list[float], values: list[float], limit: int, quantity: str) -> None:
    """Set the limits of the axes to contain all sizes, accuracies and the limit; the size axis is logarithmic."""
    size_axis(axes, sizes, quantity, limit)
    accuracy_axis(axes, values)


def size_axis(axes: Axes, sizes: list[float], quantity: str, limit: int | None = None) -> None:
    """Set the limits of the logarithmic size axis to contain all sizes and the limit, if any."""
    left = 0.85 * max(1.0, min([*sizes, *([] if limit is None else [limit / 4])]))
    right = max(1.3 * size for size in [left, *sizes])
    if limit is not None:  # leave room to its right for its name and for candidates that exceed it
        right = max(right, limit * max(2.4, (limit / left) ** 0.25))
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    reach = np.log(right / left)
    steps = (1, 2, 5) if reach < 9 else (1,)
    nice = [m * 10**e for e in range(0, 13) for m in steps]
    ticks = [tick for tick in nice if left <= tick <= right]
    if limit is not None:
        ticks = [*(tick for tick in ticks if abs(np.log(tick / limit)) > 0.075 * reach), limit]
    show = kilobytes if quantity.endswith("bytes") else (lambda value, _=None: f"{value:,.0f}")
    axes.set_xticks(ticks, [show(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def accuracy_axis(axes: Axes, values: list[float]) -> None:
    """Set the limits of the accuracy axis with room for labels; the ticks stay between 0 and 100 %."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = max(high - low, 0.1)
    bottom, top = max(low - 0.16 * span, -0.06 * span), high + 0.12 * span
    axes.set_ylim(bottom, top)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    ticks = [tick for tick in axes.get_yticks() if max(0.0, bottom) <= tick + 1e-9 and tick <= min(1.0, top) + 1e-9]
    digits = 0 if all(abs(100 * tick - round(100 * tick)) < 1e-6 for tick in ticks) else 1
    axes.set_yticks(ticks, [f"{100 * tick:.{digits}f} %" for tick in ticks])
    axes.spines["left"].set_bounds(bottom, min(1.0, top))
