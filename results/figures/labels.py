"""Direct labels that keep out of each other's way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

OFFSETS = (
    *((11, -3), (11, 8), (11, -14), (-11, -3), (-11, 8), (-11, -14), (0, 13), (0, -20)),
    *((22, 20), (-22, 20), (22, -28), (-22, -28), (34, 34), (-34, 34), (34, -42), (-34, -42), (0, 46), (0, -54)),
)
"""Places to try, in points from the labelled spot, best first."""


def place_labels(
    axes: Axes,
    spots: Sequence[tuple[float, float, str, dict[str, Any]]],
    obstacles: Sequence[tuple[float, float]],
    line_color: str,
) -> None:
    """Write a text beside each spot (x, y, text, text properties) where it covers least.

    Args:
        axes: with their final limits.
        spots: in data coordinates; the first ones choose first.
        obstacles: other marks in data coordinates that should stay visible.
        line_color: of the line to labels that stand further away.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides where data coordinates lie
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # every Agg canvas has one
    marks = [axes.transData.transform(point) for point in [*obstacles, *((x, y) for x, y, _, _ in spots)]]
    taken: list[Bbox] = []
    frame = axes.get_window_extent(renderer)
    for x, y, text, properties in spots:
        tried = []
        for rank, offset in enumerate(OFFSETS):
            trial = _write(axes, (x, y), offset, text, properties)
            box = trial.get_window_extent(renderer)
            trial.remove()
            tried.append((0.2 * rank + _cost(box, taken, marks, frame), rank, box))
        _, rank, box = min(tried, key=lambda entry: entry[:2])
        far = max(map(abs, OFFSETS[rank])) > 20
        line = {"arrowstyle": "-", "color": line_color, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 5}
        _write(axes, (x, y), OFFSETS[rank], text, properties, line if far else None)
        taken.append(box)


def _write(
    axes: Axes,
    spot: tuple[float, float],
    offset: tuple[int, int],
    text: str,
    properties: dict[str, Any],
    line: dict[str, Any] | None = None,
) -> Annotation:
    align: Literal["left", "right", "center"] = "left" if offset[0] > 0 else "right" if offset[0] < 0 else "center"
    return axes.annotate(
        text, spot, offset, textcoords="offset points", ha=align, va="baseline", zorder=9, arrowprops=line, **properties
    )


def _cost(box: Bbox, taken: Sequence[Bbox], marks: Sequence[Any], frame: Bbox) -> float:
    """Return how bad a place is: over another label or outside the axes is worse than over a mark."""
    padded = box.padded(2)
    over_labels = sum(padded.overlaps(other) for other in taken)
    over_marks = sum(padded.contains(*mark) for mark in marks)
    outside = not (frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1))
    return 20.0 * over_labels + 2.0 * over_marks + 15.0 * outside
