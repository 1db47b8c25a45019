"""Rendering of the report: one self-contained HTML page, tables as CSV, and figures as PNG and SVG."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.files import write_text
from data_prep.progress import ProgressCallback
from data_prep.wording import printable
from results.report.content import page_content
from results.report.data import read_run_data
from results.report.pareto_view import library, pareto_view
from results.report.tables import all_tables, write_tables
from results.rundir import RunDirectory


def render_report(run: RunDirectory, on_progress: ProgressCallback | None = None) -> Path:
    """Write `report/index.html`, `report/tables/*.csv` and `report/figures/*.{png,svg}`; return the page's path.

    If the run has no search, candidates or ensemble, the page says so. The files are byte-identical for equal runs.

    Raises:
        RunError: if the ledger or the configuration is damaged.
        DataError: if a candidate's files are damaged.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from data_prep.figures.style import DARK, LIGHT, to_svg, write_figure
    from results.report.figures.all import Plot, all_plots

    data = read_run_data(run)
    tables = all_tables(data)
    write_tables(tables, run.tables_dir)
    plots = all_plots(data)
    count = _counter(on_progress, 2 * len(plots) + 2)

    def embed(plot: Plot) -> dict[str, str]:
        """Write a figure and return it as data URLs for the page."""
        light = write_figure(plot.draw(LIGHT), run.figures_dir, plot.stem)
        count()
        dark = to_svg(plot.draw(DARK))
        count()
        return {"alt": plot.alt, "light": _data_url(light), "dark": _data_url(dark)}

    count()
    figures = {plot.stem: embed(plot) for plot in plots}
    _remove_others(run.tables_dir, {f"{name}.csv" for name in tables})
    _remove_others(run.figures_dir, {f"{stem}{suffix}" for stem in figures for suffix in (".png", ".svg")})
    environment = Environment(
        loader=PackageLoader("results.report", ""),
        autoescape=True,
        finalize=_inert,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    view = pareto_view(data)
    interactive = {"pareto_view": view, "library": library() if view else ""}
    content: dict[str, Any] = {**page_content(data), "figures": figures, **interactive}
    write_text(run.page_path, environment.get_template("report.html.j2").render(content))
    count()
    return run.page_path


def _counter(on_progress: ProgressCallback | None, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        """Report one completed step."""
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total)

    return step


def _inert(value: Any) -> Any:
    """Return a value of the template with control characters and turns of writing direction as escapes."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")  # scripts are marked as safe
    return printable(value, keep="\n\t") if is_text else value


def _data_url(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove files of an earlier report that this report does not contain."""
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.is_file() and path.suffix in {".csv", ".png", ".svg"} and path.name not in names:
            path.unlink()
