"""Temperatures: recovered, bounded, and used only where they help on clips they were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from results_support import clips

from asc_models.ensemble import temper
from asc_models.metrics import log_loss
from results.candidates.predictions import Predictions
from results.ensembles.calibration import (
    TEMPERATURES,
    calibrate,
    cross_fitted,
    cross_fitted_losses,
    fit_temperature,
    location_parts,
    locations_of,
)


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels that are drawn from the probabilities beside them: calibrated by construction."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), size=n)
    return np.array([rng.choice(3, p=row) for row in p]), p


def test_temperature_recovers_what_was_done_to_the_probabilities():
    """Probabilities that were sharpened by a known factor are flattened by it again."""
    labels, p = drawn(4000)
    assert fit_temperature(labels, temper(p, 0.5)) == pytest.approx(2.0, rel=0.1)
    assert temper(p, 1.0) == pytest.approx(p)


def test_a_fit_without_errors_is_like_one_with_a_random_label_more():
    """n clips answered with p = 0.8, all correctly, in 3 classes: the best p is (n + 1/3) / (n + 1), by hand."""
    labels = np.arange(9) % 3
    right = np.eye(3)[labels] * 0.7 + 0.1
    best = (9 + 1 / 3) / (9 + 1)
    expected = np.log(0.8 / 0.1) / np.log(best / ((1 - best) / 2))
    assert fit_temperature(labels, right) == pytest.approx(expected, rel=1e-3)
    assert fit_temperature(labels, temper(right, expected)) == pytest.approx(1.0, abs=1e-3)


def test_the_temperature_stays_within_its_bounds():
    """Far too flat, with an error or without; everything wrong."""
    labels = np.arange(60) % 3
    right = np.eye(3)[labels] * 0.4 + 0.2
    assert fit_temperature(labels, right) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    one_wrong = np.vstack([np.repeat(right, 50, axis=0), [[0.3, 0.4, 0.3]]])
    assert fit_temperature(np.append(np.repeat(labels, 50), 0), one_wrong) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    all_wrong = np.roll(right, 1, axis=1)
    assert fit_temperature(labels, all_wrong) == pytest.approx(TEMPERATURES[1], rel=1e-3)


def test_a_temperature_is_judged_on_other_locations():
    """The cross-fitted loss is that of temperatures fitted part by part; it is what the calibration reports."""
    labels, p = drawn(300)
    sharp = temper(p, 0.6)
    parts = location_parts([str(i // 4) for i in range(300)])
    expected = 0.0
    for part in range(5):
        held = parts == part
        temperature = fit_temperature(labels[~held], sharp[~held])
        expected += held.sum() * log_loss(labels[held], temper(sharp[held], temperature)) / 300
    found = calibrate(labels, sharp, parts)
    assert found.log_loss == pytest.approx(expected) == pytest.approx(cross_fitted_losses(labels, sharp, parts).mean())
    assert found.log_loss < log_loss(labels, sharp)
    assert found.temperature == pytest.approx(fit_temperature(labels, sharp))
    assert not found.is_at_bound


def test_a_temperature_that_does_not_help_elsewhere_is_not_used():
    """Calibrated probabilities need none: a fit to their own clips would gain, held out it does not."""
    labels, p = drawn(40, seed=1)
    assert log_loss(labels, temper(p, fit_temperature(labels, p))) < log_loss(labels, p)
    found = calibrate(labels, p, location_parts([str(i // 4) for i in range(40)]))
    assert (found.temperature, found.log_loss) == (1.0, log_loss(labels, p))


def test_a_fit_at_its_bound_is_said():
    """Far too flat probabilities end at the lower bound."""
    labels, p = drawn(400)
    found = calibrate(labels, temper(p, 4.0), location_parts([str(i) for i in range(400)]))
    assert found.is_at_bound
    assert found.temperature == pytest.approx(TEMPERATURES[0], rel=1e-3)


def test_parts_keep_locations_together_and_are_even():
    """Each location is in one part, parts differ by at most a location, and the assignment is reproducible."""
    locations = [f"l{i // 3}" for i in range(60)]
    parts = location_parts(locations)
    for wanted in set(locations):
        assert len({int(part) for part, name in zip(parts, locations, strict=True) if name == wanted}) == 1
    assert np.bincount(parts).tolist() == [12] * 5
    np.testing.assert_array_equal(parts, location_parts(locations))
    assert set(location_parts(["a", "a", "b"])) == {0, 1}
    assert calibrate(*drawn(10), location_parts(["one"] * 10)).temperature == 1.0


@pytest.mark.parametrize("sharpened", [0.4, 1.0])
def test_cross_fitted_predictions_have_the_loss_of_the_calibration(sharpened: float) -> None:
    """Tempered part by part where that helps, as `calibrate` judges it; unchanged where it does not."""
    labels, p = drawn(400)
    probabilities = temper(p, sharpened)
    table = clips(400, ("a", "b", "c")).assign(scene=np.array(["a", "b", "c"])[labels])
    given = Predictions(table, probabilities, ("a", "b", "c"))
    found = cross_fitted(given)
    judged = calibrate(labels, probabilities, location_parts(locations_of(given)))
    assert log_loss(labels, found.probabilities) == pytest.approx(judged.log_loss)
    assert (judged.temperature != 1.0) == (sharpened != 1.0) == (found is not given)
