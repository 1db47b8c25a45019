import json

import pytest
from ray.tune.search import Searcher
from search_support import assess, measured, open_search

from search.tune.searcher import ConstrainedSearcher

pytestmark = pytest.mark.system


@pytest.fixture
def state(tmp_path):
    return open_search(tmp_path / "ledger.jsonl", n_trials=3)[0]


def test_suggestions_are_the_sweeps_trials_in_order_and_then_finished(state):
    """The searcher hands out the search's trials in order, each with all that an actor needs, then ends."""
    searcher = ConstrainedSearcher(state, state.next_trial(), {"fold": 1})
    configs = [searcher.suggest(f"ray{i}") for i in range(3)]
    assert [config["trial_id"] for config in configs] == ["t0001", "t0002", "t0003"]
    assert all(config["shared"] == {"fold": 1} and config["next_rung"] == 0 for config in configs)
    for config, trial in zip(configs, state.trials.values(), strict=True):
        assert {part: config[part] for part in ("model", "train", "mode")} == state.config_of(trial)
    assert all(assess(trial.params).feasible for trial in state.trials.values())
    json.dumps(configs)  # plain values only: they go through Ray
    assert searcher.suggest("ray3") is None, "they may still be promoted, or their processes die"
    for trial_id in state.trials:
        state.on_failure(trial_id, "diverged")
    assert searcher.suggest("ray3") == Searcher.FINISHED


def test_no_more_than_asked_for_run_side_by_side(state):
    """With n_concurrent 1 the next suggestion waits until the running trial has ended."""
    searcher = ConstrainedSearcher(state, state.next_trial(), {}, n_concurrent=1)
    first = searcher.suggest("ray0")
    assert searcher.suggest("ray1") is None
    state.on_failure(first["trial_id"], "diverged")
    assert searcher.suggest("ray1")["trial_id"] == "t0002"


def test_an_interrupted_trial_is_suggested_again_at_its_rung(tmp_path):
    """After a break the interrupted trial comes first, with the id of its checkpoint and its next rung."""
    state, ledger = open_search(tmp_path / "ledger.jsonl")
    state.on_rung(state.next_trial().trial_id, 0, measured(0.5))
    ledger.close()
    again, _ = open_search(tmp_path / "ledger.jsonl")
    config = ConstrainedSearcher(again, again.next_trial(), {}).suggest("ray0")
    assert (config["trial_id"], config["next_rung"]) == ("t0001", 1)


def test_rays_own_snapshots_hold_nothing(state, tmp_path):
    """Ray's periodic saving of the searcher finds the file it expects, empty."""
    searcher = ConstrainedSearcher(state, state.next_trial(), {})
    searcher.save_to_dir(str(tmp_path), "session")
    assert [path.read_bytes() for path in tmp_path.glob("searcher-state-*")] == [b""]
