"""The Optuna journal shows what the ledger says, over any number of sessions, and opens in optuna-dashboard."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest
from ledger_support import KNOBS, story
from observer_support import Fixed, play

from results.ledger.progress import summarize_search
from results.ledger.trials import trials_table
from search.observers.base import ObservedLedger
from search.observers.optuna_journal import DEFAULT_NAME, OptunaJournal
from search.space.knobs import Knob

SPACE = {name: Knob(choices=choices) for name, choices in KNOBS.items()} | {"rate": Knob(low=1e-4, high=1.0, log=True)}


def read_study(path: Path) -> optuna.Study:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    return optuna.load_study(study_name=None, storage=storage)


def shown(study: optuna.Study) -> list[tuple[Any, ...]]:
    """Return what a study says of its trials, without its own times."""
    return [
        (trial.state.name, trial.values, trial.params, trial.intermediate_values, trial.user_attrs)
        for trial in study.trials
    ]


def test_the_journal_is_the_ledgers_trials(tmp_path, capfd):
    """Finished is COMPLETE with both objectives, stopped PRUNED, failed FAIL, paused WAITING; infeasible ones none."""
    events = story()
    play(Fixed(), events, OptunaJournal(tmp_path / "j.log", SPACE))
    assert capfd.readouterr() == ("", "")  # Optuna's own words would stand in the live table
    study = read_study(tmp_path / "j.log")
    words = {"finished": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL", "paused": "WAITING", "running": "WAITING"}
    table = trials_table(events).set_index("trial_id")
    table = table[table["state"] != "infeasible"]
    assert {t.user_attrs["trial_id"]: t.state.name for t in study.trials} == table["state"].map(words).to_dict()
    for trial in study.trials:
        row = table.loc[trial.user_attrs["trial_id"]]
        assert trial.params["filters"] == row["param_filters"]
        assert trial.user_attrs["key"]
    done = table[table["state"] == "finished"]
    values = {t.user_attrs["trial_id"]: tuple(t.values) for t in study.trials if t.state.name == "COMPLETE"}
    assert values == dict(zip(done.index, zip(done["macro_accuracy"], done["weight_bytes"], strict=True), strict=True))
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
    killed, ended = rng.sample(cuts, 2), []
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        log = ObservedLedger(ledger, [OptunaJournal(cut, SPACE)], pytest.fail)
        for event in events[start:end]:
            log.append(**event)
        if end in killed:  # killed: no close, half a line, a lock that nobody gives back
            with cut.open("ab") as file:
                file.write(b'{"op_code": 5, "tr')
            Path(f"{cut}.lock").symlink_to("gone")
            os.utime(f"{cut}.lock", (0, 0), follow_symlinks=False)
        else:
            log.close()
            ended.append({trial.state.name for trial in read_study(cut).trials})
    assert len(ended) == 3
    assert all("RUNNING" not in states for states in ended)
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
    limits = {"weight_bytes": 128_000, "macs": 30_000_000}
    play(Fixed(), events, OptunaJournal(tmp_path / "j.log", SPACE, "my-run", limits))
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
        assert study["study_name"] == "my-run"
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
    table = trials_table(events).set_index("trial_id")
    for trial in detail["trials"]:
        attributes = {attribute["key"]: attribute["value"] for attribute in trial["user_attrs"]}
        row = table.loc[attributes["trial_id"]]
        if row.isna()["macro_accuracy"]:
            assert trial["constraints"] == []
            continue
        assert trial["constraints"] == [row["weight_bytes"] - 128_000, row["macs"] - 30_000_000]
        assert trial["intermediate_values"][-1] == {"step": row["epochs"], "value": row["macro_accuracy"]}
    scored = [trial["state"] for trial in detail["trials"] if trial["constraints"]]
    assert "Waiting" in scored  # a paused trial is shown with its values
    assert [trial["number"] for trial in detail["trials"]] == list(range(len(detail["trials"])))


def test_a_limit_of_non_zero_weights_is_a_constraint(tmp_path):
    """Under the rule of DCASE 2021, which counts non-zero weights, each scored trial has its bytes minus the limit."""
    events, limit = story(), 128_000
    play(Fixed(), events, OptunaJournal(tmp_path / "j.log", SPACE, limits={"nonzero_weight_bytes": limit}))
    table = trials_table(events).set_index("trial_id")
    scored = table["weight_bytes"][table["macro_accuracy"].notna()]
    found = {
        t.user_attrs["trial_id"]: t.system_attrs["constraints"]
        for t in read_study(tmp_path / "j.log").trials
        if "constraints" in t.system_attrs
    }
    assert found == {name: [n_bytes - limit] for name, n_bytes in scored.items()}
    assert len(found) > 3


def test_a_study_keeps_its_name(tmp_path):
    """A run that is moved, and a journal of an earlier version, go on under the name that they have."""
    ledger, path, events = Fixed(), tmp_path / "j.log", story()
    play(ledger, events[:8], OptunaJournal(path, SPACE))
    play(ledger, events[8:], OptunaJournal(path, SPACE, "moved"))
    assert read_study(path).study_name == DEFAULT_NAME
    assert len(read_study(path).trials) == sum(event["event"] == "trial_started" for event in events)
