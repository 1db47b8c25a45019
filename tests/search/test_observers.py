"""Whoever watches a search sees what the ledger says, once, over any number of sessions, and can't disturb it."""

from __future__ import annotations

import functools
import http.client
import io
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest
from ledger_support import Book

from data_prep.errors import ConfigError
from results.ledger import Ledger, LedgerTail, is_being_written
from results.progress import summarize_search
from results.trials import trials_table
from search.knobs import Knob
from search.observers.background import InBackground
from search.observers.base import ObservedLedger, observed
from search.observers.json_log import JsonLog
from search.observers.mlflow_log import MlflowLog
from search.observers.optuna_journal import STUDY, OptunaJournal
from search.observers.tensorboard import TensorBoardFiles

KNOBS = {"filters": (8, 16, 24, 32), "dropout": (0.0, 0.2), "attention": ("none", "casam"), "stride": (2, (2, 1))}
SPACE = {name: Knob(choices=choices) for name, choices in KNOBS.items()} | {"rate": Knob(low=1e-4, high=1.0, log=True)}
optuna.logging.set_verbosity(optuna.logging.WARNING)


def story(n: int = 12, seed: int = 0) -> list[dict[str, Any]]:
    """Return a search with pauses, promotions, a failure, refused proposals, two sessions and an interrupted trial."""
    book, rng = Book(), random.Random(seed)
    book("session_started", n_trials=n, epochs=[2, 6, 14], expected=[n, n // 2, n // 4])
    for number in range(n):
        name = f"t{number + 1:04d}"
        params = {knob: rng.choice(choices) for knob, choices in KNOBS.items()}
        params["stride"] = [2, 1] if number % 2 else 2
        params |= {"unknown": "x", "rate": 0.01} if number == 3 else {"rate": 7.0}
        book("infeasible", params=params, weight_bytes=200_000, reason="over")
        book("trial_started", name, params=params, config={}, key=f"k{number}", seed=0, n_params=5, macs=6,
             weight_bytes=100 * number + 40)  # fmt: skip
        book.now += 1
        if number == 2:
            book("trial_ended", name, state="failed", reason="diverged")
            continue
        book.rung(name, 0, 0.4 + 0.03 * number, "pause" if number % 3 else "continue", 100 * number + 40)
        if number % 3 == 0 and number != n - 3:
            book.rung(name, 1, 0.5 + 0.03 * number, "continue" if number != 6 else "stop", 100 * number + 40)
        if number % 3 == 0 and number not in (6, n - 3):
            book.rung(name, 2, 0.6 + 0.01 * number, "finish", 100 * number + 40)
        if number == 5:
            book("session_ended", reason="interrupted")("session_started", n_trials=n, epochs=[2, 6, 14])
    book("trial_promoted", "t0002", rung=1)
    return book.rung("t0002", 1, 0.77, "pause", 140).events


class Fixed:
    """A ledger in memory whose events keep their own times."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def append(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})

    def events(self) -> list[dict[str, Any]]:
        return list(self.lines)


def play(ledger: Any, events: list[dict[str, Any]], *observers: Any) -> list[str]:
    """Write events in one session with new observers and return the warnings."""
    warnings: list[str] = []
    with observed(ledger, observers, warnings.append) as log:
        for event in events:
            log.append(**event)
    return warnings


def play_in_sessions(events: list[dict[str, Any]], cuts: list[int], make: Any) -> None:
    """Write events in several sessions, each with an observer of its own."""
    ledger = Fixed()
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        assert play(ledger, events[start:end], make()) == []
    assert ledger.lines == events


class Broken:
    name = "broken one"

    def __init__(self, at: str = "rung") -> None:
        self.at, self.closed = at, False

    def begin(self, earlier):
        if self.at == "begin":
            raise OSError(28, "No space left on device")

    def on_event(self, event):
        if event["event"] == self.at:
            raise RuntimeError("the server is gone")

    def close(self):
        self.closed = True


# ---------------------------------------------------------------------------------------------- the observed ledger


def test_what_is_told_is_what_the_ledger_holds(tmp_path):
    """Observers get the lines that are on the disk, after they are there, values plain and times equal."""
    ledger, stream = Ledger(tmp_path / "ledger.jsonl"), io.StringIO()
    with observed(ledger, [JsonLog(stream)], print) as log:
        log.append("rung", trial_id="t1", macro_accuracy=float("nan"), path=tmp_path)
        log.append("session_ended", reason="done")
    ledger.close()
    assert stream.getvalue().encode() == ledger.path.read_bytes()


@pytest.mark.parametrize("at", ["begin", "rung"])
def test_a_broken_observer_costs_one_warning_and_nothing_else(tmp_path, at):
    """One that fails is closed and let go; the ledger and the others get every event."""
    stream, broken, ledger = io.StringIO(), Broken(at), Fixed()
    warnings = play(ledger, story(), broken, JsonLog(stream))
    assert len(warnings) == 1
    assert "broken one" in warnings[0]
    assert "goes on without it" in warnings[0]
    assert broken.closed
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == ledger.lines == story()


def test_nothing_is_begun_before_the_first_event(tmp_path):
    """A session without events makes no file."""
    with observed(Fixed(), [TensorBoardFiles(tmp_path / "tb"), OptunaJournal(tmp_path / "j.log", {})], print):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_session_closes_its_observers():
    """Ctrl-C goes through, and the observers still finish."""
    watcher = Broken("never")

    def session() -> None:
        with observed(Fixed(), [watcher], print) as log:
            log.append("run_started")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session()
    assert watcher.closed


def test_one_in_the_background_gets_all_in_order_and_its_failure_is_told():
    """A slow one sees every event in order; what it raises comes out as a warning; a stuck one is not waited for."""
    seen: list[str] = []

    class Slow(Broken):
        def on_event(self, event):
            time.sleep(0.001)
            seen.append(event["event"])

    ledger = Fixed()
    assert play(ledger, story(), InBackground(Slow("never"))) == []
    assert seen == [event["event"] for event in story()]
    assert "the server is gone" in " ".join(play(Fixed(), story(), InBackground(Broken("rung"))))

    stuck = threading.Event()

    class Stuck(Broken):
        def on_event(self, event):
            stuck.wait(20)

    started = time.monotonic()
    warnings = play(Fixed(), story(), InBackground(Stuck("never"), close_s=0.2))
    stuck.set()
    assert "not everything was sent" in " ".join(warnings)
    assert time.monotonic() - started < 5


# ---------------------------------------------------------------------------------------------- following a ledger


def test_a_followed_ledger_gives_every_event_once(tmp_path):
    """Read while it is written, half a line waits until it is whole; lines are counted on for messages."""
    tail, path, events = LedgerTail(tmp_path / "ledger.jsonl"), tmp_path / "ledger.jsonl", story()
    assert tail.new_events() == []
    data = "".join(json.dumps(event) + "\n" for event in events).encode()
    seen = []
    for start in range(0, len(data), 777):
        with path.open("ab") as file:
            file.write(data[start : start + 777])
        seen += tail.new_events()
    assert seen == events
    with path.open("ab") as file:
        file.write(b"no event\n")
    with pytest.raises(Exception, match=f"line {len(events) + 1}: not an event"):
        tail.new_events()


def test_whether_a_run_is_worked_on_can_be_asked_without_hindering_anyone(tmp_path):
    """The lock is seen from another process and by looking again and again no driver is ever refused."""
    path = tmp_path / "ledger.jsonl"
    assert not is_being_written(path)
    with Ledger.open_for_writing(path):
        assert is_being_written(path)
    script = "import sys, pathlib, results.ledger as l\nwhile True: l.is_being_written(pathlib.Path(sys.argv[1]))"
    looker = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            Ledger.open_for_writing(path).close()
    finally:
        looker.kill()
        looker.wait()
    assert not is_being_written(path)


# ---------------------------------------------------------------------------------------------- TensorBoard


def read_tensorboard(folder: Path) -> tuple[dict[str, list[tuple[int, float, float]]], dict[str, Any]]:
    """Return {tag: (step, value, wall time)} and the session's start of HParams, as TensorBoard itself reads them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no TensorBoard")
    from tensorboard.plugins.hparams import plugin_data_pb2

    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    scalars = {tag: [(e.step, e.value, e.wall_time) for e in events.Scalars(tag)] for tag in tags}
    hparams: dict[str, Any] = {}
    for tag, content in events.summary_metadata.items():
        if tag == "_hparams_/session_start_info":
            data = plugin_data_pb2.HParamsPluginData.FromString(content.plugin_data.content)
            for name, value in data.session_start_info.hparams.items():
                hparams[name] = getattr(value, value.WhichOneof("kind"))
    return scalars, hparams


def test_tensorboard_shows_every_trial_and_the_sweep(tmp_path):
    """Read by TensorBoard: scores over epochs, parameters, and the sweep's front are the ledger's."""
    events = story()
    play(Fixed(), events, TensorBoardFiles(tmp_path, limit=2000))
    for name in ("t0001", "t0002", "t0004"):
        scalars, hparams = read_tensorboard(tmp_path / name)
        rungs = [event for event in events if event["event"] == "rung" and event["trial_id"] == name]
        assert [step for step, *_ in scalars["macro_accuracy"]] == [event["epochs"] for event in rungs]
        told = [value for _, value, _ in scalars["macro_accuracy"]]
        assert told == pytest.approx([event["macro_accuracy"] for event in rungs])
        (started,) = [e for e in events if e["event"] == "trial_started" and e["trial_id"] == name]
        assert hparams["filters"] == started["params"]["filters"]
        assert hparams["stride"] == (2 if name == "t0001" else "[2, 1]")
    assert hparams["unknown"] == "x"
    sweep, _ = read_tensorboard(tmp_path / "sweep")
    done = summarize_search(events)
    assert sweep["trials/finished"][-1][1] == done.states["finished"]
    assert sweep["front/best_macro_accuracy"][-1][:2] == (done.epochs, pytest.approx(done.front[-1].macro_accuracy))
    volumes = [value for _, value, _ in sweep["front/hypervolume"]]
    assert volumes == sorted(volumes)
    assert 0 < volumes[-1] < sweep["front/hypervolume_with_unfinished"][-1][1] < 1


def test_tensorboard_is_the_same_after_any_number_of_sessions(tmp_path):
    """Cut anywhere, files left by a killed session included: the same points at the same times, none twice."""
    events = story()
    play(Fixed(), events, TensorBoardFiles(tmp_path / "whole", 2000))
    play_in_sessions(events, [9, 21, 40], functools.partial(TensorBoardFiles, tmp_path / "cut", 2000))
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == names
    for name in names:
        assert read_tensorboard(tmp_path / "cut" / name) == read_tensorboard(tmp_path / "whole" / name)


# ---------------------------------------------------------------------------------------------- Optuna


def read_study(path: Path) -> optuna.Study:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    return optuna.load_study(study_name=STUDY, storage=storage)


def shown(study: optuna.Study) -> list[tuple[Any, ...]]:
    """Return what a study says of its trials, without its own times."""
    return [
        (trial.state.name, trial.values, trial.params, trial.intermediate_values, trial.user_attrs)
        for trial in study.trials
    ]


def test_the_journal_is_the_ledgers_trials(tmp_path):
    """Finished is COMPLETE with both objectives, stopped PRUNED, failed FAIL, paused WAITING; infeasible ones none."""
    events = story()
    play(Fixed(), events, OptunaJournal(tmp_path / "j.log", SPACE))
    study = read_study(tmp_path / "j.log")
    words = {"finished": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL", "paused": "WAITING", "running": "WAITING"}
    table = trials_table(events).set_index("trial_id")
    table = table[table["state"] != "infeasible"]
    assert {t.user_attrs["trial_id"]: t.state.name for t in study.trials} == table["state"].map(words).to_dict()
    for trial in study.trials:
        row = table.loc[trial.user_attrs["trial_id"]]
        if trial.state.name == "COMPLETE":
            assert trial.values == [row["macro_accuracy"], row["weight_bytes"]]
        assert trial.params["filters"] == row["param_filters"]
        assert trial.user_attrs["key"]
    assert study.metric_names == ["macro_accuracy", "weight_bytes"]
    best = {trial.user_attrs["trial_id"] for trial in study.best_trials}
    assert best == {trial.trial_id for trial in summarize_search(events).front}
    promoted = next(trial for trial in study.trials if trial.user_attrs["trial_id"] == "t0002")
    assert promoted.intermediate_values == {2: pytest.approx(0.43), 6: 0.77}
    odd = next(trial for trial in study.trials if trial.user_attrs["trial_id"] == "t0004")
    assert odd.user_attrs["param_unknown"] == "x"
    assert odd.params["stride"] == "[2, 1]"
    assert odd.params["rate"] == 0.01
    assert "rate" not in promoted.params
    assert promoted.user_attrs["param_rate"] == 7.0  # outside the range


@pytest.mark.parametrize("seed", range(3))
def test_the_journal_is_continued_without_duplicates_or_zombies(tmp_path, seed):
    """Sessions cut at random places, some killed without an end, a torn line: the study of an undisturbed search."""
    events, rng = story(), random.Random(seed)
    whole, cut, ledger = tmp_path / "whole.log", tmp_path / "cut.log", Fixed()
    play(Fixed(), events, OptunaJournal(whole, SPACE))
    cuts = sorted(rng.sample(range(1, len(events)), 4))
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        log = ObservedLedger(ledger, [OptunaJournal(cut, SPACE)], pytest.fail)
        for event in events[start:end]:
            log.append(**event)
        if rng.random() < 0.5 and end != len(events):  # killed: no close, half a line, a lock that nobody gives back
            with cut.open("ab") as file:
                file.write(b'{"op_code": 5, "tr')
            Path(f"{cut}.lock").symlink_to("gone")
            os.utime(f"{cut}.lock", (0, 0), follow_symlinks=False)
        else:
            log.close()
            assert "RUNNING" not in {trial.state.name for trial in read_study(cut).trials}
    key = lambda row: row[4]["trial_id"]  # noqa: E731
    assert sorted(shown(read_study(cut)), key=key) == sorted(shown(read_study(whole)), key=key)


def test_a_damaged_journal_is_made_anew(tmp_path):
    """Garbage in the middle of the file costs nothing: the ledger is the truth."""
    ledger, path = Fixed(), tmp_path / "j.log"
    play(ledger, story(6), OptunaJournal(path, SPACE))
    before = shown(read_study(path))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], b"\x00garbage\n", *lines[5:]]))
    assert (
        play(ledger, [{"event": "run_started", "time": "2026-01-02T00:00:00+00:00"}], OptunaJournal(path, SPACE)) == []
    )
    assert shown(read_study(path)) == before


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


def test_the_journal_opens_in_optuna_dashboard(tmp_path):
    """The dashboard's own server, asked over HTTP, lists the study and every trial with values and parameters."""
    dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    events = story()
    play(Fixed(), events, OptunaJournal(tmp_path / "j.log", SPACE))
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "j.log")))
    server = make_server("127.0.0.1", 0, dashboard.wsgi(storage), handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def get(path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())

    try:
        (study,) = get("/api/studies")["study_summaries"]
        assert study["study_name"] == STUDY
        assert study["directions"] == ["maximize", "minimize"]
        detail = get(f"/api/studies/{study['study_id']}?after=0")
    finally:
        server.shutdown()
        server.server_close()
    states = Counter(trial["state"] for trial in detail["trials"])
    assert states == {"Complete": 2, "Pruned": 1, "Fail": 1, "Waiting": 8}
    assert states.total() == sum(event["event"] == "trial_started" for event in events)
    complete = next(trial for trial in detail["trials"] if trial["state"] == "Complete")
    assert len(complete["values"]) == 2
    assert {param["name"] for param in complete["params"]} >= set(KNOBS)


# ---------------------------------------------------------------------------------------------- MLflow


def test_without_mlflow_the_way_out_is_told():
    """Asked for and not installed, the message names what to install, before anything starts."""
    script = (
        "import sys; sys.modules['mlflow'] = None\n"
        "from importlib import util; util.find_spec = lambda name: None\n"
        "from search.observers.mlflow_log import MlflowLog\n"
        "MlflowLog('http://127.0.0.1:1', 'x')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert f"{ConfigError.__name__}: --mlflow: MLflow is not installed" in done.stderr
    assert "asc-search[mlflow]" in done.stderr


def test_mlflow_holds_one_run_a_trial_over_sessions(tmp_path):
    """On a database of its own: each trial once, its scores by epochs, its state; runs of other searches untouched."""
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    from mlflow.tracking import MlflowClient

    events, uri = story(), f"sqlite:///{tmp_path / 'mlflow.db'}"
    other = [{**event, "time": "2025-01-01T00:00:00+00:00"} for event in events[:3]]
    assert play(Fixed(), other, MlflowLog(uri, "esc")) == []
    play_in_sessions(events, [9, 21, 40], lambda: InBackground(MlflowLog(uri, "esc")))
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("esc")
    runs = [run for run in client.search_runs([experiment.experiment_id]) if run.data.tags["asc.begun"][:4] == "2026"]
    table = trials_table(events).set_index("trial_id")
    table = table[table["state"] != "infeasible"]
    states = {run.data.tags["asc.trial_id"]: run.data.tags["asc.state"] for run in runs}
    assert len(runs) == len(table)
    assert states == table["state"].to_dict()
    assert "RUNNING" not in {run.info.status for run in runs}
    promoted = next(run for run in runs if run.data.tags["asc.trial_id"] == "t0002")
    history = client.get_metric_history(promoted.info.run_id, "macro_accuracy")
    assert [(point.step, point.value) for point in history] == [(2, pytest.approx(0.43)), (6, 0.77)]
    assert promoted.data.params["filters"] in {"8", "16", "24", "32"}
