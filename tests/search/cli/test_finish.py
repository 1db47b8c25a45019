"""The end of the line: ensemble, package and report of candidates that are there, and what later calls make of it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from cli_support import asc
from results_support import clips, make_run, predictions

from data_prep.config import FeatureSpec, ValidationSpec
from data_prep.corpora.corpus import TAU_SCENES
from data_prep.errors import ConfigError, DataError, RunError
from data_prep.schema import content_hash
from data_prep.shards.manifest import FORMAT_VERSION, Manifest, write_manifest
from data_prep.store.store import LocalStore
from results.candidates.candidates import read_metrics, write_metrics
from results.candidates.predictions import read_predictions, write_predictions
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.submission.package import write_submission
from search.cli.screen.terminal import Terminal
from search.config import RunConfig
from search.pipeline import finish_run
from search.run_config import _with_kept_submission, adjust_run, open_run, read_run, unless_refused
from search.stages import Workspace, ensemble_stage, report_stage, submission_stage

pytestmark = pytest.mark.system


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with the default configuration, in which three candidates have been trained."""
    return trained(tmp_path / "run", n_candidates=3)


def trained(root: Path, n_candidates: int) -> RunDirectory:
    run = make_run(root, n_candidates=n_candidates, search=False)
    run.config_path.unlink()
    open_run(run, RunConfig())
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("candidate_started", candidate="t00-s0")
    return run


def predict_evaluation(run: RunDirectory) -> None:
    table = clips(25, TAU_SCENES, labelled=False)
    for seed, files in enumerate(run.candidates()):
        write_predictions(files.predictions_path("evaluation"), predictions(table, TAU_SCENES, 0.0, seed))


def predict_evaluation_only(run: RunDirectory) -> None:
    """Take the test predictions away: without them a report has few figures to draw, which is what takes its time."""
    predict_evaluation(run)
    for files in run.candidates():
        files.predictions_path("test").unlink()


def workspace(run: RunDirectory) -> Workspace:
    return Workspace(run, run.shards_dir)


def finish(run: RunDirectory, config: RunConfig) -> Path:
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        return finish_run(workspace(run), config, ledger, Terminal())


def n_finished(run: RunDirectory) -> int:
    return sum(event["event"] == "line_finished" for event in Ledger(run.ledger_path).events())


def said(path: Path) -> dict:
    return json.loads(path.read_text())


def test_a_package_that_cannot_be_written_costs_no_report(run, capfd):
    """The line warns with the reason and the way out, and writes its report; `asc submit` alone fails."""
    names = {}
    for files in run.candidates():
        made = read_predictions(files.predictions_path("test"))
        names[files.name] = made.clips["filename"].tolist()
        made.clips["filename"] = ["one/x.wav", "two/x.wav", *names[files.name][2:]]
        write_predictions(files.predictions_path("test"), made)
    page = finish(run, RunConfig())
    assert "This is a draft:" not in page.read_text()
    warning = capfd.readouterr().err
    assert "Warning: No submission package was written: x.wav: several clips have this name" in warning
    assert f"`asc submit {run.root}` writes the package later" in warning
    with pytest.raises(DataError, match="several clips"):
        submission_stage(workspace(run), RunConfig(), Terminal(), draft=True)
    assert n_finished(run) == 0
    for files in run.candidates():
        made = read_predictions(files.predictions_path("test"))
        made.clips["filename"] = names[files.name]
        write_predictions(files.predictions_path("test"), made)
    assert submission_stage(workspace(run), RunConfig(), Terminal(), draft=True).is_file()


def test_without_scores_to_choose_by_there_is_a_report_and_no_ensemble(run, capfd):
    """All candidates trained on all clips and none scored out of fold: said, with the way out, and no error."""
    for files in run.candidates():
        files.predictions_path("validation").unlink()
        metrics = read_metrics(files.metrics_path)
        splits = {"test": metrics.splits["test"]}
        write_metrics(files.metrics_path, replace(metrics, splits=splits, trained_on=("train", "validation")))
    page = finish(run, RunConfig())
    told = capfd.readouterr().err
    assert "No ensemble: t00-s0, t09-s0, t18-s0 were trained on train and validation" in told
    assert "Set retrain.inner_folds to score them out of fold." in told
    assert "No candidate is selected" in page.read_text()
    assert not run.ensembles_path.exists()


def test_a_finished_line_stands_until_something_else_is_asked_for(tmp_path, capfd):
    """Ensemble and package made under other settings since, or another finished line, have all made anew."""
    run, config = trained(tmp_path / "run", n_candidates=1), RunConfig(ensemble={"temperature": False})
    predict_evaluation_only(run)
    finish(run, config)
    ensemble, package = said(run.ensembles_path), run.submission_dir / "Doe_EX_task1a.zip"
    finish(run, config)
    assert "Ensemble, report and submission package are up to date" in capfd.readouterr().err
    ensemble_stage(workspace(run), RunConfig(ensemble={"max_members": 1}), Terminal())
    finish(run, config)
    assert said(run.ensembles_path) == ensemble
    submission_stage(workspace(run), config.updated(submission={"lastname": "Cao"}), Terminal(), draft=True)
    assert not package.exists()
    finish(run, config)
    assert package.is_file()
    package.unlink()
    finish(run, config)
    assert package.is_file()
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("line_finished", inputs="another configuration's")
    finish(run, config)
    assert n_finished(run) == 6


def test_a_package_of_an_evaluation_set_stays(tmp_path, capfd):
    """Names set by `asc submit` leave the run finished; a package of other shards is not exchanged for one of test."""
    run, config = trained(tmp_path / "run", n_candidates=1), RunConfig(ensemble={"temperature": False})
    finish(run, config)
    table = clips(25, TAU_SCENES, labelled=False)
    answers = {one.name: predictions(table, TAU_SCENES, 0.0, 0) for one in run.candidates()}
    named = config.updated(submission={"lastname": "Cao"})
    package = write_submission(run, named.submission, answers)
    before = package.read_bytes()
    capfd.readouterr()
    finish(run, named)
    assert "Ensemble, report and submission package are up to date" in capfd.readouterr().err
    finish(run, config)
    assert f"`asc submit {run.root} --evaluation SHARDS` replaces it" in " ".join(capfd.readouterr().err.split())
    assert n_finished(run) == 1
    finish(run, named.updated(ensemble={"max_members": 1}))
    assert n_finished(run) == 2
    assert package.read_bytes() == before
    assert [path.name for path in run.submission_dir.glob("*.zip")] == [package.name]


def test_a_run_that_an_earlier_version_finished_is_up_to_date(tmp_path, capfd):
    """The hash of earlier versions, with the section `submission`, is recognised."""
    run, config = trained(tmp_path / "run", n_candidates=1), RunConfig(ensemble={"temperature": False})
    write_submission(run, config.submission)
    run.page_path.parent.mkdir(parents=True)
    run.page_path.write_text("")
    metrics = {files.name: files.metrics_path.read_text() for files in run.candidates()}
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("line_finished", inputs=content_hash([config.canonical(), metrics]))
    finish(run, config)
    assert "Ensemble, report and submission package are up to date" in capfd.readouterr().err


@pytest.mark.parametrize("stage", [partial(submission_stage, draft=True), report_stage])
def test_an_ensemble_of_other_settings_is_selected_again(run, capfd, stage):
    """Package and report never show an ensemble of older settings as if it were of the run's own."""
    predict_evaluation_only(run)
    ensemble_stage(workspace(run), RunConfig(), Terminal())
    stage(workspace(run), RunConfig(ensemble={"max_members": 1}), Terminal())
    assert said(run.ensembles_path)["config"]["max_members"] == 1
    assert "settings of the ensemble have changed" in capfd.readouterr().err


def test_clips_that_the_evaluation_list_lost_are_told(run):
    """A package without the clips that were missing or put aside is refused, with their names."""
    predict_evaluation(run)
    submission_stage(workspace(run), RunConfig(), Terminal(), draft=True)
    manifest = Manifest(
        **{"format_version": FORMAT_VERSION, "name": "made-corpus", "spec": FeatureSpec(), "classes": TAU_SCENES},
        **{"spec_hash": FeatureSpec().hash(), "validation": ValidationSpec(), "n_clips": 25, "n_unlisted": 0},
        **{"counts": {}, "folds": {}, "locations": {}, "shards": (), "missing": ("audio/25.wav",), "quarantine": ()},
        **{"silent": (), "warnings": (), "copies": (), "offline": None, "bytes_per_clip": 0, "sources": {}},
        lost_evaluation={1: ("audio/25.wav",)},
    )
    write_manifest(LocalStore(run.shards_dir), manifest)
    # Shards of other data than the run's say nothing.
    submission_stage(workspace(run), RunConfig(), Terminal(), draft=True)
    config = {**run.read_config(), "data": {"name": manifest.name, "manifest_hash": manifest.hash()}}
    run.config_path.write_text(yaml.safe_dump(config))
    with pytest.raises(RunError, match=r"1 missing \(25\.wav\)(.|\n)*quarantined when the data .* 1: audio/25\.wav"):
        submission_stage(workspace(run), RunConfig(), Terminal(), draft=True)


def test_placeholders_are_refused_but_in_a_draft(run, capfd):
    """`asc submit` names each point and the command that mends it; `--draft` and the whole line write it, labelled."""
    for config in (RunConfig(), RunConfig(submission={"lastname": "Muster", "institute": "HSLU"})):
        with pytest.raises(ConfigError, match=r"of author 1 lastname, .* are placeholders(.|\n)*--set (.|\n)*--draft"):
            submission_stage(workspace(run), config, Terminal())
    assert not run.submission_dir.exists()
    done = asc("submit", run.root, "--draft")
    assert done.stdout.startswith(f"Submission package (draft): {run.submission_dir / 'Doe_EX_task1a.zip'}")
    assert "Warning: This is a draft: submission.institute is a placeholder; of author 1 lastname" in done.stderr
    capfd.readouterr()
    page = finish(run, RunConfig())
    err = capfd.readouterr().err
    assert "Submission package (draft): " in err
    assert "Warning: This is a draft: " in err
    assert "Doe_EX_task1a.zip (draft): " in page.read_text()
    assert said(run.submission_dir / "summary.json")["draft"] is True


def test_names_that_were_set_once_stay(run):
    """The same configuration opened again keeps the run's names; what it states itself wins, also over resources."""
    adjust_run(run, ["submission.lastname=Muster", "submission.source_code=https://x.example"], "submit")
    config = RunConfig()
    assert open_run(run, config).submission.lastname == "Muster"
    assert read_run(run).submission.lastname == "Muster"
    with_more = config.updated(search={"cpus_per_trial": 2})
    assert _with_kept_submission(with_more, run.read_config()["submission"]).submission.lastname == "Muster"
    stated = open_run(run, RunConfig(submission={"lastname": "Meier"}))
    assert (stated.submission.lastname, stated.submission.source_code) == ("Meier", "https://x.example")
    assert read_run(run) == stated


def test_the_note_on_placeholders_is_a_command_that_works(run):
    """What the package's note says puts names in the placeholders' place, in the package and in config.yaml."""
    submission_stage(workspace(run), RunConfig(), Terminal(), draft=True)
    (note,) = [text for text in said(run.submission_dir / "summary.json")["notes"] if "placeholders" in text]
    words = shlex.split(note.partition("run `asc ")[2].rstrip("`").replace("RUN", str(run.root), 1))
    asc(*words)
    config = read_run(run)
    assert config.submission.open_points == ()
    assert config.submission.authors[0].affiliation.location == "CITY, COUNTRY"
    summary = said(run.submission_dir / "summary.json")
    assert summary["package"] == "LASTNAME_INSTITUTE_task1a.zip"
    assert not [text for text in summary["notes"] if "placeholders" in text]


def test_the_ensembles_command_takes_settings(run):
    """`asc ensemble RUN --set` selects by them and notes them in config.yaml."""
    asc("ensemble", run.root, "--set", "ensemble.max_members=1")
    assert read_run(run).ensemble.max_members == 1
    assert len(said(run.ensembles_path)["ensembles"][0]["members"]) == 1


def test_three_outside_systems_are_scored_and_join_the_ensemble(run, tmp_path):
    """CSV with header, TSV of logits without one and Parquet of sums: scored as given, then selected with a run's own.

    The report has both ensembles; the package has the run's own only, and says why.
    """
    reference = run.candidates()[0]
    clips_of = {split: read_predictions(reference.predictions_path(split)).clips for split in ("validation", "test")}
    made = {
        (name, split): predictions(table, TAU_SCENES, 3.5, seed)
        for seed, name in enumerate(("kim", "puy", "cao"))
        for split, table in clips_of.items()
    }
    scores = {key: pd.DataFrame(one.probabilities, columns=TAU_SCENES) for key, one in made.items()}
    names = {split: table["filename"] for split, table in clips_of.items()}
    both = [scores["kim", split].assign(filename=names[split]) for split in names]
    pd.concat(both)[["filename", *reversed(TAU_SCENES)]].to_csv(tmp_path / "kim.csv", index=False)
    (tmp_path / "puy").mkdir()
    (tmp_path / "cao").mkdir()
    for split in names:
        logits = np.log(scores["puy", split]).set_axis(names[split].map(lambda name: Path(name).name), axis=0)
        logits.to_csv(tmp_path / "puy" / f"{split}.tsv", sep="\t", header=False)
        (2 * scores["cao", split]).assign(filename=names[split]).to_parquet(tmp_path / "cao" / f"{split}.parquet")
    truth = reference.predictions_path("test")
    kim_test = tmp_path / "kim_test.csv"
    both[1].to_csv(kim_test, index=False)
    for name, path in {"kim": kim_test, "puy": tmp_path / "puy/test.tsv", "cao": tmp_path / "cao/test.parquet"}.items():
        found = json.loads(asc("score", path, truth, "--json").stdout)
        expected = made[name, "test"].summarize()
        for score in ("macro_accuracy", "log_loss", "brier_score", "calibration_error"):
            assert found[score] == pytest.approx(expected[score], abs=1e-5), (name, score)
    table = asc("score", tmp_path / "puy/test.tsv", truth)
    assert "scores recognised as logits" in table.stderr
    assert "Brier score" in table.stdout
    members = [option for name in ("kim.csv", "puy", "cao") for option in ("--member", f"{tmp_path / name}:20000")]
    said_by = " ".join(asc("ensemble", run.root, *members).stderr.split())
    assert "can't be packed into a submission" in said_by
    own, joint = said(run.ensembles_path)["ensembles"]
    assert (own["name"], joint["name"]) == ("ensemble", "joint-ensemble")
    assert set(joint["outside"].values()) == {20_000}
    assert joint["total_bytes"] <= 128_000
    assert joint["metrics"]["test"]["log_loss"] < own["metrics"]["test"]["log_loss"]
    page = report_stage(workspace(run), RunConfig(), Terminal()).read_text()
    assert "Other systems: " in page
    submission_stage(workspace(run), RunConfig(), Terminal(), draft=True)
    summary = said(run.submission_dir / "summary.json")
    assert "there is no network of them to pack" in summary["left_out"]["joint-ensemble"]


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("ensemble", "search.n_trials=32"),
        ("ensemble", "submission.lastname=Hu"),
        ("submit", "ensemble.max_members=1"),
        ("retrain", "ensemble.max_members=1"),
        ("retrain", "search.n_trials=32"),
    ],
)
def test_a_command_refuses_settings_that_it_does_not_use(run, command, key):
    """The message names the key and what the command may change; nothing is changed."""
    run.shards_dir.mkdir()
    before = run.config_path.read_bytes()
    refusal = " ".join(asc(command, run.root, "--set", key, code=1).stderr.split())
    assert f"--set {key.partition('=')[0]}: " in refusal
    assert f"`asc {command}` may change only " in refusal
    assert run.config_path.read_bytes() == before


def test_what_a_command_refuses_later_is_not_kept(run):
    """Placeholders that remain, or a run without candidates: the settings of the refused call are not in the run."""
    before = run.config_path.read_bytes()
    asc("submit", run.root, "--set", "submission.lastname=Hu", code=1)
    assert run.config_path.read_bytes() == before
    for files in run.candidates():
        files.metrics_path.unlink()
    asc("ensemble", run.root, "--set", "ensemble.max_members=1", code=1)
    assert run.config_path.read_bytes() == before


def test_an_error_after_a_training_keeps_the_configuration_that_it_was_started_with(run):
    """Only what no training has used is undone."""

    def train_and_fail() -> None:
        with unless_refused(run):
            adjust_run(run, ["retrain.n_candidates=7"], "retrain")
            with Ledger.open_for_writing(run.ledger_path) as ledger:
                ledger.append("candidate_started", candidate="t01-s0")
            raise RunError("later")

    assert read_run(run).retrain.n_candidates != 7
    with pytest.raises(RunError, match="later"):
        train_and_fail()
    assert read_run(run).retrain.n_candidates == 7


def test_what_trials_depend_on_stays(run):
    """Sections `retrain`, `ensemble` and `submission` may differ from call to call; a refused --set changes no byte."""
    open_run(run, RunConfig(ensemble={"max_members": 2}, submission={"lastname": "Cao"}))
    assert read_run(run) == RunConfig(ensemble={"max_members": 2}, submission={"lastname": "Cao"})
    before = run.config_path.read_bytes()
    assert adjust_run(run, (), "submit") == read_run(run)
    with pytest.raises(RunError, match=r"--set train\.epochs: 600 .* 7.*: the run's trainings depend on it"):
        adjust_run(run, ["submission.lastname=Hu", "train.epochs=7"], "submit")
    assert run.config_path.read_bytes() == before
    assert adjust_run(run, ["submission.lastname=Hu"], "submit").submission.lastname == "Hu"
    assert read_run(run).ensemble.max_members == 2
    assert adjust_run(run, ["retrain.mode=int4_int8_weights"], "retrain") == read_run(run)
    assert read_run(run).retrain.mode == "int4_int8_weights"
