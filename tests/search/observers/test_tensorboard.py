"""TensorBoard shows what the ledger says, over any number of sessions."""

from __future__ import annotations

import functools
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ledger_support import story
from observer_support import Fixed, play, play_in_sessions
from results_support import add_candidate, add_history

from results.ledger.progress import summarize_search
from results.rundir import RunDirectory
from search.observers.tensorboard import TensorBoardFiles, write_histories

pytestmark = pytest.mark.system


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


def test_tensorboard_shows_every_trial_and_the_search(tmp_path):
    """Read by TensorBoard: scores over epochs, parameters, and the search's front are the ledger's."""
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


def test_tensorboard_shows_the_epochs_of_candidates(tmp_path):
    """Loss, rate and scores of every epoch, and the averaged weights apart; written again, no point is there twice."""
    run = RunDirectory(tmp_path / "run")
    for name in ("t1", "t2", "old"):
        add_candidate(run, name, size=9_000, skill=2.0)
    add_history(run.candidate("t1", 0), epochs=14, swa_share=0.2)
    add_history(run.candidate("t2", 0), epochs=6, with_validation=False)
    time = "2026-01-02T03:04:05+00:00"
    events = [{"event": "candidate_finished", "candidate": f"{name}-s0", "time": time} for name in ("t1", "t2", "old")]
    for _ in range(2):
        write_histories(tmp_path / "tb", run.candidates(), events)
    assert sorted(path.name for path in (tmp_path / "tb" / "candidates").iterdir()) == ["t1-s0", "t2-s0"]
    scalars, _ = read_tensorboard(tmp_path / "tb" / "candidates" / "t1-s0")
    assert [step for step, *_ in scalars["learning_rate"]] == [*range(1, 15)]
    assert [value for _, value, _ in scalars["loss"]] == pytest.approx([2.3 * 0.9**epoch for epoch in range(1, 15)])
    assert scalars["log_loss/average"] == [(14, pytest.approx(2.1 * 0.9**14), datetime.fromisoformat(time).timestamp())]
    scalars, _ = read_tensorboard(tmp_path / "tb" / "candidates" / "t2-s0")
    assert {*scalars} == {"loss", "learning_rate"}
