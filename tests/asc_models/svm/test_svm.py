"""The support vector machine on band energies, against scikit-learn's own decisions and on separable data."""

from __future__ import annotations

import numpy as np
import pytest
from asc_models_support import feature_set

from asc_models.svm.band_energies import band_energies
from asc_models.svm.svm import SupportVectors, SvmSetting, _fit, fit_svm
from data_prep.reader.inputs import deltas

TRAIN, OTHER = feature_set(18), feature_set(18, seed=1)
PARTS = np.arange(18) // 6
"""Three parts, each with two clips of every scene."""


SOME = (SvmSetting(False, 4.0, 0.5), SvmSetting(True, 4.0, 0.03125))


def fitted(n_classes: int = 3) -> SupportVectors:
    return fit_svm(band_energies(TRAIN), TRAIN.labels, PARTS, n_classes, settings=SOME)


def test_the_columns_are_mean_and_deviation_of_bands_then_of_their_deltas():
    """Computed here once more by NumPy, in float64."""
    log_mel = TRAIN.log_mel.astype(np.float64)
    parts = [log_mel, deltas(log_mel.astype(np.float32))]
    expected = np.concatenate([one for part in parts for one in (part.mean(axis=2), part.std(axis=2))], axis=1)
    np.testing.assert_allclose(band_energies(TRAIN), expected, rtol=1e-3, atol=1e-4)


def test_it_separates_scenes_and_is_equal_for_equal_seeds():
    """Other clips of three separable scenes are classified, with probabilities; a second fit is identical."""
    probabilities = fitted().predict(band_energies(OTHER))
    assert (probabilities.argmax(axis=1) == OTHER.labels).all()
    assert probabilities[np.arange(18), OTHER.labels].min() > 0.8
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(probabilities, fitted().predict(band_energies(OTHER)))


def test_decisions_are_those_of_one_machine_per_scene():
    """scikit-learn's SVC on the standardized columns gives the same values, from its own support vectors."""
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    train, other = (band_energies(one)[:, :32].astype(np.float64) for one in (TRAIN, OTHER))
    scaler = StandardScaler().fit(train)
    ours = _fit(band_energies(TRAIN), TRAIN.labels, 3, SvmSetting(False, 4.0, 0.5)).decisions(band_energies(OTHER))
    for label in range(3):
        machine = SVC(C=4.0, gamma=0.5 / 32).fit(scaler.transform(train), TRAIN.labels == label)
        np.testing.assert_allclose(ours[:, label], machine.decision_function(scaler.transform(other)), atol=1e-6)


def test_a_scene_without_training_clips_is_never_predicted():
    """Of four scenes, the fourth has probability 0."""
    assert (fitted(4).predict(band_energies(OTHER))[:, 3] == 0).all()


def test_every_number_that_predicts_is_counted():
    """Vectors with 32 or 64 columns and three weights, mean and deviation of columns, intercepts, and the factor."""
    machines = fitted()
    n_vectors, n_columns = machines.vectors.shape
    assert machines.n_params == n_vectors * (n_columns + 3) + 2 * n_columns + 3 + 1
    assert machines.macs == n_vectors * (n_columns + 3)
    assert n_columns == (64 if machines.setting.has_deltas else 32)
    assert machines.factor == pytest.approx(machines.arrays["factor"])
