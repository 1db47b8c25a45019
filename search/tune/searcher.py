"""Ray Tune's view of the proposals: asks the sweep for the next trial. Nothing is decided here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from results.ledger.trial import Trial
from search.study.state import SearchState


class ConstrainedSearcher(Searcher):  # type: ignore[misc]  # Ray ships no type information
    """Suggests the sweep's trials: interrupted ones, those paused by an earlier session that go on now, then new ones.

    Trials that this session has paused are the scheduler's to promote.

    A suggestion is the whole configuration of a trial (search/tune/trainable.py). What trials measure reaches the study
    through the scheduler, which knows the rungs; Ray's own saving and restoring of searchers is not used.
    """

    def __init__(
        self, state: SearchState, first: Trial, shared: dict[str, Any], n_concurrent: int | None = None
    ) -> None:
        """Begin to suggest.

        Args:
            state: the sweep.
            first: the trial that the sweep has handed out already.
            shared: what every trial is told alike.
            n_concurrent: trials side by side; None leaves it to the processors.
        """
        super().__init__()
        self._state = state
        self._first: Trial | None = first
        self._shared = shared
        self._n_concurrent = n_concurrent

    def set_search_properties(self, *args: Any, **spec: Any) -> bool:
        """Return True: metric, mode and space are the sweep's own."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's configuration, None where nothing is due now, FINISHED where nothing is left."""
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
            **{part: config[part] for part in ("model", "train", "mode")},
            "next_rung": trial.next_rung,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the scheduler and the callback have told the sweep."""

    def save(self, checkpoint_path: str) -> None:
        """Leave an empty file, which Ray expects: the ledger is the only memory."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is the only memory."""
