"""What is written of a cross-validation: scores as JSON, tables as CSV, and an HTML page with a figure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from data_prep import __version__
from data_prep.figures.style import Theme, styled
from data_prep.files.files import remove_stale, write_json
from data_prep.wording import plural, shortened
from results.crossval.scores import Crossval
from results.crossval.summary import summary
from results.crossval.tables import ensemble_table, fold_table, paired_table, system_table
from results.report.figures.all import Plot
from results.report.html import embed, write_page
from results.report.tables.all import write_tables
from results.rundir import CrossvalDirectory

OUT_OF_FOLD = "inner_"
"""Prefix of the tables and figures of out-of-fold scores."""
TABLES = r"(systems|folds|ensembles|differences)\.csv"
"""Pattern of the names of all tables, after the prefix."""


def write_crossval(directory: CrossvalDirectory, scores: Crossval) -> Path:
    """Write `crossval.json`, `tables/*.csv`, `figures/folds.*` and `index.html`; return the page's path.

    Out-of-fold scores have files of their own: `inner_crossval.json`, tables and figures with the prefix `inner_`, and
    `inner.html`. The files are byte-identical for equal scores. Tables of an earlier call that these scores do not have
    are deleted.
    """
    prefix = "" if scores.split == "test" else OUT_OF_FOLD
    differences = paired_table(scores)
    tables: dict[str, pd.DataFrame] = {
        f"{prefix}systems": system_table(scores).frame(),
        f"{prefix}folds": fold_table(scores).frame(),
    }
    for name, table in (("ensembles", ensembles := ensemble_table(scores)), ("differences", differences)):
        if table.rows:
            tables[f"{prefix}{name}"] = table.frame()
    write_tables(tables, directory.tables_dir)
    remove_stale(directory.tables_dir, re.compile(f"{prefix}{TABLES}"), {f"{name}.csv" for name in tables})
    write_json(directory.inner_summary_path if prefix else directory.summary_path, summary(scores))
    plot = _plot(scores, f"{prefix}folds")
    n_folds = len({fold for one in scores.systems for fold in one.folds})
    content: dict[str, Any] = {
        "title": f"Cross-validation of {plural(len(scores.systems), 'system')} on {plural(n_folds, 'fold')}",
        "out_of_fold": bool(prefix),
        "test_curves": any(one.best_on_test is not None for system in scores.systems for one in system.scores),
        "best": scores.systems[0].name if scores.systems else "",
        "systems": system_table(scores).content(["chosen"]),
        "ensembles": ensembles.content() if ensembles.rows else None,
        "differences": differences.content() if differences.rows else None,
        "folds": fold_table(scores).content(),
        "missing": list(scores.missing),
        "not_compared": scores.not_compared,
        "stem": plot.stem,
        "figures": {plot.stem: embed(plot, directory.figures_dir)},
        "footer": f"asc {__version__}",
    }
    page = directory.inner_page_path if prefix else directory.page_path
    write_page(page, "crossval/crossval.html.j2", content)
    return page


def _plot(scores: Crossval, stem: str) -> Plot:
    def draw(theme: Theme) -> Figure:
        """Draw with the style of the figures."""
        from results.crossval.figure import fold_figure

        with styled():
            return fold_figure(scores, theme)

    means = ", ".join(f"{shortened(one.name)} {100 * one.accuracy.mean:.1f} percent" for one in scores.systems)
    return Plot(stem, f"Accuracy of each fold and seed; means over folds: {means}.", draw)
