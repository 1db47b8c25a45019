"""Ray Tune's searcher: asks the search's state for the next trial. Nothing is decided here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from results.ledger.trial import Trial
from search.study.state import SearchState


class ConstrainedSearcher(Searcher):  # type: ignore[misc]  # Ray ships no type information
    """Suggests the search's trials: interrupted ones, those promoted from an earlier session, then new ones.

    Trials paused in this session are promoted by the scheduler.

    A suggestion is the configuration of a trial (search/tune/trainable.py). Results reach the search's state through
    the scheduler, which knows the rungs. Ray's saving and restoring of searchers is not used.
    """

    def __init__(
        self, state: SearchState, first: Trial, shared: dict[str, Any], n_concurrent: int | None = None
    ) -> None:
        """Create a searcher.

        Args:
            state: of the search.
            first: the first trial to suggest, which `state` has already returned.
            shared: settings that are the same for every trial (a SharedConfig).
            n_concurrent: most trials at the same time; None is limited by the processors only.
        """
        super().__init__()
        self._state = state
        self._first: Trial | None = first
        self._shared = shared
        self._n_concurrent = n_concurrent

    def set_search_properties(self, *args: Any, **spec: Any) -> bool:
        """Return True: Tune's metric, mode and space are not used."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's configuration; None if there is none now, FINISHED if there will be none."""
        trial, self._first = self._first, None
        if trial is None:
            if self._n_concurrent is not None and self._state.n_training >= self._n_concurrent:
                return None
            trial = self._state.next_trial()
        if trial is None:
            return str(Searcher.FINISHED) if self._state.is_done else None
        config = self._state.config_of(trial)
        return {
            "shared": self._shared,
            "trial_id": trial.trial_id,
            **{part: config[part] for part in ("model", "train", "reader", "mode") if part in config},
            "next_rung": trial.next_rung,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the scheduler and the callback report to the search's state."""

    def save(self, checkpoint_path: str) -> None:
        """Write an empty file, which Ray expects: the ledger is the only memory."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is the only memory."""
