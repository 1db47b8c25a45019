"""Ray Tune's scheduler: passes every result to the search's state and carries out its decision.

A paused trial is paused in Ray, without a checkpoint of Ray's: its rung checkpoint is already written, and its process
is free for another trial. A promoted trial continues in any free process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from data_prep.errors import AscError, DataError
from search.study.state import SearchState

KeepFailure = Callable[[str, str], None]
"""Keeps the traceback of a failed trial: (trial_id, traceback)."""


def _keep_nothing(trial_id: str, traceback: str) -> None:
    """Keep no traceback."""


class SearchErrors:
    """Keeps the error that ended a search, as Ray passes on only its text."""

    def __init__(self) -> None:
        self.first: AscError | None = None

    def keep(self, error: AscError) -> AscError:
        """Store `error` if it is the first, and return it for raising."""
        self.first = self.first or error
        return error


class RungScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray ships no type information
    """Pauses, promotes, stops and finishes trials at the rungs, as the search's state decides."""

    _supports_buffered_results = False

    def __init__(self, state: SearchState, errors: SearchErrors, keep_failure: KeepFailure = _keep_nothing) -> None:
        super().__init__()
        self._state = state
        self._errors = errors
        self._keep_failure = keep_failure
        self._paused: dict[str, Any] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Write a trial's result to the ledger, and return Ray's decision for the trial."""
        trial_id = trial.config["trial_id"]
        try:
            if result["outcome"] == "fatal":
                raise DataError(result["reason"])
            if result["outcome"] == "failed":
                self._keep_failure(trial_id, result["traceback"])
                self._state.on_failure(trial_id, result["reason"])
                return str(TrialScheduler.STOP)
            entered = self._state.on_rung(trial_id, result["rung"], result)
        except AscError as error:
            raise self._errors.keep(error)  # noqa: B904 - the same error
        # If its process dies, or when it is promoted, Ray passes the trial's configuration to another process.
        trial.set_config({**trial.config, "next_rung": entered.next_rung})
        if self._state.is_paused(entered):
            self._paused[trial_id] = trial
            tune_controller.pause_trial(trial, should_checkpoint=False)
            return str(TrialScheduler.NOOP)
        return str(TrialScheduler.STOP if entered.has_ended else TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the trial to start next: a promoted one, else the one that was suggested first.

        Paused trials don't end by themselves: once nothing is left to do, they are stopped in Ray. The search's state
        keeps them as paused.
        """
        try:
            promoted = self._state.next_promotion()
        except AscError as error:
            raise self._errors.keep(error)  # noqa: B904 - the same error
        if promoted is not None:
            return self._paused.pop(promoted.trial_id)
        if self._paused and self._state.is_done:
            for trial in self._paused.values():
                tune_controller.stop_trial(trial)
            self._paused.clear()
        pending = (trial for trial in tune_controller.get_trials() if trial.status == trial.PENDING)
        return next(pending, None)  # the inherited choice would start paused trials too


class LostTrials(Callback):  # type: ignore[misc]  # Ray ships no type information
    """Reports trials whose process died: resumed, or failed if that happened too often.

    Not done in the scheduler's `on_trial_error`, which Ray also calls for trials that it will resume.
    """

    def __init__(self, state: SearchState, errors: SearchErrors, keep_failure: KeepFailure = _keep_nothing) -> None:
        self._state = state
        self._errors = errors
        self._keep_failure = keep_failure

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report that the trial is resumed."""
        self._report(self._state.on_retry, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End the trial as failed."""
        self._keep(trial)
        self._report(self._state.on_failure, trial)

    def _keep(self, trial: Any) -> None:
        try:
            self._keep_failure(trial.config["trial_id"], str(trial.get_error() or "its process died"))
        except AscError as error:
            raise self._errors.keep(error)  # noqa: B904 - the same error

    def _report(self, handler: Any, trial: Any) -> None:
        lines = str(trial.get_error() or "").strip().splitlines()
        reason = f"its process died: {lines[-1].strip()}" if lines else "its process died"
        try:
            handler(trial.config["trial_id"], reason)
        except AscError as error:
            raise self._errors.keep(error)  # noqa: B904 - the same error
