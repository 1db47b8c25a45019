"""The trials table says what the ledger says."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from results.ledger.ledger import Ledger
from results.ledger.trials import ranked_trials, rungs_table, trials_table, trials_written, write_trials
from results.rundir import RunDirectory

START = {"n_params": 10, "macs": 100, "weight_bytes": 40, "seed": 3}
WRITTEN: dict[str, Any] = {**START, "key": "k", "config": {}}


def _rung(trial_id: str, rung: int, accuracy: float | None, **more: Any) -> dict[str, Any]:
    scores = {"macro_accuracy": accuracy, "log_loss": 1.0, "seconds": 2.0, "nonzero_weight_bytes": 38, "file_bytes": 90}
    return {"event": "rung", "trial_id": trial_id, "rung": rung, "epochs": 2 ** (rung + 1), **scores, **more}


def _started(trial_id: str, **params: Any) -> dict[str, Any]:
    return {"event": "trial_started", "trial_id": trial_id, "params": params, **START}


def test_a_trial_has_the_value_of_its_highest_rung() -> None:
    """Scores come from the highest rung finished, also where it is worse, and seconds are summed."""
    events = [_started("a", blocks=2), _rung("a", 0, 0.6), _rung("a", 1, 0.5, weight_bytes=41)]
    (row,) = trials_table(events).to_dict("records")
    assert (row["rung"], row["epochs"], row["macro_accuracy"], row["seconds"]) == (1, 4, 0.5, 4.0)
    assert (row["weight_bytes"], row["n_params"], row["seed"], row["param_blocks"]) == (41, 10, 3, 2)


def test_a_diverged_rung_has_no_score() -> None:
    """A rung whose loss was not a number clears the value of the rung before."""
    events = [_started("a"), _rung("a", 0, 0.6), _rung("a", 1, None)]
    assert pd.isna(trials_table(events)["macro_accuracy"][0])


def _event(kind: str, trial_id: str, **more: Any) -> dict[str, Any]:
    return {"event": kind, "trial_id": trial_id, **more}


STORIES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "begun": ("running", []),
    "of an old ledger": ("running", [_rung("", 0, 0.4)]),
    "goes on": ("running", [_rung("", 0, 0.4, decision="continue")]),
    "waits": ("paused", [_rung("", 0, 0.4, decision="pause")]),
    "promoted": ("running", [_rung("", 0, 0.4, decision="pause"), _event("trial_promoted", "", rung=1)]),
    "waits again": (
        "paused",
        [
            _rung("", 0, 0.4, decision="pause"),
            _event("trial_promoted", "", rung=1),
            _event("trial_resumed", "", rung=1),
            _rung("", 1, 0.5, decision="pause"),
        ],
    ),
    "resumed": ("running", [_rung("", 0, 0.4, decision="continue"), _event("trial_resumed", "", rung=1)]),
    "retried": ("running", [_event("trial_retried", "", reason="out of memory")]),
    "not yet ended": ("running", [_rung("", 0, 0.4, decision="finish")]),
    "finished": ("finished", [_rung("", 0, 0.4, decision="finish"), _event("trial_ended", "", state="finished")]),
    "stopped": ("stopped", [_rung("", 0, 0.4, decision="stop"), _event("trial_ended", "", state="stopped")]),
    "failed": ("failed", [_event("trial_ended", "", state="failed", reason="diverged")]),
}


@pytest.mark.parametrize("name", STORIES)
def test_states_follow_the_events(name: str) -> None:
    """A rung pauses only where it says so, a promotion, resumption or retry sets going, an end is final."""
    state, events = STORIES[name]
    (row,) = trials_table([_started("t"), *({**event, "trial_id": "t"} for event in events)]).to_dict("records")
    assert row["state"] == state


def test_infeasible_proposals_are_rows_of_their_own() -> None:
    """Proposals that were never trained have their size and the reason, and names that count on."""
    events = [
        {"event": "infeasible", "params": {"blocks": 9}, "weight_bytes": 999, "limit": 500, "reason": "too large"},
        _started("t"),
        {"event": "infeasible", "params": {"blocks": 8}, "weight_bytes": 998, "limit": 500, "reason": "too large"},
        {"event": "session_started", "n_trials": 2},
    ]
    table = trials_table(events).set_index("trial_id")
    assert table["state"].to_dict() == {"infeasible-1": "infeasible", "t": "running", "infeasible-2": "infeasible"}
    assert table.loc["infeasible-1", "weight_bytes"] == 999
    assert table.loc["infeasible-1", "reason"] == "too large"


def test_finished_trials_rank_before_better_values_of_fewer_epochs() -> None:
    """A paused, stopped or failed trial with a higher value, even of as many epochs, stands behind finished ones."""
    events: list[dict[str, Any]] = []
    for name, state, rung, accuracy in (
        *(("low", "finished", 2, 0.5), ("high", "finished", 2, 0.6), ("waits", "paused", 1, 0.9)),
        *(("far", "stopped", 2, 0.95), ("broke", "failed", 2, 0.99), ("near", "paused", 0, 0.97)),
    ):
        events += [_started(name), _rung(name, rung, accuracy, decision="pause" if state == "paused" else "continue")]
        events += [] if state == "paused" else [_event("trial_ended", name, state=state)]
    events += [_started("no value")]
    assert ranked_trials(trials_table(events))["trial_id"].tolist() == ["high", "low", "far", "waits", "near", "broke"]


def test_columns_are_the_contract_even_without_events() -> None:
    """An empty search gives an empty table with every column."""
    table = trials_table([])
    assert table.columns.tolist() == [
        *("trial_id", "n_params", "macs", "weight_bytes", "nonzero_weight_bytes", "file_bytes", "rung", "epochs"),
        *("macro_accuracy", "log_loss", "state", "reason", "seconds", "seed"),
    ]
    assert rungs_table([]).empty


@pytest.mark.parametrize(
    "values", [(1, 2), (1, 2.5), (True, False), ("casam", "none"), ([1, 2], [3]), (1, "x"), (None, 3)]
)
def test_written_trials_read_back(tmp_path: Path, values: tuple[Any, Any]) -> None:
    """Parameters of any kind, mixed ones too, survive Parquet."""
    run = RunDirectory(tmp_path)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        for number, value in enumerate(values):
            ledger.append("trial_started", trial_id=f"t{number}", params={"x": value}, **WRITTEN)
    table = trials_table(Ledger(run.ledger_path).events())
    read = pd.read_parquet(write_trials(run))
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    assert read["seed"].tolist() == [3, 3]


def test_trials_follow_the_ledger_and_are_left_alone_where_they_do(tmp_path: Path) -> None:
    """A file behind the ledger gets the new trials; one that is up to it isn't touched."""
    run = RunDirectory(tmp_path)
    for number in range(2):
        with Ledger.open_for_writing(run.ledger_path) as ledger:
            ledger.append("trial_started", trial_id=f"t{number}", params={}, **WRITTEN)
        assert len(pd.read_parquet(write_trials(run))) == number + 1
    before = run.trials_path.stat().st_ino
    write_trials(run)
    assert run.trials_path.stat().st_ino == before


def test_rungs_are_one_row_each() -> None:
    """Rungs come by trial and rung; one that was trained again after a crash counts once, the later one."""
    events = [
        _started("b"),
        _rung("b", 1, 0.7),
        _rung("b", 0, 0.5),
        _started("a"),
        _rung("a", 0, 0.1),
        _rung("a", 0, 0.2),
    ]
    table = rungs_table(events)
    assert table[["trial_id", "rung", "macro_accuracy"]].values.tolist() == [
        ["a", 0, 0.2],
        ["b", 0, 0.5],
        ["b", 1, 0.7],
    ]


def test_a_search_that_ends_with_an_error_has_its_table(tmp_path: Path) -> None:
    """Its trials are in `trials.parquet`, the error goes on, and a run without any has no such file."""
    run = RunDirectory(tmp_path)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        with pytest.raises(KeyboardInterrupt), trials_written(run):
            raise KeyboardInterrupt
        assert not run.trials_path.exists()
        ledger.append("trial_started", trial_id="a", params={}, **WRITTEN)
    with pytest.raises(KeyboardInterrupt), trials_written(run):
        raise KeyboardInterrupt
    assert pd.read_parquet(run.trials_path)["trial_id"].tolist() == ["a"]
    run.trials_path.unlink()
    run.trials_path.mkdir()
    with pytest.raises(RuntimeError, match="too many failed"), trials_written(run):
        raise RuntimeError("too many failed")
