"""Names from data and configuration are text in the report, whatever they contain."""

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from page_support import PageReader, without_scripts, written_page
from results_support import make_run

from results.candidates.predictions import read_predictions, write_predictions
from results.report.data import read_run_data
from results.report.page import render_report
from results.report.pareto_view import pareto_view

pytestmark = pytest.mark.system


def test_names_are_inert_in_a_report(tmp_path: Path) -> None:
    """Scenes and devices with dollars, markup, quotes, braces, controls or 10,000 letters are text in page and SVG."""
    scenes = (
        *("$\\frac{$", "<script>alert(1)</script>", 'a" onload="x', "{{ 7 * 7 }}", "=1+1", "a\nb\tc", "-->", "\x1b[2J"),
        "\u202egnp",
        "x" * 10_000,
    )
    run = make_run(tmp_path / "run", n_candidates=1, search=False, classes=scenes)
    (files,) = run.candidates()
    made = read_predictions(files.predictions_path("test"))
    devices = {"a": "$\\badcommand{$", "b": "<b>", "c": "y" * 10_000}
    made.clips["device"] = made.clips["device"].map(devices).fillna("s\x07")
    write_predictions(files.predictions_path("test"), made)
    page = PageReader(render_report(run).read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.alts) == 5
    text = (run.report_dir / "index.html").read_text(encoding="utf-8")
    assert "<script" not in without_scripts(text)
    assert "{{ 7 * 7 }}" in text
    assert not {*"\x1b\x07\u202e"} & {*without_scripts(text)}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for path in (run.report_dir / "figures").glob("*.svg"):
        ElementTree.parse(path)
    confusion = pd.read_csv(run.report_dir / "tables" / "confusion.csv")
    expected = [*scenes[:4], "'=1+1", "a\\nb\\tc", "'-->", "\\x1b[2J", "\\u202egnp", scenes[-1]]
    assert list(confusion.columns[1:]) == expected


def test_names_are_escaped(tmp_path: Path) -> None:
    """A data set's name cannot put tags into the page."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    run.config_path.write_text(yaml.safe_dump({"data": {"name": "<b>bold</b>"}}))
    render_report(run)
    assert "<b>bold</b>" not in written_page(run)
    assert "&lt;b&gt;bold" in written_page(run)


def test_names_in_the_plot_are_inert(tmp_path: Path) -> None:
    """A name that would end the script is data: the page has it escaped, and no element more."""
    run = make_run(tmp_path / "run", n_candidates=1)
    data = read_run_data(run)
    hostile = "</script><script>alert('1')//&"
    view = pareto_view(dataclasses.replace(data, trials=data.trials.assign(param_family=hostile)))
    assert view is not None
    first = view["script"].split("\n", 1)[0]
    assert "alert" in first
    assert not set(first) & set("<>&")
    points = json.loads(first.removeprefix("const PARETO = ").removesuffix(";"))["points"]
    assert any(hostile in point.get("settings", "") for point in points)
