"""Rendering of the report: one self-contained HTML page, tables as CSV, and figures as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from data_prep.progress import ProgressCallback
from results.report.content import page_content
from results.report.data import RunData, read_run_data
from results.report.html import embed, write_page
from results.report.pareto_view import library, pareto_view
from results.report.tables.all import all_tables, write_tables
from results.rundir import RunDirectory


def render_report(run: RunDirectory, on_progress: ProgressCallback | None = None) -> Path:
    """Write `report/index.html`, `report/tables/*.csv` and `report/figures/*.{png,svg}`; return the page's path.

    If the run has no search, candidates or ensemble, the page says so. The files are byte-identical for equal runs.

    Raises:
        RunError: if the ledger or the configuration is damaged.
        DataError: if a candidate's files are damaged.
    """
    from results.report.figures.all import all_plots

    data = read_run_data(run)
    tables = all_tables(data)
    write_tables(tables, run.tables_dir)
    plots = all_plots(data)
    count = _counter(on_progress, 2 * len(plots) + 2)
    count()
    figures = {plot.stem: embed(plot, run.figures_dir, count) for plot in plots}
    _remove_others(run.tables_dir, {f"{name}.csv" for name in tables})
    _remove_others(run.figures_dir, {f"{stem}{suffix}" for stem in figures for suffix in (".png", ".svg")})
    write_run_page(run, data, figures)
    count()
    return run.page_path


def write_run_page(run: RunDirectory, data: RunData, figures: Mapping[str, dict[str, str]]) -> None:
    """Write `report/index.html` with `figures`, {stem: what `embed` returns}; the page leaves out those not in it."""
    view = pareto_view(data)
    interactive = {"pareto_view": view, "library": library() if view else ""}
    write_page(run.page_path, "report/report.html.j2", {**page_content(data), "figures": figures, **interactive})


def _counter(on_progress: ProgressCallback | None, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        """Report one completed step."""
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total)

    return step


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove files of an earlier report that this report does not contain."""
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.is_file() and path.suffix in {".csv", ".png", ".svg"} and path.name not in names:
            path.unlink()
