"""Placement of direct labels without overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

Offset = tuple[float, float]
Points = npt.NDArray[np.float64]

NEAR: tuple[Offset, ...] = ((11, -3), (-11, -3), (11, 8), (11, -14), (-11, 8), (-11, -14), (0, 12), (0, -20))
RINGS = (26, 42, 60, 80, 102, 126, 152, 180)
OFFSETS: tuple[Offset, ...] = (
    *NEAR,
    *(
        (round(radius * np.cos(angle), 1) or 0.0, round(radius * np.sin(angle) - 3, 1))
        for radius in RINGS
        for angle in np.deg2rad([40, 140, -40, -140, 65, 115, -65, -115, 15, 165, -15, -165])
    ),
)
"""Candidate offsets from the labelled point in typographic points, best first: adjacent, then in growing rings."""
MARK_RADIUS = 5.0
"""Radius around a mark that should remain visible, in typographic points."""
OVER_LABEL, OUTSIDE, CROSSED, AMBIGUOUS, OVER_MARK, FURTHER = 100.0, 80.0, 8.0, 6.0, 2.0, 0.1
"""Costs of an offset. `CROSSED`: a label and the leader line of another label intersect; `AMBIGUOUS`: the label is
nearer to another point than to its own; `FURTHER`: each position further down in `OFFSETS`."""


@dataclass(frozen=True)
class _Canvas:
    """Occupied parts of the axes, in pixels."""

    frame: Bbox
    scale: float
    """Pixels per point."""
    marks: Points
    boxes: list[Bbox] = field(default_factory=list)
    lines: list[Points] = field(default_factory=list)


def place_labels(
    axes: Axes,
    spots: Sequence[tuple[float, float, str, dict[str, Any]]],
    obstacles: Sequence[tuple[float, float]],
    line_color: str,
) -> None:
    """Draw a label for each of `spots` at the offset with the lowest cost.

    Args:
        axes: axes with their final limits, in a figure with fixed margins.
        spots: (x, y, text, text properties), in data coordinates, placed in this order.
        obstacles: other marks in data coordinates that should remain visible.
        line_color: colour of the leader lines to labels that are not adjacent.
    """
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # every Agg canvas has one
    scale = figure.dpi / 72
    points = np.array([(x, y) for x, y, _, _ in spots], dtype=np.float64).reshape(-1, 2)
    others = np.array([*obstacles], dtype=np.float64).reshape(-1, 2)
    marks: Points = axes.transData.transform(np.vstack([points, others]))
    canvas = _Canvas(axes.get_window_extent(renderer), scale, marks)
    canvas.boxes.extend(text.get_window_extent(renderer) for text in axes.texts)
    for number, (x, y, text, properties) in enumerate(spots):
        size = _measure(axes, text, properties, renderer)
        tried = []
        for rank, offset in enumerate(OFFSETS):
            box, line = _box(marks[number], offset, size, scale), _line(marks[number], offset, scale)
            cost = FURTHER * rank + _cost(box, line, canvas)
            if offset in NEAR and _is_ambiguous(box, marks[: len(points)], number):
                cost += AMBIGUOUS
            tried.append((cost, rank, box, line))
        _, rank, box, line = min(tried, key=lambda entry: entry[:2])
        _write(axes, (x, y), OFFSETS[rank], text, properties, line_color if len(line) else None)
        canvas.boxes.append(box)
        canvas.lines.append(line)


def _measure(axes: Axes, text: str, properties: dict[str, Any], renderer: Any) -> tuple[float, float, float]:
    """Return the width of a text, its depth below and its height above the baseline, in pixels."""
    trial = axes.annotate(text, (0, 0), xycoords="figure pixels", va="baseline", **properties)
    box = trial.get_window_extent(renderer)
    trial.remove()
    return float(box.width), float(-box.y0), float(box.y1)


def _box(mark: Points, offset: Offset, size: tuple[float, float, float], scale: float) -> Bbox:
    width, depth, height = size
    x, y = mark[0] + offset[0] * scale, mark[1] + offset[1] * scale
    left = x - {"left": 0.0, "right": width, "center": width / 2}[_align(offset)]
    return Bbox.from_extents(left, y - depth, left + width, y + height)


def _line(mark: Points, offset: Offset, scale: float) -> Points:
    """Return points on the leader line from a mark to its label, none for adjacent labels."""
    if offset in NEAR:
        return np.empty((0, 2))
    along = np.linspace(0.2, 0.9, 12)[:, None]
    points: Points = mark + along * np.array(offset) * scale
    return points


def _align(offset: Offset) -> Literal["left", "right", "center"]:
    return "left" if offset[0] > 0 else "right" if offset[0] < 0 else "center"


def _write(
    axes: Axes, spot: tuple[float, float], offset: Offset, text: str, properties: dict[str, Any], line: str | None
) -> Annotation:
    arrow = {"arrowstyle": "-", "color": line, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 5} if line else None
    annotation = axes.annotate(
        text,
        spot,
        offset,
        textcoords="offset points",
        ha=_align(offset),
        va="baseline",
        zorder=9,
        arrowprops=arrow,
        annotation_clip=False,
        **properties,
    )
    if annotation.arrow_patch is not None:
        annotation.arrow_patch.set_zorder(5.5)  # below the candidates' marks
    return annotation


def _cost(box: Bbox, line: Points, canvas: _Canvas) -> float:
    """Return the cost of a position from overlaps with labels, lines, marks and the frame."""
    padded = box.padded(2 * canvas.scale)
    over_labels = sum(padded.overlaps(other) for other in canvas.boxes)
    crossed = sum(bool(_inside(other, line).any()) for other in canvas.boxes)
    crossed += sum(bool(_inside(padded, other).any()) for other in canvas.lines)
    over_marks = min(int(_inside(box.padded(MARK_RADIUS * canvas.scale), canvas.marks).sum()), 4)
    frame = canvas.frame
    outside = not (frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1))
    return OVER_LABEL * over_labels + OUTSIDE * outside + CROSSED * crossed + OVER_MARK * over_marks


def _is_ambiguous(box: Bbox, spots: Points, own: int) -> bool:
    """Return whether a label is nearer to another point than to its own."""
    beyond = np.maximum(np.maximum(box.min - spots, spots - box.max), 0)
    distance = np.hypot(beyond[:, 0], beyond[:, 1])
    return bool((np.delete(distance, own) < distance[own]).any())


def _inside(box: Bbox, points: Points) -> npt.NDArray[np.bool_]:
    return np.asarray(((points > box.min) & (points < box.max)).all(axis=1), dtype=np.bool_)
