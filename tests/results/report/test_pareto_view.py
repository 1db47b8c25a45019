"""The interactive plot has what the tables have, and is absent without a score."""

import json
from pathlib import Path

import pytest
from results_support import make_run

from results.report.data import read_run_data
from results.report.page import render_report
from results.report.pareto_view import pareto_view
from results.rundir import RunDirectory

pytestmark = pytest.mark.system


def test_the_plot_has_what_the_tables_have(whole: RunDirectory) -> None:
    """Each trial, candidate and ensemble is a point with its sizes; refused proposals have a reason and no score."""
    data = read_run_data(whole)
    view = pareto_view(data)
    assert view is not None
    content = json.loads(view["script"].split("\n", 1)[0].removeprefix("const PARETO = ").removesuffix(";"))
    points = {point["name"]: point for point in content["points"]}
    assert len(points) == len(data.trials) + len(data.candidates) + 1
    trial = data.trials[data.trials["state"] == "finished"].iloc[0]
    point = points[trial["trial_id"]]
    assert point["accuracy"] == pytest.approx(trial["macro_accuracy"], abs=1e-6)
    assert point["weight_bytes"] == trial["weight_bytes"]
    assert point["command"] == f"asc retrain RUN --trial {trial['trial_id']}"
    infeasible = [one for one in points.values() if one["kind"] == "infeasible"]
    assert len(infeasible) == 7
    assert not any("accuracy" in one or "command" in one for one in infeasible)
    assert all("reason" in one for one in infeasible)
    assert content["limits"] == {"nonzero_weight_bytes": 128_000}
    packed = {one["system"]: one["slot"] for one in json.loads(whole.submission_summary_path.read_text())["systems"]}
    assert len(packed) == 4
    assert {name: point["slot"] for name, point in points.items() if "slot" in point} == packed
    systems = {*(candidate.name for candidate in data.candidates), "ensemble"}
    assert {name for name, point in points.items() if "label" in point} == systems
    assert view["x"][0][0] == "nonzero_weight_bytes"


def test_without_a_score_there_is_no_plot(tmp_path: Path) -> None:
    """A run that has nothing to show has neither the plot nor its library."""
    page = render_report(make_run(tmp_path / "run", n_candidates=0, search=False))
    assert 'id="pareto-view"' not in page.read_text()
    assert "<script" not in page.read_text()
    assert page.stat().st_size < 200_000
