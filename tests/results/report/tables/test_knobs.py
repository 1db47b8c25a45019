"""What the report says of knobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from results_support import make_run, search_of

from data_prep.figures.style import LIGHT, styled
from results.report.data import RunData, read_run_data
from results.report.figures.all import all_plots
from results.report.figures.knobs import knob_figure
from results.report.tables.all import all_tables
from results.report.tables.knobs import knobs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    run = read_run_data(make_run(tmp_path_factory.mktemp("knobs") / "run", n_candidates=0, search=False))
    trials, rungs = search_of(60)
    empty = {name: None for name in run.trials.columns if name not in trials}
    return replace(run, trials=trials.assign(**empty), rungs=rungs)


def test_the_most_important_knob_is_first(data: RunData) -> None:
    """Table, CSV and figure start with the same knob; the sentence names epoch and trials."""
    content = knobs(data)
    assert content is not None
    assert content["text"].startswith("At epoch 14, over 60 trials: the knobs predict 9")
    assert content["table"]["rows"][0]["cells"][0] == "width"
    assert all_tables(data)["knobs"]["knob"].iloc[0] == "width"
    (plot,) = [one for one in all_plots(data) if one.stem == "knobs"]
    assert plot.alt == "Macro accuracy of 60 trials by the values of their knobs: width, kind, ratio, idle."


def test_each_panel_has_the_values_of_its_knob(data: RunData) -> None:
    """Few values have a tick each, a dash where the knob has no effect; many numbers are an axis."""
    assert data.knobs is not None
    with styled():
        figure = knob_figure(data.knobs, LIGHT)
    ticks = {axes.get_xlabel(): [text.get_text() for text in axes.get_xticklabels()] for axes in figure.axes}
    assert ticks["width"] == ["8", "16", "32"]
    assert ticks["kind"] == ["casam", "none"]
    assert ticks["ratio"] == ["2", "–"]
    idle = next(axes for axes in figure.axes if axes.get_xlabel() == "idle")
    low, high = idle.get_xlim()
    assert -0.1 < low < high < 1.1
    assert "most important knob first" in figure_text(figure)


def test_importances_of_noise_are_not_shown(tmp_path: Path) -> None:
    """Knobs that predict nothing have a sentence that says so, and no table."""
    run = read_run_data(make_run(tmp_path / "run", n_candidates=0, search=False))
    trials, rungs = search_of(40, noise=10.0)
    content = knobs(replace(run, trials=trials, rungs=rungs))
    assert content is not None
    assert content["table"] is None
    assert "noise" in content["text"]
    effects = replace(run, trials=trials, rungs=rungs).knobs
    assert effects is not None
    with styled():
        figure = knob_figure(effects, LIGHT)
    assert "most important" not in figure_text(figure)


def figure_text(figure: Figure) -> str:
    """Return all text of a figure."""
    return " ".join(text.get_text() for text in figure.findobj(Text))
