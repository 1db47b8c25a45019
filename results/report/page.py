"""The run as one HTML page that needs nothing beside it, with its tables as CSV and its figures as PNG and SVG."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.files import write_text
from data_prep.progress import ProgressCallback
from results.report.content import page_content
from results.report.data import read_run_data
from results.report.tables import all_tables, write_tables
from results.rundir import RunDirectory


def render_report(run: RunDirectory, on_progress: ProgressCallback | None = None) -> Path:
    """Write `report/index.html`, `report/tables/*.csv` and `report/figures/*.{png,svg}`; return the page's path.

    What the run lacks (a search, candidates, an ensemble) the page says instead of failing. Equal runs give equal
    bytes.

    Raises:
        RunError: if the ledger or the configuration is damaged.
        DataError: if a candidate's files are.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from data_prep.figures.style import DARK, LIGHT, to_svg, write_figure
    from results.report.figures.all import Plot, all_plots

    data = read_run_data(run)
    tables = all_tables(data)
    write_tables(tables, run.tables_dir)
    plots = all_plots(data)
    told = _counter(on_progress, 2 * len(plots) + 2)

    def embed(plot: Plot) -> dict[str, str]:
        """Write a figure and return it as addresses for the page."""
        light = write_figure(plot.draw(LIGHT), run.figures_dir, plot.stem)
        told()
        dark = to_svg(plot.draw(DARK))
        told()
        return {"alt": plot.alt, "light": _data_url(light), "dark": _data_url(dark)}

    told()
    figures = {plot.stem: embed(plot) for plot in plots}
    _remove_others(run.tables_dir, {f"{name}.csv" for name in tables})
    _remove_others(run.figures_dir, {f"{stem}{suffix}" for stem in figures for suffix in (".png", ".svg")})
    environment = Environment(
        loader=PackageLoader("results.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    content: dict[str, Any] = {**page_content(data), "figures": figures}
    write_text(run.page_path, environment.get_template("report.html.j2").render(content))
    told()
    return run.page_path


def _counter(on_progress: ProgressCallback | None, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        """Tell of one more step done."""
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total)

    return step


def _data_url(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove what an earlier report left and this one has no data for, so that nothing stale stands beside the page."""
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.is_file() and path.suffix in {".csv", ".png", ".svg"} and path.name not in names:
            path.unlink()
