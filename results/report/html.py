"""Rendering of HTML pages that need no other file: templates in the report's style, figures embedded."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.files.files import write_text
from data_prep.wording import printable

if TYPE_CHECKING:
    from results.report.figures.all import Plot


def embed(plot: Plot, folder: Path, on_drawn: Callable[[], None] = lambda: None) -> dict[str, str]:
    """Write a figure to `folder` and return it for a page: alternative text, light and dark version as data URLs.

    Args:
        plot: the figure.
        folder: where `<stem>.png` and `<stem>.svg` are written.
        on_drawn: is called twice, after each version.
    """
    from data_prep.figures.style import DARK, LIGHT, to_svg, write_figure

    light = write_figure(plot.draw(LIGHT), folder, plot.stem)
    on_drawn()
    dark = to_svg(plot.draw(DARK))
    on_drawn()
    return {"alt": plot.alt, "light": _data_url(light), "dark": _data_url(dark)}


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> None:
    """Write a page.

    Args:
        path: the HTML file.
        template: path of the template within the package `results`, such as `report/report.html.j2`.
        content: all variables of the template.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("results", ""),
        autoescape=True,
        finalize=_inert,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    write_text(path, environment.get_template(template).render(content))


def _inert(value: Any) -> Any:
    """Return a value of the template with control characters and turns of writing direction as escapes."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")  # scripts are marked as safe
    return printable(value, keep="\n\t") if is_text else value


def _data_url(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
