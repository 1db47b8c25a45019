import pytest
from search_support import assess, measured, open_search

from data_prep.errors import RunError
from results.ledger.trials import trials_table
from search.objectives import Value
from search.space.config import SpaceConfig
from search.strategies.warm_start import EarlierTrial, PresetPoint, WarmStart
from search.study.state import MIN_FAILED

FIXED = {"stem_filters": 8, "n_blocks": 1, "growth": 1.0, "n_strided": 1, "kernel_size": 3, "expansion": 1}
TWO = {**FIXED, "base_filters": [8, 16], "reduction_ratio": [4, 8], "attention": "none", "dropout": 0.0}
"""Four points, two networks: the ratio is without effect."""


def accuracy_of(trial):
    return trial.params["base_filters"] / 100


def train(state, n_results=None):
    """Train trials one by one with made-up values until nothing is left or `n_results` were given."""
    n = 0
    while (trial := state.next_promotion() or state.next_trial()) is not None:
        while state.is_training(trial):
            if n == n_results:
                return
            told = measured(accuracy_of(trial), weight_bytes=100 * trial.params["base_filters"])
            state.on_rung(trial.trial_id, trial.next_rung, told)
            n += 1


def states_of(ledger):
    table = trials_table(ledger.events())
    return dict(zip(table["trial_id"], table["state"], strict=True))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


def test_a_search_is_told_by_its_ledger(path):
    """The ledger's trials are those of the search, with ids in order, and every state is an end state."""
    state, ledger = open_search(path)
    train(state)
    table = trials_table(ledger.events())
    trained = table[table["state"] != "infeasible"]
    assert trained["trial_id"].tolist() == [f"t000{i}" for i in range(1, 7)]
    assert set(trained["state"]) <= {"finished", "stopped"}
    assert (trained["macro_accuracy"] == trained["param_base_filters"] / 100).all()
    assert state.is_done
    assert state.next_trial() is None


def test_nothing_over_the_limit_is_started(path):
    """Proposals over the limit are in the ledger as infeasible with bytes and limit, and none of them was started."""
    state, ledger = open_search(path, n_trials=20)
    train(state)
    events = ledger.events()
    infeasible = [event for event in events if event["event"] == "infeasible"]
    assert state.n_infeasible == len(infeasible) > 0
    assert all(event["weight_bytes"] > event["limit"] == 160 for event in infeasible)
    assert all(assess(event["params"]).feasible for event in events if event["event"] == "trial_started")


@pytest.mark.parametrize("n_results", range(1, 12))
def test_a_search_cut_anywhere_goes_on_without_training_anything_twice(path, n_results):
    """Cut after any result, a second session finishes the search, and no rung of a trial is in the ledger twice."""
    state, ledger = open_search(path)
    train(state, n_results)
    ledger.close()
    again, ledger = open_search(path)
    train(again)
    events = ledger.events()
    rungs = [(event["trial_id"], event["rung"]) for event in events if event["event"] == "rung"]
    ended = [event["trial_id"] for event in events if event["event"] == "trial_ended"]
    assert len(set(rungs)) == len(rungs)
    assert sorted(ended) == [f"t000{i}" for i in range(1, 7)]
    keys = [event["key"] for event in events if event["event"] == "trial_started"]
    assert len(set(keys)) == 6


def test_an_interrupted_trial_is_taken_up_first_at_its_rung(path):
    """A trial that had passed a rung comes back first, with its id, its params and its next rung."""
    state, ledger = open_search(path)
    first = state.next_trial()
    state.on_rung(first.trial_id, 0, measured(0.5))
    ledger.close()
    again, ledger = open_search(path)
    resumed = again.next_trial()
    assert (resumed.trial_id, resumed.params, resumed.next_rung) == (first.trial_id, first.params, 1)
    assert ledger.events()[-1]["event"] == "trial_resumed"
    assert again.next_trial().trial_id == "t0002"


def test_an_end_that_a_crash_kept_back_is_written_on_resumption(path):
    """If the driver dies between a rung's line and the end it decided, the next session writes the end."""
    state, ledger = open_search(path)
    train(state, None)
    ledger.close()
    lines = path.read_text().splitlines()
    last = max(i for i, line in enumerate(lines) if '"trial_ended"' in line)
    path.write_text("\n".join(lines[:last]) + "\n")
    ended = []
    again, ledger = open_search(path, on_change=lambda trial, n_reported: ended.append(trial.trial_id))
    assert again.next_trial() is None
    assert again.is_done
    assert ended == ["t0006"]
    assert ledger.events()[-1]["event"] == "trial_ended"


def test_a_finished_search_writes_nothing_more(path):
    """Opening a finished search and asking it for a trial leaves the ledger as it was."""
    state, ledger = open_search(path)
    train(state)
    ledger.close()
    before = path.read_bytes()
    again, _ = open_search(path)
    assert again.is_done
    assert again.next_trial() is None
    assert path.read_bytes() == before


def test_more_trials_can_be_asked_for_later(path):
    """With a larger n_trials a finished search goes on with new candidates."""
    state, ledger = open_search(path, n_trials=3)
    train(state)
    ledger.close()
    again, ledger = open_search(path, n_trials=5)
    train(again)
    assert [event["trial_id"] for event in ledger.events() if event["event"] == "trial_ended"][3:] == ["t0004", "t0005"]


def test_other_data_is_refused(path):
    """A ledger whose trials were trained on other data does not go on with this data."""
    state, ledger = open_search(path)
    train(state, 2)
    ledger.close()
    with pytest.raises(RunError, match=r"t0001.*on other data or with other settings"):
        open_search(path, data_hash="other")


def test_a_failed_trial_ends_with_its_reason_and_the_others_go_on(path):
    """One failure costs one trial; it is in the table with its reason and is not trained again."""
    state, ledger = open_search(path, n_trials=3)
    bad = state.next_trial()
    state.on_failure(bad.trial_id, "training diverged")
    train(state)
    table = trials_table(ledger.events()).set_index("trial_id")
    assert table.loc[bad.trial_id, "state"] == "failed"
    assert table.loc[bad.trial_id, "reason"] == "training diverged"
    assert state.is_done
    state.require_success()


def test_a_search_whose_trials_fail_ends_with_a_summary(path):
    """Where more trials fail than the allowed share, the search ends and says what struck how many."""
    state, _ = open_search(path, n_trials=20)
    for reason in ("out of memory", *["no module"] * (MIN_FAILED - 2)):
        state.on_failure(state.next_trial().trial_id, reason)
    last = state.next_trial().trial_id
    with pytest.raises(RunError, match=r"5 of 5 trials have failed .*allows 50%\):\n  4 × no module\n  1 × out of"):
        state.on_failure(last, "no module")
    with pytest.raises(RunError, match="5 of 5 trials"):
        state.require_success()


def test_a_smaller_share_of_failures_is_borne(path):
    """Five failures among eleven trials are less than half of them: the search goes on."""
    state, _ = open_search(path, n_trials=12)
    for _ in range(6):
        trial = state.next_trial()
        for rung in range(3):
            if not trial.has_ended:
                state.on_rung(trial.trial_id, rung, measured(0.5))
    for _ in range(MIN_FAILED):
        state.on_failure(state.next_trial().trial_id, "diverged")
    state.require_success()
    assert not state.is_done


@pytest.mark.parametrize("n_results", range(1, 14))
def test_promotions_cut_anywhere_lose_nothing(path, n_results):
    """Cut after any result and opened again, a promoting search comes to the ledger of one that was never cut."""
    state, ledger = open_search(path, n_trials=8, scheduler="pareto")
    train(state, n_results)
    ledger.close()
    again, ledger = open_search(path, n_trials=8, scheduler="pareto")
    train(again)
    events = ledger.events()
    rungs = [(event["trial_id"], event["rung"]) for event in events if event["event"] == "rung"]
    assert len(set(rungs)) == len(rungs)
    assert [sum(rung == n for _, rung in rungs) for n in range(3)] == [8, 4, 2]
    assert again.is_done
    assert sorted(states_of(ledger).values()).count("finished") == 2


def told(ledger):
    """Return trial and rung of each result, and the candidates, in the order of the ledger."""
    return [(e["trial_id"], e["rung"]) for e in ledger.events() if e["event"] == "rung"], [
        e["key"] for e in ledger.events() if e["event"] == "trial_started"
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the ledger of a search of nine trials that is never cut tells."""
    state, ledger = open_search(tmp_path_factory.mktemp("whole") / "ledger.jsonl", n_trials=9, scheduler="pareto")
    train(state)
    return told(ledger)


@pytest.mark.parametrize("n_results", [1, 3, 4, 7, 10])
def test_a_search_that_was_cut_trains_the_candidates_of_one_that_was_not(tmp_path, undisturbed, n_results):
    """With one trial at a time, a search cut after any result goes on with the same candidates, rung by rung."""
    cut, ledger = open_search(tmp_path / "cut.jsonl", n_trials=9, scheduler="pareto")
    train(cut, n_results)
    ledger.close()
    again, ledger = open_search(tmp_path / "cut.jsonl", n_trials=9, scheduler="pareto")
    train(again)
    assert told(ledger) == undisturbed


def test_a_warm_start_is_kept_by_the_ledger(path):
    """Networks to begin with come first, also after a break; earlier runs and their trials are known by name."""
    state, ledger = open_search(path)
    first, second = state._proposer.space.point(5), state._proposer.space.smallest()
    known = EarlierTrial("before", "t0007", second, {2: Value(0.5, 1.0, 100, 9)})
    points = (PresetPoint("far", first, 1.0), PresetPoint("near", second, 0.0))
    state.warm_start(WarmStart(points, (known,), ("a note",)), ["before"])
    assert state.next_trial().params == first
    ledger.close()
    again, ledger = open_search(path)
    assert (again.warm_runs, again.is_warm) == ({"before"}, True)
    assert [again.next_trial().params for _ in range(2)] == [first, second]


def test_paused_trials_wait_for_a_later_search(path):
    """With more trials asked for, a later search promotes a trial that the first had paused, from where it was."""
    state, ledger = open_search(path, n_trials=3, scheduler="pareto")
    for accuracy in (0.8, 0.9, 0.1):
        state.on_rung(state.next_trial().trial_id, 0, measured(accuracy))
    state.on_rung("t0002", 1, measured(0.95))
    assert (state.is_done, state.next_trial(), state.next_promotion()) == (True, None, None)
    ledger.close()
    again, ledger = open_search(path, n_trials=4, scheduler="pareto")
    assert not again.is_done
    again.on_rung(again.next_trial().trial_id, 0, measured(0.0))
    promoted = again.next_trial()
    assert (promoted.trial_id, promoted.next_rung) == ("t0001", 1)
    assert ledger.events()[-1]["event"] == "trial_promoted"


def test_an_interrupted_promotion_is_taken_up_first(path):
    """A trial that was promoted but had not reached its rung when the driver died goes on first, and as that."""
    state, ledger = open_search(path, n_trials=8, scheduler="pareto")
    first, second = state.next_trial(), state.next_trial()
    state.on_rung(first.trial_id, 0, measured(0.9))
    assert state.is_paused(first)
    state.on_rung(second.trial_id, 0, measured(0.1))
    assert state.next_promotion() is first
    ledger.close()
    again, ledger = open_search(path, n_trials=8, scheduler="pareto")
    assert (again.next_trial().trial_id, again.is_paused(again.trials["t0002"])) == (first.trial_id, True)
    assert [event["event"] for event in ledger.events()][-2:] == ["trial_promoted", "trial_resumed"]


def test_stopping_follows_the_rungs_across_a_break(path):
    """Values of an earlier session count at the rungs: a worse trial is stopped there after the break."""
    state, ledger = open_search(path)
    first = state.next_trial()
    state.on_rung(first.trial_id, 0, measured(0.9))
    ledger.close()
    again, ledger = open_search(path)
    again.next_trial()
    second = again.next_trial()
    assert again.on_rung(second.trial_id, 0, measured(0.2)).state == "stopped"
    assert ledger.events()[-1]["state"] == "stopped"
    assert "of the 2 trials that had reached epoch 2" in ledger.events()[-1]["reason"]


def test_too_many_failures_end_the_next_search_too(path):
    """A search that was given up for its failures begins no new trial when it is called again."""
    state, ledger = open_search(path, n_trials=20)
    for _ in range(4):
        state.on_failure(state.next_trial().trial_id, "diverged")
    last = state.next_trial()
    with pytest.raises(RunError, match="5 of 5 trials have failed"):
        state.on_failure(last.trial_id, "diverged")
    ledger.close()
    again, ledger = open_search(path, n_trials=20)
    assert not again.is_done
    with pytest.raises(RunError, match="5 of 5 trials have failed"):
        again.require_few_failures()


def test_an_exhausted_space_ends_the_search(path):
    """Where fewer candidates fit than trials are asked for, the search ends with those, and stays ended."""
    state, ledger = open_search(path, n_trials=20, space=SpaceConfig.model_validate(TWO))
    train(state)
    assert len(state.trials) == 2
    ledger.close()
    again, _ = open_search(path, n_trials=20, space=SpaceConfig.model_validate(TWO))
    assert not again.is_exhausted
    assert again.next_trial() is None
    assert again.is_exhausted
