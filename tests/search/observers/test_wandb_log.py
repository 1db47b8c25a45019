"""wandb holds what the ledger says, one run per trial, and the files of candidates."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import pytest
from ledger_support import story
from observer_support import Fixed, play
from process_support import ROOT
from results_support import make_run

from data_prep.errors import ConfigError
from results.ledger.trials import trials_table
from results.rundir import RunDirectory
from search.observers.background import InBackground
from search.observers.wandb_log import WandbLog


@pytest.mark.system
def test_without_wandb_the_way_out_is_told():
    """Asked for and not installed, the message names what to install, before anything starts."""
    script = (
        "from importlib import util; util.find_spec = lambda name: None\n"
        "from pathlib import Path; from results.rundir import RunDirectory\n"
        "from search.observers.wandb_log import WandbLog\n"
        "WandbLog('esc', RunDirectory(Path('x')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert f"{ConfigError.__name__}: --wandb: wandb is not installed" in done.stderr
    assert "asc-search[wandb]" in done.stderr


@pytest.mark.parametrize("project", ["0123456789abcdef0123456789abcdef01234567", "https://key@host/x", "a/b/c", ""])
def test_what_is_no_project_is_refused(project, tmp_path):
    """A key or an address given as a project is refused, and a key is not repeated in the message."""
    with pytest.raises(ConfigError, match=r"--wandb") as error:
        WandbLog(project, RunDirectory(tmp_path))
    assert "0123" not in str(error.value)


BLOCK = 32768


def records(path):
    """Yield the records of a .wandb file: LevelDB's log format after seven bytes."""
    content, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(content):
        if (left := BLOCK - at % BLOCK) < 7:  # padding at the end of a block
            at += left
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            yield b"".join(parts)
            parts = []


def logged(folder):
    """Return {name of a run: (its group, its history, its last summary)} of all files of an offline session.

    Names of files in its artifacts are under `files` in the summary.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    def values(items):
        return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}

    found = {}
    for path in sorted(folder.glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns):
        name, group, history, summary = "", "", [], {}
        for data in records(path):
            record = Record.FromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                name, group = record.run.display_name, record.run.run_group
            elif kind == "history":
                history.append(values(record.history.item))
            elif kind == "summary":
                summary |= values(record.summary.update)
            elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
                summary["files"] = {entry.path for entry in record.request.log_artifact.artifact.manifest.contents}
            elif kind == "artifact":
                summary["files"] = {entry.path for entry in record.artifact.manifest.contents}
        _, before, last = found.get(name, ("", [], {}))
        found[name] = group, before + history, {**last, **summary}
    return found


@pytest.mark.system
def test_wandb_holds_one_run_a_trial_and_one_a_candidate(tmp_path, monkeypatch):
    """Offline: each trial's scores by epochs, its last state and size; each candidate's scores and files."""
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = make_run(tmp_path / "esc", n_candidates=1, search=False)
    run.candidates()[0].tflite_path.write_bytes(b"model")
    events = story(4)
    assert play(Fixed(), events, InBackground(WandbLog("asc", run), close_s=240.0)) == []
    sessions = []
    for _ in range(2):
        WandbLog("asc", run).send_candidates(events, run.candidates())
        sessions.append({*(tmp_path / "esc" / "wandb").glob("offline-run-*")})
    assert sessions[0] == sessions[1]  # a candidate is sent once

    wandb.teardown()  # the end of its service, which writes the files
    found = logged(tmp_path / "esc" / "wandb")
    table = trials_table(events).set_index("trial_id")
    table = table[table["state"] != "infeasible"]
    name = run.candidates()[0].name
    assert set(found) == {*table.index, name}
    for trial_id, row in table.iterrows():
        group, history, summary = found[trial_id]
        assert group == "esc"
        assert summary["state"] == row["state"]
        if history:
            assert history[-1]["macro_accuracy"] == pytest.approx(row["macro_accuracy"])
            assert [step["epochs"] for step in history] == sorted({step["epochs"] for step in history})
            assert summary["weight_bytes"] == row["weight_bytes"]
    assert sum(bool(history) for _, history, _ in found.values()) == table["macro_accuracy"].notna().sum() > 0
    scores = json.loads(run.candidates()[0].metrics_path.read_text())
    assert found[name][2]["file_bytes"] == scores["file_bytes"]
    assert found[name][2]["test_log_loss"] == pytest.approx(scores["test"]["log_loss"])
    assert found[name][2]["files"] == {"model.tflite", "metrics.json", "config.yaml"}  # this candidate has no card
