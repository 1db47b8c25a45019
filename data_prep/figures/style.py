"""Style of the figures, for light and dark pages, and their reproducible writing (equal data give equal bytes).

Colours are Okabe and Ito's ("Color universal design", 2008), which colour-blind readers can distinguish. No figure
conveys information by colour only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data_prep.files.files import written_whole


@dataclass(frozen=True)
class Theme:
    """Colours of one kind of page."""

    background: str
    ink: str
    muted: str
    grid: str
    primary: str
    accent: str
    warning: str
    good: str
    ramp: tuple[str, ...]
    """Colours from little to much training."""


LIGHT = Theme(
    background="#ffffff",
    ink="#1f2933",
    muted="#5f6c7b",
    grid="#e6e9ee",
    primary="#0072B2",
    accent="#E69F00",
    warning="#C04A00",
    good="#009E73",
    ramp=("#b9dcf2", "#7dbfe6", "#3f9bd1", "#0072B2", "#00507d", "#00324f"),
)
DARK = Theme(
    background="#1a212b",
    ink="#e8ebf0",
    muted="#a3afbd",
    grid="#303a47",
    primary="#56B4E9",
    accent="#F2B33D",
    warning="#FF8A4C",
    good="#3CCB9E",
    ramp=("#27455a", "#2f6488", "#3a86b7", "#56B4E9", "#94d2f5", "#d3eefd"),
)

_PARAMETERS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "svg.hashsalt": "asc",
    "svg.fonttype": "path",
    "axes.unicode_minus": True,
    "path.simplify": True,
    "text.parse_math": False,  # names may contain dollar signs
}


@contextmanager
def styled() -> Iterator[None]:
    """Apply the style within the block, regardless of the user's matplotlibrc."""
    with mpl.rc_context():
        mpl.rcdefaults()
        for key, value in _PARAMETERS.items():
            mpl.rcParams[key] = value
        yield


def blank(theme: Theme, width: float, height: float) -> Figure:
    """Return an empty figure of `width` × `height` inches that can be rendered."""
    figure = Figure(figsize=(width, height), facecolor=theme.background)
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes, theme: Theme) -> None:
    """Remove the top and right spines and draw the grid behind the data."""
    axes.set_facecolor(theme.background)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(theme.muted)
    axes.tick_params(colors=theme.muted, labelcolor=theme.ink, length=4)
    axes.grid(visible=True, color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)


def titled(axes: Axes, theme: Theme, title: str, subtitle: str = "") -> None:
    """Add a left-aligned title and subtitle above the axes."""
    gap = 22 if subtitle else 8
    axes.set_title(title, loc="left", color=theme.ink, fontsize=13, fontweight="bold", pad=gap)
    if subtitle:
        corner, offset = (0, 1), (0, 7)
        style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(subtitle, corner, offset, color=theme.muted, fontsize=9.5, **style)


def to_svg(figure: Figure) -> bytes:
    """Return the figure as SVG; equal figures give equal bytes."""
    return _render(figure, "svg", metadata={"Date": None, "Creator": None})


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG at 160 dots per inch."""
    return _render(figure, "png", dpi=160, metadata={"Software": None})


def write_figure(figure: Figure, folder: Path, stem: str) -> bytes:
    """Write `<stem>.svg` and `<stem>.png`, and return the SVG."""
    svg = to_svg(figure)
    for suffix, content in ((".svg", svg), (".png", to_png(figure))):
        with written_whole(folder / f"{stem}{suffix}") as temporary:
            temporary.write_bytes(content)
    return svg


def _render(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=kind, facecolor=figure.get_facecolor(), **options)
    return buffer.getvalue()
