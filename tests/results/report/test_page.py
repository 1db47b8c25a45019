"""The report is one page that needs nothing beside it and says what the run found."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from page_support import PageReader, page_without_figures, without_scripts, written_page
from results_support import make_run

from data_prep.config import FeatureSpec, ValidationSpec
from data_prep.files.yaml_file import to_yaml
from data_prep.shards.manifest import FORMAT_VERSION, Manifest, Quarantined, write_manifest
from data_prep.store.store import LocalStore
from results.candidates.candidates import read_metrics, write_metrics
from results.candidates.limits import Limits, read_limits
from results.config import EnsembleConfig, SubmissionConfig
from results.ensembles.ensemble import build_ensemble
from results.ledger.ledger import Ledger
from results.report.content import page_content
from results.report.data import read_run_data
from results.report.page import render_report
from results.rundir import RunDirectory
from results.submission.package import write_submission
from results.submission.slots import choose_systems

pytestmark = pytest.mark.system


def test_the_page_asks_for_nothing_from_outside(whole: RunDirectory) -> None:
    """Every address on the page is inside it, a policy forbids others, links lead to sections, and tags nest."""
    page = PageReader(written_page(whole))
    assert page.open == []
    assert all(address.startswith(("data:image/svg+xml;base64,", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "url(" not in without_scripts(written_page(whole))
    assert "default-src 'none'; img-src data:" in written_page(whole)
    assert len(page.alts) == 8
    assert all(len(alt) > 40 for alt in page.alts)


def test_the_page_says_what_the_run_found(whole: RunDirectory) -> None:
    """Headline, candidates, ensemble, published numbers, search, limits, submission and commands are on it."""
    page = written_page(whole)
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


def test_a_second_report_has_the_same_bytes(whole: RunDirectory) -> None:
    """Rendering again changes nothing, neither page nor figures, and progress ends at its total."""
    before = {path: path.read_bytes() for path in whole.report_dir.rglob("*") if path.is_file()}
    seen: list[tuple[int, int]] = []
    render_report(whole, lambda done, total: seen.append((done, total)))
    assert {path: path.read_bytes() for path in whole.report_dir.rglob("*") if path.is_file()} == before
    assert [done for done, _ in seen] == list(range(1, seen[-1][1] + 1))


def test_commands_in_notes_are_code(whole: RunDirectory) -> None:
    """What stands between backticks is an element of its own, escaped; no backtick is left in a paragraph."""
    page = without_scripts(written_page(whole))
    assert "<code>asc submit RUN --evaluation SHARDS</code>" in page
    assert "<code>asc submit RUN --set submission.lastname=LASTNAME" in page
    assert not [text for text in re.findall(r"<p[ >].*?</p>", page, re.DOTALL) if "`" in text]


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
    page = without_scripts(page_without_figures(run))
    assert "lowest calibrated out-of-fold log loss first" in page
    assert ">out-of-fold accuracy</th>" in page
    for wrong in ("validation log loss", "validation accuracy", "Validation prefers"):
        assert wrong not in page, wrong


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
    counts = written_page(run).split('id="table-counts"')[1].split("</table>")[0]
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", counts.split("<tbody>")[1])
    assert cells == ["train", "2", "test", "1", "quarantined", "1", "in no list", "6,105"]


def test_a_run_under_a_limit_of_activations_alone_comes_to_its_end(tmp_path: Path) -> None:
    """Rules of a quantity that no trial's table has: ensemble, report and package come out, the page has the limit."""
    run = make_run(tmp_path / "run", n_candidates=2)
    rules = {"name": "custom", "limits": {"peak_activation_bytes": 90_000_000}}
    run.config_path.write_text(yaml.safe_dump({**run.read_config(), "rules": rules}))
    build_ensemble(run, EnsembleConfig(), read_limits(run.read_config()))
    write_submission(run, SubmissionConfig())
    page = render_report(run).read_text(encoding="utf-8")
    assert "at most 90,000,000 bytes of peak activations (custom)" in page


def test_stale_files_of_an_earlier_report_go(tmp_path: Path) -> None:
    """A figure or table that this run has no data for does not stay from an earlier report; other files do."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name in ("tables/ensembles.csv", "figures/pareto.png", "figures/notes.txt"):
        (run.report_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (run.report_dir / name).write_text("old")
    render_report(run)
    left = sorted(path.name for path in run.report_dir.rglob("*") if path.is_file())
    assert left == ["index.html", "notes.txt"]


def test_trials_out_of_fold_are_not_said_to_be_on_validation(tmp_path: Path) -> None:
    """The page says where trials and candidates are scored, if differently of each, with the networks of each rung."""
    run = make_run(tmp_path / "run", n_candidates=1)
    before = page_content(read_run_data(run))
    assert "the exported files on validation. Each trial" in before["pareto_note"]
    assert "out of fold" not in before["search"]["text"]
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        plan = {"epochs": [2, 6, 14], "folds": [1, 2, 4], "expected": [60, 30, 15]}
        ledger.append("session_started", n_trials=60, **plan)
    run.config_path.write_text(to_yaml({**run.read_config(), "search": {"inner_folds": 4}}))
    content = page_content(read_run_data(run))
    assert "the exported files on validation, of trials out of fold. Each trial" in content["pareto_note"]
    said = "without one of 4 parts of train and validation and predict that part: 1 at epoch 2, 2 at epoch 6, 4 at"
    assert said in content["search"]["text"]
    data = read_run_data(run)
    assert data.all_scored == "on validation, of trials out of fold"
    (files,) = run.candidates()
    metrics = dataclasses.replace(read_metrics(files.metrics_path), trained_on=("train", "validation"), inner_folds=4)
    write_metrics(files.metrics_path, metrics)
    assert read_run_data(run).all_scored == read_run_data(run).trials_scored == "out of fold"
