import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics import log_loss as sklearn_log_loss

from asc_models.metrics import (
    brier_score,
    by_group,
    calibration_error,
    confidence_bins,
    group_intervals,
    interval_by_location,
    log_loss,
    macro_accuracy,
    summarize,
    wilson_interval,
)


@given(st.integers(0, 1000))
def test_scores_are_scikit_learns(seed):
    """Macro accuracy is scikit-learn's balanced accuracy, log loss its log loss."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(4), rng.integers(0, 4, 30)])
    probabilities = rng.dirichlet(np.ones(4), 34)
    assert macro_accuracy(labels, probabilities) == pytest.approx(
        balanced_accuracy_score(labels, probabilities.argmax(axis=1))
    )
    assert log_loss(labels, probabilities) == pytest.approx(sklearn_log_loss(labels, probabilities), rel=1e-6)


def test_certain_and_wrong_stays_finite():
    """Probability 0 of the true scene costs −log(1e-15), not infinity."""
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(34.538776, rel=1e-6)


def test_brier_score_by_hand():
    """Sums over three scenes of .09 + .04 + .01 and .09 + .49 + .16, halved; certain and wrong costs 2."""
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    assert brier_score(np.array([0, 1]), probabilities) == pytest.approx(0.44)
    assert brier_score(np.array([0, 1]), 7 * probabilities) == pytest.approx(0.44)
    assert brier_score(np.array([0]), np.array([[0.0, 1.0]])) == 2.0


def test_calibration_error_by_hand():
    """Two clips of confidence .9, one right: gap .4. One right at .62, one wrong at .55: .38 and .55. Weighted: .4325.

    With a single bin, accuracy .5 against a mean confidence of .7425.
    """
    right = np.array([0.9, 0.1, 0.62, 0.45])
    labels, probabilities = np.zeros(4, dtype=int), np.stack([right, 1 - right], axis=1)
    assert calibration_error(labels, probabilities) == pytest.approx((2 * 0.4 + 0.38 + 0.55) / 4)
    assert calibration_error(labels, probabilities, n_bins=1) == pytest.approx(0.7425 - 0.5)
    assert calibration_error(np.array([0, 1]), np.eye(2)) == 0.0


def test_confidence_bins_by_hand():
    """Confidences .9, .9, .62, .55 are in bins 14, 10 and 9 of 15; their gaps, weighted by clips, are the error."""
    right = np.array([0.9, 0.1, 0.62, 0.45])
    labels, probabilities = np.zeros(4, dtype=int), np.stack([right, 1 - right], axis=1)
    bins = confidence_bins(labels, probabilities)
    assert [(one.low, one.high) for one in bins] == [(8 / 15, 9 / 15), (9 / 15, 10 / 15), (13 / 15, 14 / 15)]
    assert [(one.n_clips, one.accuracy) for one in bins] == [(1, 0.0), (1, 1.0), (2, 0.5)]
    assert [one.confidence for one in bins] == pytest.approx([0.55, 0.62, 0.9])
    error = sum(one.n_clips * abs(one.accuracy - one.confidence) for one in bins) / len(labels)
    assert error == pytest.approx(calibration_error(labels, probabilities))


def test_groups_are_scored_apart():
    """A device that is always right and one that is always wrong."""
    labels = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.9, 0.1]])
    table = by_group(labels, probabilities, ["a", "a", "s1", "s1"])
    assert [table[name]["macro_accuracy"] for name in ("a", "s1")] == [1.0, 0.0]
    summary = summarize(labels, probabilities, ("park", "bus"), ["a"] * 4)
    assert list(summary["by_scene"]) == ["park", "bus"]
    assert summary["macro_accuracy"] == 0.5


def test_the_interval_is_wider_where_locations_move_together():
    """Clips of a location that are right or wrong together carry less evidence than independent ones."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 100)
    right = np.repeat(rng.random(20) < 0.7, 10)
    probabilities = np.where((labels == 1) == right, 0.9, 0.1)
    stacked = np.stack([1 - probabilities, probabilities], axis=1)
    together = interval_by_location(labels, stacked, np.repeat(np.arange(20), 10).astype(str))
    apart = interval_by_location(labels, stacked, np.arange(200).astype(str))
    assert together[1] - together[0] > 1.5 * (apart[1] - apart[0])
    assert together[0] < macro_accuracy(labels, stacked) < together[1]


@pytest.mark.parametrize(("n_right", "ends_at"), [(12, 1.0), (0, 0.0)])
def test_an_interval_never_collapses(n_right, ends_at):
    """All right or all wrong at n locations: Wilson's interval for n, from the value to z² / (n + z²) beside it."""
    labels, locations = np.repeat([0, 1], 6), np.tile(["a", "b", "c"], 4)
    answers = labels if n_right else 1 - labels
    interval = interval_by_location(labels, np.eye(2)[answers], locations)
    far = 1.959964**2 / (3 + 1.959964**2)
    assert sorted(interval) == pytest.approx(sorted((ends_at, abs(ends_at - far))))


def test_intervals_of_scenes_are_those_of_scipy():
    """With one clip per location: Wilson's interval for the clips of each scene, for 8 of 8, 7 of 8 and 1 of 8."""
    right = np.array([1] * 8 + [1] * 7 + [0] + [1] + [0] * 7)
    labels = np.repeat([0, 1, 4], 8)
    found = group_intervals(right, labels, labels.astype(str), [str(number) for number in range(24)])
    assert list(found) == ["0", "1", "4"]
    for label, n_right in (("0", 8), ("1", 7), ("4", 1)):
        expected = binomtest(n_right, 8).proportion_ci(0.95, method="wilson")
        assert found[label] == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_better_scene_has_a_higher_interval():
    """Equal numbers of clips and locations: both bounds grow with the accuracy, up to a scene without errors."""
    n_right = (10, 20, 29, 30)
    right = np.concatenate([[1] * n + [0] * (30 - n) for n in n_right])
    locations = [f"{number // 3}" for number in range(120)]
    labels = np.repeat(range(4), 30)
    bounds = list(group_intervals(right, labels, labels.astype(str), locations).values())
    assert bounds == sorted(bounds)
    assert [high for _, high in bounds] == sorted(high for _, high in bounds)


@pytest.mark.parametrize("all_right", [False, True])
def test_clips_that_are_right_or_wrong_together_count_once(all_right):
    """Six locations of five equal answers are six observations; without any error, nothing else is known."""
    right = np.repeat([1, 1, 1, 1, int(all_right), int(all_right)], 5)
    places = [str(number // 5) for number in range(30)]
    (found,) = group_intervals(right, np.zeros(30, int), ["a"] * 30, places).values()
    expected = binomtest(6 if all_right else 4, 6).proportion_ci(0.95, method="wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_device_counts_its_scenes_alike():
    """A device's mean over scenes of 12 and 3 clips: Wilson's for 4 / (1 / 12 + 1 / 3) clips, as its variance is."""
    labels = np.repeat([0, 1, 0, 1], [12, 3, 5, 5])
    right = np.array([1] * 9 + [0] * 3 + [1, 0, 0] + [1] * 10)
    devices = ["a"] * 15 + ["b"] * 10
    found = group_intervals(right, labels, devices, [str(number) for number in range(25)])
    assert found["a"] == pytest.approx(wilson_interval((0.75 + 1 / 3) / 2, 4 / (1 / 12 + 1 / 3)))
    assert found["b"] == pytest.approx(wilson_interval(1.0, 10))


@pytest.mark.parametrize(("n_locations", "n_clips", "correlation"), [(11, 3, 0.0), (11, 3, 0.3), (2, 5, 0.3)])
def test_intervals_of_devices_contain_the_truth(n_locations, n_clips, correlation):
    """Beta-binomial locations, ten scenes and three devices: 95 % of the intervals have the accuracy in them."""
    rng, truth, n_runs = np.random.default_rng(0), np.linspace(0.6, 0.95, 10), 150
    labels, places, devices, _ = (part.ravel() for part in np.indices((10, n_locations, 3, n_clips)))
    names = [f"{label}-{place}" for label, place in zip(labels, places, strict=True)]
    chance = np.repeat(truth, n_locations * 3)
    n_held = 0
    for _ in range(n_runs):
        spread = 1 / correlation - 1 if correlation else 1e6
        drawn = rng.beta(chance * spread, (1 - chance) * spread)
        right = (rng.random(len(labels)) < np.repeat(drawn, n_clips)).astype(float)
        found = group_intervals(right, labels, devices.astype(str), names)
        n_held += sum(low <= truth.mean() <= high for low, high in found.values())
    assert 0.92 < n_held / (3 * n_runs) < 0.99


def test_a_single_location_has_a_wide_interval():
    """Eight of ten right in one place are one observation: bounds p with (p − 0.8)² = z² p (1 − p) / 1."""
    right = np.array([1] * 8 + [0] * 2)
    interval = interval_by_location(np.ones(10, int), np.stack([1 - right, right], axis=1), ["a"] * 10)
    assert interval[0] < 0.2
    for bound in interval:
        assert (bound - 0.8) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound), abs=1e-6)


def test_the_interval_is_that_of_all_draws_at_once():
    """Some resamples at a time or as one dense table of draws, the interval is the same to the last bit."""
    rng = np.random.default_rng(1)
    labels, probabilities = rng.integers(0, 4, 300), rng.dirichlet(np.ones(4), 300)
    places = rng.integers(0, 37, 300)
    total, hits = np.zeros((37, 4)), np.zeros((37, 4))
    np.add.at(total, (places, labels), 1)
    np.add.at(hits, (places, labels), probabilities.argmax(axis=1) == labels)
    draws = np.random.default_rng(0).integers(37, size=(500, 37))
    by_class = hits[draws].sum(axis=1) / total[draws].sum(axis=1)
    expected = np.quantile(np.nanmean(by_class, axis=1), [(1 - 0.95) / 2, (1 + 0.95) / 2])
    # Places are numbered as their names sort.
    found = interval_by_location(labels, probabilities, [f"{place:02d}" for place in places], n_resamples=500)
    assert found == tuple(expected)


def test_the_interval_takes_little_memory_whatever_the_number_of_places():
    """20,000 clips without locations are as many places: some megabytes, where all draws at once would be gigabytes."""
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 10, 20_000), rng.dirichlet(np.ones(10), 20_000)
    places = [str(number) for number in range(20_000)]
    tracemalloc.start()
    interval_by_location(labels, probabilities, places, n_resamples=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_empty_and_disagreeing_arrays_are_refused():
    """No clips, or labels and probabilities of different lengths, are errors."""
    with pytest.raises(ValueError, match="must match"):
        macro_accuracy(np.array([], int), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="must match"):
        log_loss(np.array([0]), np.zeros((2, 2)))
