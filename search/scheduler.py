"""Ray Tune's view of the rungs: hands every result to the sweep and returns its decision. Nothing is decided here."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from data_prep.errors import AscError, DataError
from search.sweep_state import SweepState


class SweepErrors:
    """Keeps the error that ended a sweep, since Ray passes on only its text."""

    def __init__(self) -> None:
        self.first: AscError | None = None

    def keep(self, error: AscError) -> AscError:
        """Remember `error` if it is the first, and return it to be raised."""
        self.first = self.first or error
        return error


class RungScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray ships no type information
    """Asynchronous successive halving at the ends of the warm-restart cycles."""

    _supports_buffered_results = False

    def __init__(self, state: SweepState, errors: SweepErrors) -> None:
        super().__init__()
        self._state = state
        self._errors = errors

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return whether the trial goes on to the next rung, after writing what it measured to the ledger."""
        trial_id = trial.config["trial_id"]
        try:
            if result["outcome"] == "fatal":
                raise DataError(result["reason"])
            if result["outcome"] == "failed":
                self._state.on_failure(trial_id, result["reason"])
                return str(TrialScheduler.STOP)
            goes_on = self._state.on_rung(trial_id, result["rung"], result)
            # Where its process dies, Ray gives the trial's configuration to another one.
            trial.set_config({**trial.config, "next_rung": result["rung"] + 1})
        except AscError as error:
            raise self._errors.keep(error)  # noqa: B904 - the same error
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


class LostTrials(Callback):  # type: ignore[misc]  # Ray ships no type information
    """Tells the sweep of trials whose process died more often than is allowed.

    Not the scheduler's `on_trial_error`: Ray calls that also where it will take the trial up again.
    """

    def __init__(self, state: SweepState, errors: SweepErrors) -> None:
        self._state = state
        self._errors = errors

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """End the trial as failed, with the last line of what Ray knows."""
        lines = str(trial.get_error() or "").strip().splitlines()
        reason = f"its process died: {lines[-1].strip()}" if lines else "its process died"
        try:
            self._state.on_failure(trial.config["trial_id"], reason)
        except AscError as error:
            raise self._errors.keep(error)  # noqa: B904 - the same error
