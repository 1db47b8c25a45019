import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from search_support import measured, open_search

from data_prep.errors import AscError, RunError
from results.rundir import RunDirectory
from search.study.state import MIN_FAILED
from search.tune.scheduler import LostTrials, RungScheduler, SearchErrors

pytestmark = pytest.mark.system


@pytest.fixture
def state(tmp_path):
    return open_search(tmp_path / "ledger.jsonl", n_trials=10)[0]


def ray_trial(trial, error="RayActorError: the actor died\nexit code 134"):
    found = Trial("none", stub=True, config={"trial_id": trial.trial_id, "next_rung": trial.next_rung})
    found.get_error = lambda: error
    return found


def at_rung(rung, accuracy):
    return {"outcome": "rung", "rung": rung, **measured(accuracy)}


def test_results_are_decided_by_the_rungs(state):
    """The better of two trials goes on, the worse is stopped, and the one at the last rung is finished."""
    scheduler = RungScheduler(state, SearchErrors())
    good, bad = state.next_trial(), state.next_trial()
    assert scheduler.on_trial_result(None, ray_trial(good), at_rung(0, 0.8)) == TrialScheduler.CONTINUE
    assert scheduler.on_trial_result(None, ray_trial(bad), at_rung(0, 0.3)) == TrialScheduler.STOP
    assert scheduler.on_trial_result(None, ray_trial(good), at_rung(1, 0.8)) == TrialScheduler.CONTINUE
    assert scheduler.on_trial_result(None, ray_trial(good), at_rung(2, 0.8)) == TrialScheduler.STOP
    assert (good.state, bad.state) == ("finished", "stopped")


class Controller:
    """What the scheduler asks of Ray's controller, noted."""

    def __init__(self):
        self.paused, self.stopped = [], []

    def pause_trial(self, trial, should_checkpoint):
        assert not should_checkpoint
        self.paused.append(trial)

    def stop_trial(self, trial):
        self.stopped.append(trial)

    def get_trials(self):
        return []


def test_a_paused_trial_is_ray_s_to_pause_and_comes_back_promoted(tmp_path):
    """At a rung a trial is paused in Ray; once it may go on it is the one to run, at its next rung."""
    state = open_search(tmp_path / "ledger.jsonl", n_trials=2, scheduler="pareto")[0]
    scheduler, controller = RungScheduler(state, SearchErrors()), Controller()
    good, bad = ray_trial(state.next_trial()), ray_trial(state.next_trial())
    assert scheduler.on_trial_result(controller, good, at_rung(0, 0.8)) == TrialScheduler.NOOP
    assert scheduler.choose_trial_to_run(controller) is None
    assert scheduler.on_trial_result(controller, bad, at_rung(0, 0.3)) == TrialScheduler.NOOP
    assert controller.paused == [good, bad]
    assert scheduler.choose_trial_to_run(controller) is good
    assert good.config["next_rung"] == 1
    scheduler.on_trial_result(controller, good, at_rung(1, 0.8))
    assert controller.stopped == []
    assert scheduler.choose_trial_to_run(controller) is None
    assert set(controller.stopped) == {good, bad}, "nothing is left to do, so Ray lets go of what waits"
    assert all(state.is_paused(trial) for trial in state.trials.values())


def test_a_trial_that_moves_to_another_process_goes_on_at_the_rung_it_had_told(state):
    """After a rung the configuration that Ray would give to another process names the next rung."""
    trial = state.next_trial()
    moved = ray_trial(trial)
    RungScheduler(state, SearchErrors()).on_trial_result(None, moved, at_rung(0, 0.8))
    assert moved.config["next_rung"] == trial.next_rung == 1


def test_a_failed_trial_is_stopped_and_the_actor_lives_on(state, tmp_path):
    """A trial that tells of its failure ends as failed, by STOP and not by an exception; its traceback is kept."""
    trial = state.next_trial()
    told = {"outcome": "failed", "reason": "the loss is nan", "traceback": "Traceback: nan"}
    scheduler = RungScheduler(state, SearchErrors(), RunDirectory(tmp_path).keep_failure)
    assert scheduler.on_trial_result(None, ray_trial(trial), told) == TrialScheduler.STOP
    assert (trial.state, trial.reason) == ("failed", "the loss is nan")
    assert (tmp_path / "failures" / f"{trial.trial_id}.txt").read_text() == "Traceback: nan"


def test_what_would_strike_every_trial_ends_the_search_and_leaves_the_trial_open(state):
    """A fatal outcome raises, keeps the error for the driver, and the trial stays interrupted, not failed."""
    errors, trial = SearchErrors(), state.next_trial()
    with pytest.raises(AscError, match="shard is damaged"):
        RungScheduler(state, errors).on_trial_result(
            None, ray_trial(trial), {"outcome": "fatal", "reason": "shard is damaged"}
        )
    assert "shard is damaged" in str(errors.first)
    assert trial.state == "running"


def test_a_lost_trial_fails_with_the_last_line_of_what_ray_knows(state, tmp_path):
    """A trial whose process died too often ends as failed, saying how; all that Ray knows is kept."""
    trial = state.next_trial()
    LostTrials(state, SearchErrors(), RunDirectory(tmp_path).keep_failure).on_trial_error(0, [], ray_trial(trial))
    assert "exit code 134" in (tmp_path / "failures" / f"{trial.trial_id}.txt").read_text()
    assert (trial.state, trial.reason) == ("failed", "its process died: exit code 134")


def test_where_every_process_dies_the_search_ends(state):
    """When the first trials all lose their processes, the error is kept for the driver and raised."""
    errors = SearchErrors()
    callback = LostTrials(state, errors)
    for _ in range(MIN_FAILED - 1):
        callback.on_trial_error(0, [], ray_trial(state.next_trial()))
    last = ray_trial(state.next_trial())
    with pytest.raises(RunError):
        callback.on_trial_error(0, [], last)
    assert isinstance(errors.first, RunError)


def test_a_trial_that_is_taken_up_again_is_noted(tmp_path):
    """A process that died once costs a line that says so, and no trial."""
    state, ledger = open_search(tmp_path / "ledger.jsonl")
    trial = state.next_trial()
    LostTrials(state, SearchErrors()).on_trial_recover(0, [], ray_trial(trial))
    assert state.is_training(trial)
    assert ledger.events()[-1]["event"] == "trial_retried"
    assert ledger.events()[-1]["reason"] == "its process died: exit code 134"
