"""Paired differences of systems on the same clips."""

from __future__ import annotations

import numpy as np
import pytest
from results_support import clips, predictions
from scipy.stats import bootstrap

from asc_models.metrics import log_loss
from results.candidates.differences import clip_scores, difference_to, mean_loss_difference
from results.candidates.predictions import Predictions
from results.candidates.ties import tie_groups

CLASSES = ("airport", "bus", "park")
TABLE = clips(240, CLASSES).iloc[[*range(0, 240, 3), *range(1, 30, 3), *range(2, 240, 24)]]
"""Clips of which most are of one scene."""


def made(skill: float, seed: int) -> Predictions:
    """Return a system on these clips."""
    return predictions(TABLE.reset_index(drop=True), CLASSES, skill, seed)


def test_a_loss_difference_is_that_of_the_losses_by_which_systems_are_ranked():
    """Scenes with different numbers of clips: the difference is that of the mean losses of all clips."""
    one, other = made(1.0, 0), made(2.0, 1)
    found = difference_to(("one", one), ("other", other))
    assert found is not None
    of_clips = log_loss(one.labels, one.probabilities) - log_loss(other.labels, other.probabilities)
    assert found.loss == pytest.approx(of_clips)
    scores = [clip_scores(system) for system in (one, other)]
    by_scene = (scores[0]["loss"] - scores[1]["loss"]).groupby(scores[0]["label"]).mean().mean()
    assert abs(found.loss - by_scene) > 0.01  # else the clips would not tell the definitions apart


def test_the_order_of_groups_is_that_of_their_differences():
    """No system has a lower log loss than the first of its group."""
    systems = {f"s{seed}": made(1.0 + 0.2 * (seed % 3), seed) for seed in range(8)}
    assert all(other.loss >= 0 for group in tie_groups(systems) for other in group.others)


def test_the_paired_interval_is_that_of_scipy():
    """With one clip per location, it is SciPy's percentile bootstrap, up to the resamples' chance."""
    differences = np.random.default_rng(3).gamma(2.0, 0.2, 150) - 0.3
    mean, low, high = mean_loss_difference(differences, [str(number) for number in range(150)])
    expected = bootstrap((differences,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    assert mean == pytest.approx(differences.mean())
    assert [low, high] == pytest.approx([expected.low, expected.high], abs=0.004)
