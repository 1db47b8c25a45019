"""The forecast of a search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from asc_models.training.measure import TrainingCost
from data_prep.progress import ProgressCallback
from results.rundir import RunDirectory
from search import stages
from search.config import read_run_config
from search.stages import Workspace
from search.study.forecast import LONG_EXAMPLES, Forecast, expected_epochs, is_long, training_clips

SPACE = {"space.n_blocks": [1, 2], "space.base_filters": [8, 16], "space.stem_filters": 8, "space.dropout": 0.0}


def test_hours_and_memory_by_hand() -> None:
    """3.6 million examples at 10 and 2 ms, two at a time, are 5 hours and 1; the data are held by each trial."""
    costs = (TrainingCost(0.010, 1_000_000_000), TrainingCost(0.002, 1_400_000_000))
    found = Forecast(costs, 3_600_000, 2, 1, 600_000_000)
    assert found.hours == (1.0, 5.0)
    assert found.memory_bytes == 2_000_000_000
    assert found.text.startswith(
        "Expected: 60 min if all trials were the smallest network, 5 h 00 min if all were the largest, 2 at a time; "
        "2.0 GB of memory each."
    )


@pytest.mark.parametrize(("scheduler", "epochs"), [("none", 64 * 62), ("pareto", 64 * (6 + 8 / 2 + 16 / 4 + 32 / 8))])
def test_halving_spares_epochs(scheduler: str, epochs: int) -> None:
    """All trials are trained to the end without halving; with it half of them at each rung."""
    settings = read_run_config("default", {"search.scheduler": scheduler}).search_settings()
    assert expected_epochs(settings) == (epochs, 64 * 62)
    assert is_long(settings, -(-LONG_EXAMPLES // int(epochs)))
    assert not is_long(settings, LONG_EXAMPLES // int(epochs) - 1)


@pytest.mark.parametrize(("n_parts", "folds"), [(0, (1, 1, 1, 1)), (2, (1, 1, 2, 2)), (4, (1, 2, 3, 4))])
def test_every_network_counts(n_parts: int, folds: tuple[int, ...]) -> None:
    """With parts the networks rise from one to all; epochs are those of all, and those of a trial's step are what its
    networks are trained for since the rung before."""
    settings = read_run_config("default", {"search.inner_folds": n_parts}).search_settings()
    assert settings.epochs == (6, 14, 30, 62)
    assert settings.folds == folds
    one, two, three, four = (n * epochs for n, epochs in zip(folds, settings.epochs, strict=True))
    expected = 64 * (one + (two - one) / 2 + (three - two) / 4 + (four - three) / 8)
    assert expected_epochs(settings) == (expected, 64 * four)


def test_clips_to_train_on_by_hand() -> None:
    """Without parts those of training; with four parts three quarters of training and validation."""
    counts = {"train": 300, "validation": 100, "test": 50}
    for n_parts, n_clips in ((0, 300), (4, 300), (2, 200)):
        settings = read_run_config("default", {"search.inner_folds": n_parts}).search_settings()
        assert training_clips(settings, counts) == n_clips


class Heard:
    """A narrator that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def stage(self, title: str, unit: str) -> Iterator[ProgressCallback]:
        """Show nothing."""
        yield lambda done, total: None

    def search_view(self, reports: Any) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Keep the text."""
        self.notes.append(text)

    warn = note


@pytest.mark.system
def test_a_long_search_says_at_its_start_how_long_it_takes(shards: Path, tmp_path: Path) -> None:
    """Two networks are really trained; a short search is not measured."""
    settings = [
        read_run_config("default", {**SPACE, "search.n_trials": n_trials, "reader.deltas": 0}).search_settings()
        for n_trials in (100_000, 8)
    ]
    heard = Heard()
    workspace = Workspace(RunDirectory(tmp_path / "run"), shards)
    for one in settings:
        stages._note_forecast(workspace, one, heard)
    (note,) = heard.notes
    assert note.startswith("Expected: ")
    assert "at a time" in note
