"""The report is one page that needs nothing beside it, and says what a run lacks instead of failing."""

import dataclasses
import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from browser_support import chromium
from page_support import PageReader, page_without_figures
from results_support import add_history, add_search, forget_locations, make_run

from data_prep.config import FeatureSpec, ValidationSpec
from data_prep.errors import RunError
from data_prep.shards.manifest import FORMAT_VERSION, Manifest, Quarantined, write_manifest
from data_prep.store import LocalStore
from results.candidates.candidates import read_metrics, write_metrics
from results.candidates.limits import Limits, read_limits
from results.candidates.predictions import read_predictions, write_predictions
from results.config import EnsembleConfig, SubmissionConfig
from results.ensembles.ensemble import build_ensemble
from results.ledger.ledger import Ledger
from results.report.data import read_run_data
from results.report.page import render_report
from results.report.pareto_view import pareto_view
from results.rundir import RunDirectory
from results.submission.package import write_submission
from results.submission.slots import choose_systems

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = make_run(tmp_path_factory.mktemp("report") / "run")
    for files in run.candidates()[:2]:
        add_history(files)
    build_ensemble(run, EnsembleConfig(), Limits())
    write_submission(run, SubmissionConfig())
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        for files in run.candidates():
            ledger.append("test_read", candidate=files.name, split="test")
    render_report(run)
    return run


def test_a_run_under_a_limit_of_activations_alone_comes_to_its_end(tmp_path: Path) -> None:
    """Rules of a quantity that no trial's table has: ensemble, report and package come out, the page has the limit."""
    run = make_run(tmp_path / "run", n_candidates=2)
    rules = {"name": "custom", "limits": {"peak_activation_bytes": 90_000_000}}
    run.config_path.write_text(yaml.safe_dump({**run.read_config(), "rules": rules}))
    build_ensemble(run, EnsembleConfig(), read_limits(run.read_config()))
    write_submission(run, SubmissionConfig())
    page = render_report(run).read_text(encoding="utf-8")
    assert "at most 90,000,000 bytes of peak activations (custom)" in page


def _page_of(path: Path) -> PageReader:
    return PageReader(path.read_text(encoding="utf-8"))


def _page(run: RunDirectory) -> str:
    return (run.report_dir / "index.html").read_text(encoding="utf-8")


def _without_scripts(text: str) -> str:
    """Return a page without its two scripts, the plot's library and its data, which end it."""
    assert text.count("<script>") in (0, 2)
    return text.partition("<script>")[0]


def test_the_page_asks_for_nothing_from_outside(whole: RunDirectory) -> None:
    """Every address on the page is inside it, a policy forbids others, links lead to sections, and tags nest."""
    page = PageReader(_page(whole))
    assert page.open == []
    assert all(address.startswith(("data:image/svg+xml;base64,", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "url(" not in _without_scripts(_page(whole))
    assert "default-src 'none'; img-src data:" in _page(whole)
    assert len(page.alts) == 8
    assert all(len(alt) > 40 for alt in page.alts)


def test_the_page_says_what_the_run_found(whole: RunDirectory) -> None:
    """Headline, candidates, ensemble, published numbers, search, limits, submission and commands are on it."""
    page = _page(whole)
    for wanted in (
        *(
            "95 % interval",
            "of the limit of 128.0 kB",
            "24 trials trained",
            "7 proposals over the limit",
            "0123456789ab",
        ),
        *("ensemble of 2", "DCASE 2021 baseline", "asc run config.yaml", "3 reads", "once each", "placeholders"),
        "The ensemble of 2 has a lower calibrated validation log loss",
        *("1.473", "102.9 KB", "mixup_alpha: 0.4", "tensorflow"),
    ):
        assert wanted in page, wanted
    assert str(whole.root) not in page
    assert "NA&gt;" not in page, "a knob without effect in some trials is a dash there"
    for table in (
        "candidates",
        "ensemble-1",
        "by-device",
        "by-scene",
        "published",
        "search",
        "trials",
        "data",
        "counts",
    ):
        assert f'id="table-{table}"' in page


def test_files_stand_beside_the_page(whole: RunDirectory) -> None:
    """Figures as PNG and SVG and tables as CSV, all small enough to commit."""
    figures = {path.name for path in (whole.report_dir / "figures").iterdir()}
    stems = ("pareto", "learning", "knobs", "training", "by_device", "by_scene", "confusion", "calibration")
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg")}
    tables = {path.stem for path in (whole.report_dir / "tables").iterdir()}
    named = {"candidates", "ensembles", "trials", "rungs", "training", "published", "ensemble_methods"}
    named |= {"by_scene", "by_device", "confusion", "calibration", "ties", "differences", "worst_devices", "knobs"}
    assert named | {"submission", "test_differences", "clips"} == tables
    assert all(path.stat().st_size < 400_000 for path in (whole.report_dir / "figures").iterdir())


@pytest.mark.no_cover
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
    page = _page_of(render_report(run))
    assert page.open == []
    assert len(page.alts) == 5
    text = (run.report_dir / "index.html").read_text(encoding="utf-8")
    assert "<script" not in _without_scripts(text)
    assert "{{ 7 * 7 }}" in text
    assert not {*"\x1b\x07\u202e"} & {*_without_scripts(text)}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for path in (run.report_dir / "figures").glob("*.svg"):
        ElementTree.parse(path)
    confusion = pd.read_csv(run.report_dir / "tables" / "confusion.csv")
    expected = [*scenes[:4], "'=1+1", "a\\nb\\tc", "'-->", "\\x1b[2J", "\\u202egnp", scenes[-1]]
    assert list(confusion.columns[1:]) == expected


@pytest.mark.no_cover
def test_a_second_report_has_the_same_bytes(whole: RunDirectory) -> None:
    """Rendering again changes nothing, neither page nor figures, and progress ends at its total."""
    before = {path: path.read_bytes() for path in whole.report_dir.rglob("*") if path.is_file()}
    seen: list[tuple[int, int]] = []
    render_report(whole, lambda done, total: seen.append((done, total)))
    assert {path: path.read_bytes() for path in whole.report_dir.rglob("*") if path.is_file()} == before
    assert [done for done, _ in seen] == list(range(1, seen[-1][1] + 1))


def test_a_run_that_only_searched_says_so(tmp_path: Path) -> None:
    """Without candidates and ensemble the page has the search and says that nothing is selected."""
    run = make_run(tmp_path / "run", n_candidates=0)
    render_report(run)
    page = _page(run)
    assert "No candidate is selected: none has been" in page
    assert "No candidate has been retrained yet" in page
    assert "No ensemble was selected" in page
    assert 'id="figure-pareto"' in page
    assert 'id="figure-by_device"' not in page


def test_failures_stand_with_their_reasons(tmp_path: Path) -> None:
    """Failed trials and retrainings are a table of the search, and the page says where the tracebacks are."""
    run = make_run(tmp_path / "run", n_candidates=0)
    assert 'id="table-failures"' not in page_without_figures(run)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("candidate_failed", candidate="t00-s0", reason="<b>OOM</b> when allocating")
    page = page_without_figures(run)
    assert 'id="table-failures"' in page
    assert "t00-s0" in page
    assert "&lt;b&gt;OOM&lt;/b&gt; when allocating" in page
    assert "in the folder failures of the run" in page


def test_an_ensemble_of_one_is_a_sentence(tmp_path: Path) -> None:
    """One member at full weight is named in words, without a table of one row and its sum."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    build_ensemble(run, EnsembleConfig(temperature=False), Limits())
    page = page_without_figures(run)
    assert "Only t00-s0 was selected" in page
    assert "Tempered" not in page
    assert 'id="table-ensemble-1"' not in page


def test_parameters_that_all_trials_share_are_said_once(tmp_path: Path) -> None:
    """The table of trials has a column for what differs; the rest is one line, numbers without trailing zeros."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        for i in range(3):
            params = {"blocks": 2 + i, "dropout": 0.0, "growth": 1.25, "residual": True}
            ledger.append("trial_started", trial_id=f"t{i}", params=params, key="k", config={}, weight_bytes=9_000)
            scores = {"macro_accuracy": 0.5, "log_loss": 1.0, "weight_bytes": 9_000}
            ledger.append("rung", trial_id=f"t{i}", rung=0, epochs=2, **scores, seconds=1.0)
    page = page_without_figures(run)
    assert "Equal in all of these: dropout 0, growth 1.25, residual yes." in page
    assert ">blocks</th>" in page
    assert ">growth</th>" not in page


def test_a_search_without_a_finished_trial_says_so(tmp_path: Path) -> None:
    """Only refused proposals, or a trial without a rung: words instead of a crash or an empty picture."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    add_search(run, n_trials=0, n_infeasible=3)
    render_report(run)
    assert "No trial was trained. All 3 proposals were over the limit." in _page(run)
    assert "No trial or candidate has a score yet" in _page(run)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("trial_started", trial_id="t1", params={}, key="k", config={}, macs=1, weight_bytes=4, seed=0)
    render_report(run)
    assert "No trial has finished a rung yet" in _page(run)


def test_an_empty_run_directory_has_a_report_too(tmp_path: Path) -> None:
    """Not even a configuration: the page stands and says what is missing."""
    assert render_report(RunDirectory(tmp_path)).is_file()


def test_stale_files_of_an_earlier_report_go(tmp_path: Path) -> None:
    """A figure or table that this run has no data for does not stay from an earlier report; other files do."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name in ("tables/ensembles.csv", "figures/pareto.png", "figures/notes.txt"):
        (run.report_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (run.report_dir / name).write_text("old")
    render_report(run)
    left = sorted(path.name for path in run.report_dir.rglob("*") if path.is_file())
    assert left == ["index.html", "notes.txt"]


def test_names_are_escaped(tmp_path: Path) -> None:
    """A data set's name cannot put tags into the page."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    run.config_path.write_text(yaml.safe_dump({"data": {"name": "<b>bold</b>"}}))
    render_report(run)
    assert "<b>bold</b>" not in _page(run)
    assert "&lt;b&gt;bold" in _page(run)


def test_counts_come_from_the_manifest_where_it_is_at_hand(tmp_path: Path) -> None:
    """With shards in the run, the page tells clips of every split, quarantined ones and those in no list."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    manifest = Manifest(
        **{"format_version": FORMAT_VERSION, "name": "made-corpus", "spec": FeatureSpec(), "classes": ("a", "b")},
        **{"spec_hash": FeatureSpec().hash(), "validation": ValidationSpec(), "n_clips": 3, "n_unlisted": 6_105},
        **{"counts": {1: {"train": 2, "test": 1}}, "folds": {}, "locations": {}, "shards": (), "missing": ()},
        quarantine=(Quarantined(clip_id="x", filename="audio/x.wav", fault="unreadable", reason="corrupt"),),
        **{"silent": (), "warnings": (), "copies": (), "offline": None, "bytes_per_clip": 0, "sources": {}},
    )
    write_manifest(LocalStore(run.shards_dir), manifest)
    render_report(run)
    counts = _page(run).split('id="table-counts"')[1].split("</table>")[0]
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", counts.split("<tbody>")[1])
    assert cells == ["train", "2", "test", "1", "quarantined", "1", "in no list", "6,105"]


@pytest.mark.parametrize(
    ("n_known", "said"),
    [
        (0, "has 240 clips without a known location, so the intervals resample clips. Clips of one location are not"),
        (40, "has 240 clips, 200 of them without a known location, so the intervals resample locations and clips."),
    ],
)
def test_intervals_without_locations_are_said_to_be_too_narrow(tmp_path: Path, n_known: int, said: str) -> None:
    """Where clips were drawn for lack of locations, the page says so instead of counting none."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    forget_locations(run, n_known)
    page = page_without_figures(run)
    assert said in page
    assert "the intervals are too narrow" in page
    assert "resample whole locations" not in page


def test_a_damaged_ledger_is_an_error(tmp_path: Path) -> None:
    """A broken line is named, and no page is written over it."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    run.ledger_path.write_text("garbage\n")
    with pytest.raises(RunError, match="line 1"):
        render_report(run)
    assert not run.report_dir.exists()


def _browse(profile: Path, page: Path, *options: str) -> str:
    command = [
        *(chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
        *("--disable-dev-shm-usage", f"--user-data-dir={profile}", *options, page.as_uri()),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=180).stdout


@pytest.mark.browser
def test_a_browser_shows_figures_and_tables(whole: RunDirectory, tmp_path: Path) -> None:
    """In Chromium every picture decodes to its full size, every table has rows, and the screen is not blank."""
    page = whole.report_dir / "index.html"
    probe = tmp_path / "probe.html"
    script = (
        "<script>addEventListener('load', () => { document.querySelectorAll('img.light').forEach(image => "
        "image.setAttribute('data-shown', image.complete + ' ' + image.naturalWidth + ' ' + image.clientWidth)) })"
        "</script></body>"
    )
    probe.write_text(script.join(page.read_text(encoding="utf-8").rsplit("</body>", 1)), encoding="utf-8")
    dom = _browse(tmp_path / "profile", probe, "--dump-dom", "--window-size=1200,900")
    shown = re.findall(r'data-shown="true (\d+) (\d+)"', dom)
    assert len(shown) == 8  # the front's picture is folded up: its plot is drawn instead
    assert all(int(natural) > 400 and int(wide) > 400 for natural, wide in shown)
    for table in ("candidates", "by-scene", "published"):
        body = dom.split(f'id="table-{table}"')[1].split("</table>")[0]
        assert body.count("<tr") >= 4
    picture = tmp_path / "screen.png"
    _browse(tmp_path / "profile", page, f"--screenshot={picture}", "--window-size=1200,2000", "--hide-scrollbars")
    from matplotlib.image import imread

    pixels = imread(picture)
    assert pixels.shape[:2] == (2000, 1200)
    assert len({tuple(pixel) for pixel in pixels[::40, ::40, :3].reshape(-1, 3).round(2).tolist()}) > 8


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


def test_out_of_fold_scores_are_not_called_validation(tmp_path: Path) -> None:
    """Candidates scored out of fold: tables, headline, texts and reasons of the choice say so."""
    run = make_run(tmp_path / "run", n_candidates=3)
    for files in run.candidates():
        metrics = dataclasses.replace(
            read_metrics(files.metrics_path), trained_on=("train", "validation"), inner_folds=4
        )
        write_metrics(files.metrics_path, metrics)
    build_ensemble(run, EnsembleConfig(), Limits())
    chosen = choose_systems(run, SubmissionConfig())
    assert chosen.choices[0].reason.startswith("It has the lowest calibrated log loss out of fold")
    page = _without_scripts(page_without_figures(run))
    assert "lowest calibrated out-of-fold log loss first" in page
    assert ">out-of-fold accuracy</th>" in page
    for wrong in ("validation log loss", "validation accuracy", "Validation prefers"):
        assert wrong not in page, wrong


def test_commands_in_notes_are_code(whole: RunDirectory) -> None:
    """What stands between backticks is an element of its own, escaped; no backtick is left in a paragraph."""
    page = _without_scripts(_page(whole))
    assert "<code>asc submit RUN --evaluation SHARDS</code>" in page
    assert "<code>asc submit RUN --set submission.lastname=LASTNAME" in page
    assert not [text for text in re.findall(r"<p[ >].*?</p>", page, re.DOTALL) if "`" in text]


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


def test_without_a_score_there_is_no_plot(tmp_path: Path) -> None:
    """A run that has nothing to show has neither the plot nor its library."""
    page = render_report(make_run(tmp_path / "run", n_candidates=0, search=False))
    assert 'id="pareto-view"' not in page.read_text()
    assert "<script" not in page.read_text()
    assert page.stat().st_size < 200_000


@pytest.mark.browser
def test_the_table_of_trials_is_sorted_and_filtered(whole: RunDirectory, tmp_path: Path) -> None:
    """In Chromium: all trials by accuracy; by bytes after clicks; those that a word names after typing."""
    script = """<script>addEventListener("load", () => {
      const box = document.getElementById("all-trials"), body = document.body;
      const cells = n => [...box.querySelectorAll("tbody tr")].map(row => row.cells[n].textContent).join(";");
      const heads = [...box.querySelectorAll("th button")];
      const bytes = heads.findIndex(one => one.textContent === "bytes of weights");
      body.dataset.count = box.querySelector("output").value;
      heads[bytes].click();
      body.dataset.down = cells(bytes);
      heads[bytes].click();
      body.dataset.up = cells(bytes);
      body.dataset.sort = heads[bytes].parentElement.getAttribute("aria-sort");
      const filter = box.querySelector("input");
      filter.value = "infeasible";
      filter.dispatchEvent(new Event("input"));
      body.dataset.kinds = cells(1);
    })</script></body>"""
    probe = tmp_path / "probe.html"
    probe.write_text(script.join(_page(whole).rsplit("</body>", 1)), encoding="utf-8")
    dom = _browse(tmp_path / "profile", probe, "--dump-dom", "--virtual-time-budget=3000")
    found = dict(re.findall(r'data-([a-z]+)="([^"]*)"', re.search(r"<body[^>]*>", dom)[0]))
    n_trials = len(read_run_data(whole).trials)
    assert found["count"] == f"{n_trials} of {n_trials} trials"
    down, up = ([int(cell.replace(",", "")) for cell in found[way].split(";") if cell != "–"] for way in ("down", "up"))
    assert len(up) > 20
    assert up == sorted(up) == down[::-1]
    assert found["sort"] == "ascending"
    assert found["kinds"].split(";") == ["infeasible"] * 7


@pytest.mark.browser
def test_the_plot_is_drawn_hovered_clicked_and_switched(whole: RunDirectory, tmp_path: Path) -> None:
    """In Chromium: a point per trial, a tooltip, the command of what is clicked, other axes, and no console message."""
    script = """<script>addEventListener("load", () => setTimeout(() => {
      const box = document.getElementById("pareto-view"), body = document.body;
      const points = () => box.querySelectorAll(".role-mark.mark-symbol path");
      const title = () => box.querySelector(".role-axis-title text, .role-axis-title").textContent;
      const point = points()[points().length - 1], at = point.getBoundingClientRect();
      const place = {bubbles: true, clientX: at.x + at.width / 2, clientY: at.y + at.height / 2};
      body.dataset.points = points().length;
      for (const kind of ["pointermove", "mousemove", "mousedown", "mouseup", "click"])
        point.dispatchEvent(new (kind[0] === "p" ? PointerEvent : MouseEvent)(kind, place));
      setTimeout(() => {
        body.dataset.command = box.querySelector("output").value;
        body.dataset.tooltip = document.getElementById("vg-tooltip-element").textContent;
        const x = box.querySelector("[name=x]");
        x.value = "macs";
        x.dispatchEvent(new Event("change"));
        setTimeout(() => { body.dataset.axis = title(); }, 800);
      }, 800);
    }, 800))</script></body>"""
    probe = tmp_path / "probe.html"
    probe.write_text(script.join(_page(whole).rsplit("</body>", 1)), encoding="utf-8")
    log = tmp_path / "console.txt"
    dom = _browse(
        tmp_path / "profile", probe, "--dump-dom", "--virtual-time-budget=8000", "--window-size=1200,1500",
        "--enable-logging", f"--log-file={log}",
    )  # fmt: skip
    found = dict(re.findall(r'data-([a-z]+)="([^"]*)"', re.search(r"<body[^>]*>", dom)[0]))
    view = pareto_view(read_run_data(whole))
    assert view is not None
    content = view["script"].split("\n", 1)[0]
    assert int(found["points"]) == content.count('"name":') + content.count('"slot":')  # the submitted have a ring
    assert found["command"].startswith("asc ")
    assert "macro accuracy" in found["tooltip"]
    assert found["axis"] == "multiply-accumulates"
    assert "CONSOLE" not in (log.read_text(errors="replace") if log.exists() else "")
