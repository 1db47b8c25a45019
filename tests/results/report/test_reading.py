"""Everyone can read the pages: tables name their cells, text stands out, and keys do what a mouse does."""

from __future__ import annotations

import io
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser_support import Browser
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from page_support import assert_tables_name_themselves, page_without_figures
from results_support import add_candidate, add_history, make_run

from data_prep.figures.style import DARK, LIGHT, Theme
from data_prep.files.files import write_text
from data_prep.files.yaml_file import to_yaml
from results.candidates.limits import Limits
from results.comparison.comparison import compare_runs
from results.comparison.page import write_comparison
from results.config import EnsembleConfig, SubmissionConfig
from results.crossval.page import write_crossval
from results.crossval.scores import read_crossval
from results.ensembles.ensemble import build_ensemble
from results.report.data import read_run_data
from results.report.figures.all import all_plots
from results.rundir import CrossvalDirectory, RunDirectory
from results.submission.package import write_submission

pytestmark = pytest.mark.system

MIN_CONTRAST = 4.5
"""Of text against what is behind it: https://www.w3.org/TR/WCAG22/#contrast-minimum."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = make_run(tmp_path_factory.mktemp("reading") / "run")
    for files in run.candidates()[:2]:
        add_history(files)
    build_ensemble(run, EnsembleConfig(), Limits())
    write_submission(run, SubmissionConfig())
    page_without_figures(run)
    return run


def test_tables_name_themselves_and_their_cells(run: RunDirectory, tmp_path: Path) -> None:
    """Report and comparison: a caption of its own for each table; header cells for columns and for one cell a row."""
    assert_tables_name_themselves(run.page_path.read_text(encoding="utf-8"), 18)
    other = make_run(tmp_path / "other", n_candidates=1)
    runs = [(one.root, one.read_config()) for one in (run, other)]
    page = write_comparison(compare_runs(runs), tmp_path / "compared")
    assert_tables_name_themselves(page.read_text(encoding="utf-8"), 2)


CONTRASTS = """(() => {
  document.querySelectorAll("details").forEach(one => { one.open = true; });
  const rgba = text => {
    const n = text.match(/[\\d.]+/g).map(Number);
    return [...n.slice(0, 3), n.length > 3 ? n[3] : 1];
  };
  const over = (front, back) => [0, 1, 2].map(i => front[i] * front[3] + back[i] * (1 - front[3])).concat(1);
  const light = color => color.slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((back, front) => over(front, back), [255, 255, 255, 1]);
  };
  const ratio = (color, element) => {
    const back = behind(element), [low, high] = [light(over(rgba(color), back)), light(back)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const found = {};
  const note = (color, element, text) => {
    const where = `${element.tagName}.${element.getAttribute("class") ?? ""} ${color} ${text.trim().slice(0, 40)}`;
    found[where] = ratio(color, element);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.getClientRects().length) continue;
    if (element.closest("script, style")) continue;
    const style = getComputedStyle(element), is_drawn = element.closest("svg");
    note(is_drawn ? style.fill : style.color, element, texts.currentNode.data);
  }
  for (const input of document.querySelectorAll("input[placeholder]"))
    note(getComputedStyle(input, "::placeholder").color, input, "placeholder");
  return found;
})()"""


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(run: RunDirectory, tmp_path: Path, dark: bool) -> None:
    """In Chromium: every text of the page and of the interactive plot, in both themes, has the contrast of WCAG AA."""
    with Browser(tmp_path / "profile", run.page_path) as browser:
        browser.look(dark=dark)
        browser.settle()
        found = browser.run(CONTRASTS)
        back = browser.run("getComputedStyle(document.body).backgroundColor")
    assert back == ("rgb(17, 22, 29)" if dark else "rgb(244, 246, 248)")
    assert len(found) > 300
    assert any("limit" in where for where in found)
    assert _too_dim(found) == {}


@pytest.mark.browser
def test_text_of_other_pages_stands_out(run: RunDirectory, tmp_path: Path) -> None:
    """Likewise of a comparison of runs, and of a cross-validation, with its scores and out of fold."""
    other = make_run(tmp_path / "other", n_candidates=1)
    pages = [write_comparison(compare_runs([(one.root, one.read_config()) for one in (run, other)]), tmp_path / "both")]
    cross = CrossvalDirectory(tmp_path / "cross")
    for fold in (1, 2):
        write_text(cross.fold(fold).config_path, to_yaml({"retrain": {"inner_folds": 1}}))
        for name, skill in (("small", 0.5), ("large", 2.0)):
            add_candidate(cross.fold(fold), name, size=50_000, skill=skill)
            files = cross.fold(fold).candidate(name, 0)
            shutil.copytree(files.predictions_path("test").parent, files.inner(1).predictions_path("test").parent)
    pages += [write_crossval(cross, read_crossval(cross, inner=inner)) for inner in (False, True)]
    for page in pages:
        with Browser(tmp_path / "profile" / page.stem, page) as browser:
            for dark in (False, True):
                browser.look(dark=dark)
                browser.settle()
                found = browser.run(CONTRASTS)
                assert len(found) > 20
                assert _too_dim(found) == {}, (page.name, dark)
            assert browser.console == []


def _too_dim(contrasts: dict[str, float]) -> dict[str, float]:
    return {where: round(ratio, 2) for where, ratio in contrasts.items() if ratio < MIN_CONTRAST}


def _luminance(color: np.ndarray) -> np.ndarray:
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def _contrasts(figure: Figure) -> Iterator[tuple[str, float]]:
    """Yield each text of a figure, and its contrast to the pixel behind it that is most often there."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip()]
    boxes = [one.get_window_extent() for one in texts]
    for one in texts:
        one.set_alpha(0.0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, facecolor=figure.get_facecolor())
    pixels = imread(io.BytesIO(buffer.getvalue()))[::-1, :, :3]
    for one, box in zip(texts, boxes, strict=True):
        (left, low), (right, high) = np.floor(box.min).astype(int), np.ceil(box.max).astype(int)
        behind = pixels[max(low, 0) : high, max(left, 0) : right].reshape(-1, 3)
        if not len(behind):
            continue  # a tick label outside the figure
        colors, counts = np.unique(behind.round(3), axis=0, return_counts=True)
        dim, bright = sorted((_luminance(np.array(to_rgb(one.get_color()))), _luminance(colors[counts.argmax()])))
        yield one.get_text(), float((bright + 0.05) / (dim + 0.05))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_of_figures_stands_out(run: RunDirectory, theme: Theme) -> None:
    """Every text of every figure, on the card or in a bar or a cell, has the contrast of WCAG AA in both themes."""
    plots = all_plots(read_run_data(run))
    assert len(plots) == 8
    found = {f"{plot.stem}: {text}": ratio for plot in plots for text, ratio in _contrasts(plot.draw(theme))}
    assert len(found) > 60
    assert _too_dim(found) == {}


@pytest.mark.browser
def test_keys_sort_and_filter_the_trials(run: RunDirectory, tmp_path: Path) -> None:
    """With the keyboard alone: unfold the trials, filter them, sort by a heading both ways; focus is always seen."""
    with Browser(tmp_path / "profile", run.page_path) as browser:
        browser.run("document.querySelector('#all-trials summary').focus()")
        browser.press("Enter", "Tab")
        assert browser.run("document.activeElement.matches('#all-trials input[type=search]')")
        browser.press(*"infeasible")
        rows = "[...document.querySelectorAll('#all-trials tbody tr')]"
        assert browser.run(f"{rows}.map(row => row.cells[1].textContent)") == ["infeasible"] * 7
        heads = browser.run("[...document.querySelectorAll('#all-trials thead th')].map(one => one.textContent)")
        column = heads.index("bytes of weights")
        browser.press("Tab", *["Tab"] * (column + 1))  # over the box, which is scrolled with the arrow keys
        assert browser.run("document.activeElement.textContent") == "bytes of weights"
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
        sort = "document.activeElement.parentElement.getAttribute('aria-sort')"
        cells = f"{rows}.map(row => Number(row.cells[{column}].textContent.replaceAll(',', '')))"
        browser.press("Enter")
        assert browser.run(sort) == "descending"
        down = browser.run(cells)
        browser.press(" ")
        assert browser.run(sort) == "ascending"
        assert down[::-1] == browser.run(cells) == sorted(down)
        assert browser.run("document.querySelectorAll('#all-trials [aria-sort]').length") == 1
        assert browser.console == []


@pytest.mark.browser
def test_commands_of_points_can_be_copied(run: RunDirectory, tmp_path: Path) -> None:
    """A name that is typed has its commands with the folder of the run, which a key puts on the clipboard."""
    folder = tmp_path / "it's a run"
    shutil.copytree(run.root, folder)
    with Browser(tmp_path / "profile", RunDirectory(folder).page_path) as browser:
        browser.send("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        lines = "[...document.querySelectorAll('output[name=command] code')].map(one => one.textContent)"
        found = {}
        for name in ("t01", "t00-s0", "ensemble"):
            browser.run("(field => { field.value = ''; field.focus(); })(document.querySelector('input[name=point]'))")
            browser.press(*name, "Enter")
            found[name] = [shlex.split(line) for line in browser.run(lines)]
        where = str(folder)
        assert found["t01"] == [["asc", "retrain", where, "--trial", "t01"]]
        assert found["t00-s0"] == [["asc", command, f"{where}/candidates/t00-s0"] for command in ("describe", "bench")]
        assert found["ensemble"] == [["asc", "submit", where]]
        browser.press("Tab", "Enter")
        assert shlex.split(browser.run("navigator.clipboard.readText()")) == ["asc", "submit", where]
        assert browser.run("document.activeElement.textContent") == "Copied"
        browser.run("document.querySelector('input[name=point]').focus()")
        browser.press(*"-x", "Enter")
        assert browser.run("document.querySelector('output[name=command]').textContent").startswith("No point is named")
        assert browser.console == []


@pytest.mark.browser
def test_the_page_fits_screens_and_paper(whole: RunDirectory, tmp_path: Path) -> None:
    """Candidates are not scrolled at 1280 and 800 pixels; on paper, no table is cut, and all is dark on white."""
    overflow = """Object.fromEntries([...document.querySelectorAll('.scroll')].map(box =>
        [box.querySelector('table').id, box.scrollWidth - box.clientWidth]))"""
    images = "[...document.querySelectorAll('figure img')].filter(one => one.clientWidth).map(one => one.className)"
    with Browser(tmp_path / "profile", whole.page_path) as browser:
        for width in (1280, 800):
            browser.look(width=width)
            assert browser.run(overflow)["table-candidates"] == 0, width
        browser.look(width=390, dark=True)
        assert browser.run("document.documentElement.scrollWidth") == 390
        assert set(browser.run(images)) == {"dark"}
        browser.look(width=725, dark=True, printed=True)  # A4 between its margins
        assert {name: n for name, n in browser.run(overflow).items() if n > 0} == {}
        assert set(browser.run(images)) == {"light"}
        assert browser.run("getComputedStyle(document.querySelector('h1')).color") == "rgb(31, 41, 51)"
