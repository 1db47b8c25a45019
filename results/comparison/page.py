"""What is written of a comparison: one self-contained HTML page, tables as CSV, figures as PNG and SVG."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep import __version__
from data_prep.files.files import remove_stale
from data_prep.wording import plural
from results.comparison.comparison import Comparison, RunGroup
from results.comparison.tables import all_tables, run_table, setting_table
from results.report.html import embed, write_page
from results.report.tables.all import write_tables
from results.report.tables.ties import difference_table
from results.report.text import Content, number, percent
from results.rundir import ComparisonDirectory

TABLES = re.compile(r"(runs|fronts|differences|settings)\.csv")
"""Names of the tables of any comparison."""
FIGURES = re.compile(r"fronts_(macro_accuracy|log_loss)(_\d+)?\.(png|svg)")
"""Names of the figures of any comparison."""


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write `compare.html`, `tables/*.csv` and `figures/*.{png,svg}` to a folder; return the page's path.

    The files are byte-identical for equal runs. Tables and figures of an earlier comparison that this one does not have
    are deleted; other files in the folder are left alone.
    """
    from results.comparison.figure import all_plots

    files = ComparisonDirectory(folder)
    write_tables(tables := all_tables(comparison), files.tables_dir)
    plots = all_plots(comparison)
    figures = {plot.stem: embed(plot, files.figures_dir) for drawn in plots.values() for plot in drawn}
    remove_stale(files.tables_dir, TABLES, {f"{name}.csv" for name in tables})
    remove_stale(files.figures_dir, FIGURES, {f"{stem}{suffix}" for stem in figures for suffix in (".png", ".svg")})
    stems = {title: [plot.stem for plot in drawn] for title, drawn in plots.items()}
    content = {
        "title": f"Comparison of {plural(len(comparison.rows), 'run')}",
        "groups": [
            _group(comparison, group, reason, stems.get(group.title, []))
            for group, reason in zip(comparison.groups, ["", *comparison.reasons], strict=True)
        ],
        "figures": figures,
        "footer": f"asc {__version__}",
    }
    write_page(files.page_path, "comparison/compare.html.j2", content)
    return files.page_path


def reference_text(group: RunGroup) -> str:
    """Return sentences about the reference point of the hypervolumes, "" if there is none."""
    point = group.reference
    if point is None:
        return ""
    return (
        "Hypervolume: how much better than the reference the front of the finished trials is, averaged over sizes up "
        f"to {point.weight_bytes:,} weight bytes. Reference: the worst of all these trials, accuracy "
        f"{percent(point.macro_accuracy)}, log loss {number(point.log_loss)}."
    )


def _group(comparison: Comparison, group: RunGroup, reason: str, stems: list[str]) -> Content:
    rows = [(group, run) for run in group.runs]
    runs: Content = replace(run_table(comparison), rows=rows).content()
    settings, differences = setting_table(group), difference_table(group.differences)
    content: dict[str, Any] = {
        "title": group.title,
        "reason": reason,
        "runs": runs,
        "is_compared": group.is_compared,
        "stems": stems,
        "reference": reference_text(group),
        "notes": group.notes,
        "settings": settings.content() if settings.rows else None,
        "differences": differences.content() if differences.rows else None,
    }
    return content
