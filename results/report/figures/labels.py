"""Direct labels that keep out of each other's way."""

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
"""Places to try, in points from the labelled spot, best first: beside it, then further out in rings."""
MARK_RADIUS = 5.0
"""Points around a mark that should stay visible."""
OVER_LABEL, OUTSIDE, CROSSED, AMBIGUOUS, OVER_MARK, FURTHER = 100.0, 80.0, 8.0, 6.0, 2.0, 0.1
"""What is worse than what: `CROSSED` is a text and another one's line, `AMBIGUOUS` nearer to another spot than to its
own, `FURTHER` each place further down in `OFFSETS`."""


@dataclass(frozen=True)
class _Canvas:
    """What is already there, in pixels."""

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
    """Write a text beside each spot (x, y, text, text properties) where it covers least.

    Args:
        axes: with their final limits, in a figure with fixed margins.
        spots: in data coordinates; the first ones choose first.
        obstacles: other marks in data coordinates that should stay visible.
        line_color: of the line to labels that stand further away.
    """
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # every Agg canvas has one
    scale = figure.dpi / 72
    places = np.array([(x, y) for x, y, _, _ in spots], dtype=np.float64).reshape(-1, 2)
    others = np.array([*obstacles], dtype=np.float64).reshape(-1, 2)
    marks: Points = axes.transData.transform(np.vstack([places, others]))
    canvas = _Canvas(axes.get_window_extent(renderer), scale, marks)
    canvas.boxes.extend(text.get_window_extent(renderer) for text in axes.texts)
    for number, (x, y, text, properties) in enumerate(spots):
        size = _measure(axes, text, properties, renderer)
        tried = []
        for rank, offset in enumerate(OFFSETS):
            box, line = _box(marks[number], offset, size, scale), _line(marks[number], offset, scale)
            cost = FURTHER * rank + _cost(box, line, canvas)
            if offset in NEAR and _is_ambiguous(box, marks[: len(places)], number):
                cost += AMBIGUOUS
            tried.append((cost, rank, box, line))
        _, rank, box, line = min(tried, key=lambda entry: entry[:2])
        _write(axes, (x, y), OFFSETS[rank], text, properties, line_color if len(line) else None)
        canvas.boxes.append(box)
        canvas.lines.append(line)


def _measure(axes: Axes, text: str, properties: dict[str, Any], renderer: Any) -> tuple[float, float, float]:
    """Return a text's width, its depth below and its height above the baseline, in pixels."""
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
    """Return points on the line from a mark to its label, none where the label stands close enough to do without."""
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
    """Return how bad a place is: over another label or outside the axes is worse than over marks."""
    padded = box.padded(2 * canvas.scale)
    over_labels = sum(padded.overlaps(other) for other in canvas.boxes)
    crossed = sum(bool(_inside(other, line).any()) for other in canvas.boxes)
    crossed += sum(bool(_inside(padded, other).any()) for other in canvas.lines)
    over_marks = min(int(_inside(box.padded(MARK_RADIUS * canvas.scale), canvas.marks).sum()), 4)
    frame = canvas.frame
    outside = not (frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1))
    return OVER_LABEL * over_labels + OUTSIDE * outside + CROSSED * crossed + OVER_MARK * over_marks


def _is_ambiguous(box: Bbox, spots: Points, own: int) -> bool:
    """Whether a text stands nearer to another spot than to its own."""
    beyond = np.maximum(np.maximum(box.min - spots, spots - box.max), 0)
    distance = np.hypot(beyond[:, 0], beyond[:, 1])
    return bool((np.delete(distance, own) < distance[own]).any())


def _inside(box: Bbox, points: Points) -> npt.NDArray[np.bool_]:
    return np.asarray(((points > box.min) & (points < box.max)).all(axis=1), dtype=np.bool_)
