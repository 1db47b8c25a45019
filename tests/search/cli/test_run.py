"""The whole line on a tiny data set, by the real command: audio → shards → search → candidates → report → package."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from cli_support import ASC, asc, asc_process
from process_support import ROOT, wait_until
from search_support import LIMIT, write_corpus

from asc_models.ensemble import opened_system, temper
from results.candidates.candidates import read_candidates
from results.ensembles.ensemble import Ensemble, ensemble_predictions
from results.ensembles.package import pack_ensemble
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory

pytestmark = pytest.mark.system

CONFIG = {
    "recipe": "paper",
    "prepare": {
        "features": {"sample_rate": 8000, "clip_seconds": 1.0, "n_fft": 512, "hop_length": 256, "n_mels": 16},
        "validation": {"fraction": 0.4},
    },
    "reader": {"deltas": 0},
    "rules": {"name": "dcase2021", "limits": {"nonzero_weight_bytes": LIMIT}},
    "train": {"batch_size": 8, "learning_rate": 0.05, "epochs": 6},
    "space": {
        "stem_filters": [8],
        "n_blocks": [1, 2],
        "base_filters": [8, 16, 24, 32],
        "growth": [1.0],
        "n_strided": [1],
        "expansion": [1, 2],
        "reduction_ratio": [4],
        "attention": ["none", "casam"],
        "dropout": [0.0],
    },
    "search": {"n_trials": 4, "epochs": 6, "min_epochs": 2, "n_startup": 4},
    "retrain": {"n_candidates": 2},
}


def run_command(folder: Path) -> list[str]:
    return ["run", str(folder / "tiny.yaml"), "--data", str(folder / "corpus"), "--out", str(folder / "run")]


def events(folder: Path) -> list[dict]:
    return Ledger(folder / "run" / "ledger.jsonl").events()


def new_folder(path: Path) -> Path:
    write_corpus(path / "corpus")
    (path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with a finished run, killed with -9 once in the middle of its search and once in retraining."""
    folder = new_folder(tmp_path_factory.mktemp("line"))
    kill_after(folder, "trial_ended")
    run = folder / "run"
    done = asc_process("search", folder / "tiny.yaml", "--shards", run / "shards", "--out", run, "--json-log")
    (folder / "json.log").write_text(done.stdout)
    (folder / "notes.log").write_text(done.stderr)
    kill_after(folder, "candidate_started")
    assert "Report:" in asc(*run_command(folder)).stdout
    return folder


def kill_after(folder: Path, awaited: str) -> None:
    """Start the line and kill it as soon as its ledger has the awaited event."""
    command = [*ASC, *run_command(folder)]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: driver.poll() is not None or any(event["event"] == awaited for event in events(folder)))
        assert driver.poll() is None, f"the line ended before it could be killed: {driver.stderr.read()}"
    finally:
        driver.kill()
        driver.communicate()


def test_nothing_finished_is_trained_again(finished):
    """Over two kills and three calls each trial starts once, reaches each rung once, and half of them the last."""
    log = events(finished)
    for kind, keys in (("trial_started", ["trial_id"]), ("trial_ended", ["trial_id"]), ("rung", ["trial_id", "rung"])):
        seen = [tuple(event[key] for key in keys) for event in log if event["event"] == kind]
        assert len(seen) == len(set(seen))
    rungs = [event["rung"] for event in log if event["event"] == "rung"]
    assert (rungs.count(0), rungs.count(1)) == (4, 2)
    assert [event["state"] for event in log if event["event"] == "trial_ended"] == ["finished"] * 2
    finished_candidates = [event["candidate"] for event in log if event["event"] == "candidate_finished"]
    assert len(finished_candidates) == len(set(finished_candidates)) == 2


def test_a_search_for_machines_is_its_ledger_on_stdout(finished):
    """--json-log: standard output is the events that the session wrote to the ledger, and nothing else."""
    logged = [json.loads(line) for line in (finished / "json.log").read_text().splitlines()]
    recorded = events(finished)
    start = recorded.index(logged[0])
    assert logged == recorded[start : start + len(logged)]
    kinds = [event["event"] for event in logged]
    assert "rung" in kinds
    assert kinds[-1] == "session_ended"
    assert len((finished / "notes.log").read_text().splitlines()) < 8


def test_what_watches_the_search_outlives_kills(finished):
    """The Optuna journal has every trial once and none running; TensorBoard's files are there for every trial."""
    storage = optuna.storages.journal.JournalFileBackend(str(finished / "run" / "search" / "optuna-journal.log"))
    study = optuna.load_study(study_name="run", storage=optuna.storages.JournalStorage(storage))
    started = sorted(event["trial_id"] for event in events(finished) if event["event"] == "trial_started")
    assert sorted(trial.user_attrs["trial_id"] for trial in study.trials) == started
    assert not [trial for trial in study.trials if trial.state.name == "RUNNING"]
    assert all(trial.params["base_filters"] in (8, 16, 24, 32) for trial in study.trials)
    folder = finished / "run" / "tensorboard"
    assert sorted(path.name for path in folder.iterdir()) == ["candidates", "sweep", *started]
    candidates = [files.name for files in RunDirectory(finished / "run").candidates()]
    assert sorted(path.name for path in (folder / "candidates").iterdir()) == candidates


def test_only_feasible_candidates_were_trained(finished):
    """Every trial was within the limit before it began, and its file is within it."""
    table = pd.read_parquet(finished / "run" / "trials.parquet")
    trained = table[table["state"] != "infeasible"]
    assert len(trained) == 4
    assert (trained["nonzero_weight_bytes"] <= LIMIT).all()


def test_the_test_split_is_read_once_per_candidate(finished):
    """Each reading of the test split is a line in the ledger, one for each retrained candidate."""
    readings = [event["candidate"] for event in events(finished) if event["event"] == "test_read"]
    candidates = sorted(path.name for path in (finished / "run" / "candidates").iterdir())
    assert sorted(readings) == candidates


def test_the_run_holds_what_the_contract_names(finished):
    """Configuration, shards, ledger, trials, candidates, ensemble, report and package, and no path of the machine."""
    run = finished / "run"
    for name in ("config.yaml", "shards/manifest.json", "ledger.jsonl", "trials.parquet", "ensembles.json"):
        assert (run / name).is_file(), name
    for candidate in (run / "candidates").iterdir():
        present = sorted(str(path.relative_to(candidate)) for path in candidate.rglob("*") if path.is_file())
        assert present == [
            "card.md",
            "config.yaml",
            "history.parquet",
            "metrics.json",
            "model.keras",
            "model.tflite",
            "predictions/test.parquet",
            "predictions/validation.parquet",
            f"{candidate.name}.zip",
        ]
        metrics = json.loads((candidate / "metrics.json").read_text())
        assert metrics["test"]["n_clips"] == 6
        assert metrics["agreement"] > 0.9
    assert (run / "report" / "index.html").stat().st_size > 10_000
    texts = [path for path in run.rglob("*") if path.suffix in {".yaml", ".json", ".jsonl", ".html", ".csv"}]
    assert not [path for path in texts if str(finished) in path.read_text(encoding="utf-8")]
    assert not list(run.rglob("*.pkl"))


def test_the_keras_file_is_the_exported_network(finished):
    """model.keras loads with its own layers and gives the exported file's answers."""
    import keras
    import numpy as np

    import asc_models.training.builder  # registers what the file names
    from asc_models.candidate import read_candidate_config
    from data_prep.reader.reader import read_split
    from results.candidates.predictions import read_predictions

    assert asc_models.training.builder.build
    candidate = next((finished / "run" / "candidates").iterdir())
    config = read_candidate_config(candidate / "config.yaml")
    data = read_split(finished / "run" / "shards", "test", fold=1, reader=config.reader)
    ours = keras.models.load_model(candidate / "model.keras")(data.inputs(slice(None)), training=False)
    theirs = read_predictions(candidate / "predictions" / "test.parquet")
    np.testing.assert_allclose(ours, theirs.probabilities, atol=0.05)


def test_a_finished_run_does_nothing(finished):
    """The same command again is done in seconds, without Ray, without a new event, file or byte."""
    before = {path: path.stat().st_mtime_ns for path in (finished / "run").rglob("*") if path.suffix != ".lock"}
    n_events = len(events(finished))
    done = asc_process(*run_command(finished), options=("-X", "importtime"))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert not imported & {"ray", "tensorflow", "keras"}
    assert len(events(finished)) == n_events
    changed = [path.name for path, stamp in before.items() if path.is_file() and path.stat().st_mtime_ns != stamp]
    assert set(changed) <= {".lock", "ledger.lock", "manifest.json"}  # the manifest anew, with the same bytes


def test_an_earlier_run_informs_the_search_of_a_line(finished, tmp_path):
    """`asc run --warm-start`: the earlier trials are entered once, and a search that has all its trials trains none."""
    earlier = shutil.copytree(finished / "run", tmp_path / "earlier", ignore=shutil.ignore_patterns("shards"))
    later = shutil.copytree(finished / "run", tmp_path / "later")
    command = [*run_command(finished)[:-1], str(later), "--warm-start", str(earlier)]
    assert "earlier: 4 of its 4 trials are used" in asc(*command).stderr
    assert ": already used by this search; trials it has trained since" in asc(*command).stderr
    added = Ledger(later / "ledger.jsonl").events()[len(events(finished)) :]
    assert [event["event"] for event in added] == ["warm_start"]
    assert len(added[0]["trials"]) == 4


def test_another_configuration_is_refused(finished):
    """The run directory of another configuration is not touched, and the differing key is named."""
    done = asc(*run_command(finished), "--set", "train.epochs=7", code=1)
    assert "train.epochs: 6 there, 7 here" in done.stderr


def test_the_package_is_a_valid_submission(finished):
    """The zip passes the validator and holds one output and one meta file a system."""
    from results.submission.package import validate_submission

    (package,) = (finished / "run" / "submission").glob("*.zip")
    names = zipfile.ZipFile(package).namelist()
    assert sum(name.endswith(".output.csv") for name in names) >= 1
    assert all("task1a" in name for name in names)
    problems = validate_submission(package)
    assert [problem for problem in map(str, problems) if "scene" not in problem] == []


def test_an_evaluation_set_of_its_own_is_answered_and_packed(finished, tmp_path):
    """Recordings without labels, prepared by themselves: the package holds what the files said of the same clips."""
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run, ignore=shutil.ignore_patterns("shards"))
    stored = {path.parents[1].name: pd.read_parquet(path) for path in run.glob("candidates/*/predictions/test.parquet")}
    names = next(iter(stored.values()))["filename"].tolist()
    (tmp_path / "new" / "audio").mkdir(parents=True)
    for number, name in enumerate(names):
        shutil.copyfile(finished / "corpus" / name, tmp_path / "new" / "audio" / f"{number}.wav")
    shards = tmp_path / "shards"
    asc("prepare", tmp_path / "new", "--out", shards, "--config", finished / "tiny.yaml", "--workers", 1)
    asc("submit", run, "--draft", "--evaluation", shards)
    (package,) = run.glob("submission/*.zip")
    summary = json.loads((package.parent / "summary.json").read_text())
    assert summary["packed_split"] == "evaluation"
    with zipfile.ZipFile(package) as files:
        outputs = [name for name in files.namelist() if name.endswith(".output.csv")]
        answers = [pd.read_csv(files.open(name), sep="\t") for name in outputs]
    assert len(answers) == len(summary["systems"]) >= 2
    by_system = {system["system"]: answer for system, answer in zip(summary["systems"], answers, strict=True)}
    temperatures = {system["system"]: system["temperature"] for system in summary["systems"]}
    for answer in answers:
        assert answer["filename"].tolist() == [f"{number}.wav" for number in range(len(names))]
    single = sorted(set(by_system) & set(stored))
    assert single
    for system in single:
        scenes = by_system[system].columns[2:].tolist()
        expected = temper(stored[system][[f"p_{scene}" for scene in scenes]].to_numpy(), temperatures[system])
        assert by_system[system][scenes].to_numpy() == pytest.approx(expected, abs=1e-5)


def test_labelled_data_are_no_evaluation_set(finished):
    """Shards without evaluation clips are refused, with what they have and the way out."""
    shards = finished / "run" / "shards"
    done = asc("submit", finished / "run", "--draft", "--evaluation", shards, code=1)
    assert "have no evaluation clips, only test, train, validation: prepare a challenge's evaluation set" in done.stderr


def test_a_candidate_names_scenes_of_recordings(finished):
    """`asc predict` on wave files gives probabilities that are the stored predictions of these clips."""
    candidate = next((finished / "run" / "candidates").iterdir())
    stored = pd.read_parquet(candidate / "predictions" / "test.parquet")
    files = [finished / "corpus" / name for name in stored["filename"]]
    answers = json.loads(asc("predict", candidate, *files, "--json").stdout)
    for answer, (_, row) in zip(answers, stored.iterrows(), strict=True):
        for scene, probability in answer["probabilities"].items():
            assert probability == pytest.approx(row[f"p_{scene}"], abs=0.02)


def test_an_ensemble_is_run_like_a_candidate(finished, tmp_path):
    """`asc predict`, `describe` and `bench` of the packed file: the predictions that are computed from the members'
    stored ones, and the sum of their bytes. The run's own is packed as its file says."""
    own = json.loads((finished / "run" / "ensembles.json").read_text())["ensembles"][0]
    with opened_system(finished / "run" / "ensemble.zip") as system:
        assert dict(zip(system.folders, system.weights, strict=True)) == {
            member["candidate"]: member["weight"] for member in own["members"]
        }
        assert system.temperature == own["temperature"]
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(finished / "run" / "candidates", run.candidates_dir)
    first, second = read_candidates(run)
    ensemble = Ensemble("ensemble", {first.name: 0.75, second.name: 0.25}, 1.5, total_bytes=0, metrics={})
    assert pack_ensemble(run, ensemble.members, ensemble.temperature)
    expected = ensemble_predictions(ensemble, {one.name: one.predictions("test") for one in (first, second)})
    packed = run.ensemble_package_path.rename(tmp_path / "taken.zip")
    shutil.rmtree(run.root)
    files = [finished / "corpus" / name for name in expected.clips["filename"]]
    answers = json.loads(asc("predict", packed, *files, "--json").stdout)
    found = [[answer["probabilities"][scene] for scene in expected.classes] for answer in answers]
    assert np.array(found) == pytest.approx(expected.probabilities, abs=1e-6)
    told = json.loads(asc("describe", packed, "--json").stdout)
    for quantity in ("weight_bytes", "nonzero_weight_bytes", "file_bytes", "n_params", "macs"):
        assert told[quantity] == sum(getattr(one.metrics, quantity) for one in (first, second))
    assert told["peak_activation_bytes"] == max(one.metrics.peak_activation_bytes for one in (first, second))
    assert [(one["name"], one["weight"]) for one in told["members"]] == [(first.name, 0.75), (second.name, 0.25)]
    assert told["rules"]["dcase2022"]["feasible"]
    assert json.loads(asc("bench", packed, "--clips", 3, "--json").stdout)["n_clips"] == 3
    refused = asc("crossval", packed, "--data", finished / "corpus", "--out", tmp_path / "cv", code=1)
    assert "is an ensemble, where a candidate is needed" in " ".join(refused.stderr.split())


def test_status_tells_how_far_a_run_is(finished):
    """`asc status --json` counts trials by state and names the candidates."""
    summary = json.loads(asc("status", finished / "run", "--json").stdout)
    assert sum(n for state, n in summary["states"].items() if state != "infeasible") == 4
    assert len(summary["candidates"]) == 2
    assert summary["has_report"] is True


def test_the_stages_one_by_one_find_their_work_done(finished, tmp_path):
    """Each stage's own command on a finished run exits with 0, trains nothing, and leaves its result in place."""
    run, folder = tmp_path / "run", finished
    shutil.copytree(finished / "run", run)
    n_events = len(Ledger(run / "ledger.jsonl").events())
    shards = str(run / "shards")
    commands = {
        "prepare": [str(folder / "corpus"), "--out", shards, "--config", str(folder / "tiny.yaml")],
        "search": [str(folder / "tiny.yaml"), "--shards", shards, "--out", str(run)],
        **{stage: [str(run)] for stage in ("retrain", "ensemble", "report", "status")},
        "submit": [str(run), "--draft"],
        "inspect": [shards],
        "describe": [str(next((run / "candidates").iterdir()))],
    }
    said = {stage: asc(stage, *arguments).stdout for stage, arguments in commands.items()}
    assert len(Ledger(run / "ledger.jsonl").events()) == n_events
    assert "run: 2 retrained, ensemble, report" in said["status"]
    assert "Search: 4 of 4 trials" in said["status"]
    assert "Retrained: mean ± standard deviation over n seeds" in said["retrain"]
    assert "3 scenes" in said["describe"]
    assert "validation" in said["inspect"]
