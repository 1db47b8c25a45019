import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
from process_support import ROOT, descendants, is_alive, wait_until
from search_support import LIMIT, settings

from asc_models.rules import RulesConfig
from data_prep.errors import AscError, BudgetError, DataError, RunError
from data_prep.reader.reader import read_split
from data_prep.shards.manifest import read_manifest
from results.ledger.ledger import Ledger
from results.ledger.progress import summarize_search
from results.ledger.running import RunningReports
from results.ledger.trials import trials_table
from results.rundir import RunDirectory
from search.tune.tuner import run_search

pytestmark = pytest.mark.system

DRIVER = """
import os, signal, sys
from pathlib import Path
from process_support import descendants
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from search.tune.tuner import run_search
from search_support import settings
run = RunDirectory(Path(sys.argv[1]))

def on_progress(n_reported, n_trials):
    n_rungs = sum(event["event"] == "rung" for event in Ledger(run.ledger_path).events())
    training = [pid for pid, command in descendants(os.getpid()).items() if "SceneTrial" in command]
    if n_rungs >= {kill_at} and training:
        print("training:", *training, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

outcome = run_search(run, shards=Path(sys.argv[2]), config=settings({settings}), on_progress=on_progress)
print(outcome.n_new, *sorted({{"ray", "tensorflow", "keras"}} & set(sys.modules)))
"""


def driver(run, shards, asked="", kill_at=1000):
    """Let a driver work in a process of its own, which kills itself once `kill_at` rungs have been told."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-c", DRIVER.format(settings=asked, kill_at=kill_at), str(run.root), str(shards)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def events_of(run, kind):
    return [event for event in Ledger(run.ledger_path).events() if event["event"] == kind]


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "run")


@pytest.fixture(scope="module")
def done(ray_here, sealed_shards, tmp_path_factory):
    """A finished search of eight trials during which a training process was killed; what it came to, what it told.

    On shards whose test clips can't be read.
    """
    run = RunDirectory(tmp_path_factory.mktemp("done") / "run")
    progress, killed, reported = [], [], set()

    def on_progress(n_reported, n_trials):
        progress.append((n_reported, n_trials))
        reported.update(RunningReports(run.checkpoints_dir).read())
        training = [pid for pid, command in descendants(os.getpid()).items() if "SceneTrial.train" in command]
        if 1 <= n_reported < 7 and training and not killed:
            os.kill(training[0], signal.SIGKILL)
            killed.append(training[0])

    outcome = run_search(run, shards=sealed_shards, config=settings(n_trials=8), on_progress=on_progress)
    return run, outcome, progress, killed, reported


def test_running_trials_report_what_they_do(done):
    """While one trial reaches a rung, another says on which node it trains to which; in the end no report is left."""
    *_, reported = done
    assert {report.node for report in reported} == {platform.node()}
    assert all(0 <= report.epoch <= report.epochs and report.trial_id.startswith("t") for report in reported)


def test_a_process_that_dies_costs_no_trial(done):
    """The trial whose process was killed in training was taken up again in another one: none failed, all ended."""
    _, outcome, _, killed, _ = done
    assert len(killed) == 1
    assert (outcome.n_failed, outcome.n_finished, outcome.n_paused) == (0, 4, 4)


def test_a_search_trains_what_was_asked_for_and_nothing_over_the_limit(done):
    """Every trial of a search is trained to an end, all of them within the limit, estimate and file alike."""
    run, outcome, *_ = done
    table = trials_table(Ledger(run.ledger_path).events())
    trained = table[table["state"] != "infeasible"]
    assert outcome.n_trials == outcome.n_new == len(trained) == 8
    assert (trained["weight_bytes"] <= LIMIT).all()
    assert all(event["weight_bytes"] <= LIMIT for event in events_of(run, "trial_started"))
    assert all(event["weight_bytes"] > LIMIT for event in events_of(run, "infeasible"))
    assert len(events_of(run, "infeasible")) == outcome.n_infeasible


def test_what_was_estimated_is_what_the_files_weigh(done):
    """The weight bytes by which a trial was let in are those measured in its exported file."""
    run, *_ = done
    estimated = {event["trial_id"]: event["weight_bytes"] for event in events_of(run, "trial_started")}
    for event in events_of(run, "rung"):
        assert event["weight_bytes"] == estimated[event["trial_id"]]


def test_no_trial_is_trained_twice_and_progress_is_told(done):
    """All keys differ, each rung is told once, and progress counts up to what was asked for."""
    run, _, progress, *_ = done
    assert len({event["key"] for event in events_of(run, "trial_started")}) == 8
    rungs = Counter((event["trial_id"], event["rung"]) for event in events_of(run, "rung"))
    assert set(rungs.values()) == {1}
    assert progress == sorted(progress)
    assert set(progress) == {(n, 8) for n in range(9)}


def test_a_search_never_touches_the_test_split(done, sealed_shards):
    """No driver and no trial reads a test clip: on shards where that is an error, every trial has come to its end."""
    run, outcome, *_ = done
    with pytest.raises(DataError, match="is 0 × "):
        read_split(sealed_shards, "test", fold=1, reader=settings().reader)
    assert (outcome.n_trials, outcome.n_failed) == (8, 0)
    assert len(events_of(run, "rung")) >= 8


def test_a_search_leaves_only_its_ledger(done):
    """Beside the ledger only the checkpoints of the paused trials are left in the run directory."""
    run, *_ = done
    last = {event["trial_id"]: event["decision"] for event in events_of(run, "rung")}
    paused = [f"{trial_id}.npz" for trial_id, decision in sorted(last.items()) if decision == "pause"]
    files = sorted(path.name for path in run.root.rglob("*") if path.is_file())
    assert len(paused) == 4
    assert files == ["ledger.jsonl", "ledger.lock", *paused]


def test_a_search_with_another_recipe_is_a_prior(done, sealed_shards, run, tmp_path):
    """Of a search with other batches all eight trials are kept, and told with the setting that differs."""
    earlier = RunDirectory(shutil.copytree(done[0].root, tmp_path / "earlier"))
    data = {"data": {"manifest_hash": read_manifest(sealed_shards).hash()}}
    earlier.config_path.write_text(json.dumps(data))  # as `asc search` writes it
    config = settings(n_trials=1, epochs=2)
    config = replace(config, train=config.train.updated(batch_size=4))
    notes: list[str] = []
    run_search(run, shards=sealed_shards, config=config, earlier=[earlier.root], on_note=notes.append)
    note = "earlier: 8 of its 8 trials are a prior that fades: other settings (train.batch_size: 8 there, 4 here)"
    assert notes[-1] == note
    (event,) = events_of(run, "warm_start")
    assert [trial["is_comparable"] for trial in event["trials"]] == [False] * 8
    assert len(events_of(run, "rung")) == 1


def test_a_finished_search_does_nothing_and_does_not_load_ray(done, sealed_shards):
    """Asked again, a finished search changes nothing and loads neither Ray nor TensorFlow."""
    run, *_ = done
    before = run.ledger_path.read_bytes()
    process = driver(run, sealed_shards, "n_trials=8")
    assert (process.returncode, process.stdout.split()) == (0, ["0"]), process.stdout
    assert run.ledger_path.read_bytes() == before


def test_a_driver_killed_in_the_middle_is_taken_up_where_it_was(ray_here, shards, run):
    """After kill −9 no training goes on, and the same call trains only what is missing."""
    process = driver(run, shards, "n_trials=6, epochs=6, n_concurrent=1", kill_at=4)
    assert process.returncode == -signal.SIGKILL, process.stdout
    before = Ledger(run.ledger_path).events()
    told = [(event["trial_id"], event["rung"]) for event in before if event["event"] == "rung"]
    assert 4 <= len(told) < 10
    training = [int(pid) for pid in re.search("^training: (.*)$", process.stdout, re.MULTILINE)[1].split()]
    wait_until(lambda: not any(is_alive(pid) for pid in training))

    outcome = run_search(run, shards=shards, config=settings(n_trials=6, epochs=6, n_concurrent=1))
    after = Ledger(run.ledger_path).events()
    assert after[: len(before)] == before
    assert (outcome.n_trials, outcome.n_finished, outcome.n_paused) == (6, 1, 5)
    rungs = [(event["trial_id"], event["rung"]) for event in after if event["event"] == "rung"]
    assert len(set(rungs)) == len(rungs)
    assert [sum(rung == n for _, rung in rungs) for n in range(3)] == [6, 3, 1]


def test_where_every_trial_fails_the_reason_is_told(ray_here, shards, run):
    """A recipe that always diverges ends in one error with the reason, now and when called again."""
    asked = settings(n_trials=2, n_concurrent=1)
    asked = type(asked)(**{**vars(asked), "train": asked.train.updated(learning_rate=1e30)})
    for _ in range(2):
        with pytest.raises(RunError, match=r"2 of 2 trials have failed.*\n  2 × .*diverged"):
            run_search(run, shards=shards, config=asked)
    assert {event["state"] for event in events_of(run, "trial_ended")} == {"failed"}


def test_damaged_shards_end_the_search_and_cost_no_trial(ray_here, shards, run, tmp_path):
    """A damaged shard ends the search with its name, and the trial stays open for the next call."""
    damaged = tmp_path / "shards"
    damaged.mkdir()
    for path in shards.iterdir():
        if path.is_file():
            content = path.read_bytes()
            (damaged / path.name).write_bytes(content[:-50] if path.suffix == ".parquet" else content)
    with pytest.raises(AscError, match=r"\.parquet"):
        run_search(run, shards=damaged, config=settings(n_concurrent=1))
    assert events_of(run, "trial_started")
    assert not events_of(run, "trial_ended")


def test_a_limit_that_nothing_fits_starts_nothing(shards, run):
    """Where not even the smallest candidate fits, the error gives bytes and limit, and no ledger is begun."""
    asked = settings()
    rules = RulesConfig(name="custom", limits={"weight_bytes": 100})
    with pytest.raises(BudgetError, match=r"smallest candidate needs 340 bytes.*budget is 100"):
        run_search(run, shards=shards, config=type(asked)(**{**vars(asked), "rules": rules}))
    assert not run.root.exists()


def test_more_parts_than_locations_start_nothing(shards, run):
    """Twelve locations are not cut into thirteen parts: the error names the key, and no ledger is begun."""
    with pytest.raises(DataError, match=r"search\.inner_folds: 13 parts need at least 13 locations, .* has 12"):
        run_search(run, shards=shards, config=settings(inner_folds=13))
    assert not run.root.exists()


def test_a_second_driver_is_refused(shards, run):
    """While one process works on a run, another one is told so."""
    with Ledger.open_for_writing(run.ledger_path), pytest.raises(RunError, match="another asc"):
        run_search(run, shards=shards, config=settings())


IN_PARTS = "n_trials=2, inner_folds=2, n_concurrent=1"


def story(run):
    """Return what the ledger tells of each trial, without times and interruptions."""
    left_out = {"time", "seconds", "train_seconds", "reading_seconds"}
    kinds = {"session_started", "session_ended", "trial_resumed", "trial_retried"}
    events = [event for event in Ledger(run.ledger_path).events() if event["event"] not in kinds]
    return [{name: value for name, value in event.items() if name not in left_out} for event in events]


@pytest.fixture(scope="module")
def in_parts(ray_here, sealed_shards, tmp_path_factory):
    """A finished search whose trials are scored in two parts, undisturbed, and the reports of its trials."""
    run, reported = RunDirectory(tmp_path_factory.mktemp("parts") / "run"), set()
    config = settings(n_trials=2, inner_folds=2, n_concurrent=1)
    watching = threading.Event()

    def watch():
        """Keep the reports."""
        while not watching.wait(0.05):
            reported.update(RunningReports(run.checkpoints_dir).read())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    outcome = run_search(run, shards=sealed_shards, config=config)
    watching.set()
    watcher.join()
    return run, outcome, reported


def test_a_search_in_parts_ends_with_the_expected_ledger(in_parts):
    """Two trials with one network, one of them with two; the ledger has the plan, the epochs of both, and the number
    of parts in each trial's configuration; checkpoints are left of paused trials alone."""
    run, outcome, _ = in_parts
    assert (outcome.n_trials, outcome.n_finished, outcome.n_paused, outcome.n_failed) == (2, 1, 1, 0)
    (began,) = events_of(run, "session_started")
    assert (began["epochs"], began["folds"], began["expected"]) == ([2, 4], [1, 2], [2, 1])
    assert {event["config"]["inner_folds"] for event in events_of(run, "trial_started")} == {2}
    assert sorted((event["rung"], event["epochs"]) for event in events_of(run, "rung")) == [(0, 2)] * 2 + [(1, 4)]
    assert summarize_search(Ledger(run.ledger_path).events()).epochs == 2 * 2 + (2 * 4 - 2)
    last = {event["trial_id"]: event["decision"] for event in events_of(run, "rung")}
    paused = [f"{trial_id}.1.npz" for trial_id, decision in sorted(last.items()) if decision == "pause"]
    assert len(paused) == 1
    assert sorted(path.name for path in run.checkpoints_dir.iterdir()) == paused


def test_reports_are_of_all_networks_of_the_step(in_parts):
    """To its last rung a trial trains two networks of four epochs, two of which it has from the rung before."""
    *_, reported = in_parts
    assert {(report.rung, report.epochs) for report in reported} <= {(0, 2), (1, 8)}
    assert reported
    assert all((0, 2)[report.rung] <= report.epoch <= report.epochs for report in reported)


def test_a_search_in_parts_is_taken_up_where_it_was(in_parts, sealed_shards, run):
    """Its driver killed, then the training process once it has finished a network of the last rung: the ledger tells
    what that of an undisturbed search tells."""
    process = driver(run, sealed_shards, IN_PARTS, kill_at=1)
    assert process.returncode == -signal.SIGKILL, process.stdout
    training = [int(pid) for pid in re.search("^training: (.*)$", process.stdout, re.MULTILINE)[1].split()]
    wait_until(lambda: not any(is_alive(pid) for pid in training))
    killed, ended = set(), threading.Event()

    def kill():
        """Kill the training process once the first network of a last rung has a checkpoint, once a trial."""
        written: dict[str, set[int]] = {}
        while not ended.wait(0.01):
            for path in run.checkpoints_dir.glob("*.1.npz"):
                with suppress(FileNotFoundError):
                    written.setdefault(path.name, set()).add(path.stat().st_mtime_ns)
                if len(written.get(path.name, ())) > 1 and path.name not in killed:
                    killed.add(path.name)
                    for pid, command in descendants(os.getpid()).items():
                        if "SceneTrial" in command:
                            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    outcome = run_search(run, shards=sealed_shards, config=settings(n_trials=2, inner_folds=2, n_concurrent=1))
    ended.set()
    killer.join()
    assert len(events_of(run, "trial_retried")) == len(killed) == 1
    assert (outcome.n_finished, outcome.n_failed) == (1, 0)
    undisturbed, *_ = in_parts
    assert story(run) == story(undisturbed)
