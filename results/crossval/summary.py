"""The scores of a cross-validation as plain values, for JSON."""

from __future__ import annotations

from typing import Any

from results.crossval.ensembles import CrossvalEnsemble, ensembles
from results.crossval.scores import BEST_ON_TEST, QUANTITIES, Crossval, SystemScores


def summary(scores: Crossval) -> dict[str, Any]:
    """Return all scores: systems by log loss, then ensembles of their networks."""
    return {
        "split": scores.split,
        "systems": [_of_system(one) for one in scores.systems],
        "ensembles": [_of_ensemble(one) for one in ensembles(scores.systems)],
        "missing": list(scores.missing),
    }


def _of_system(one: SystemScores) -> dict[str, Any]:
    return {
        "system": one.name,
        "folds": one.folds,
        "seeds": one.seeds,
        "n_clips": len(one.clips),
        **_scores(one),
        "macro_accuracy_sd_over_seeds": one.accuracy.sd,
        "log_loss_sd_over_seeds": one.loss.sd,
        **{name: one.quantity(name) for name in QUANTITIES},
        **({} if one.best_on_test is None else {BEST_ON_TEST: one.best_on_test}),
        "by_fold": {str(fold): value for fold, value in one.by_fold().items()},
    }


def _of_ensemble(one: CrossvalEnsemble) -> dict[str, Any]:
    return {
        "system": one.system,
        "n_members": one.n_members,
        **_scores(one.scores),
        "minus_single": {
            "macro_accuracy": one.difference.accuracy,
            "macro_accuracy_interval": list(one.difference.accuracy_interval),
            "log_loss": one.difference.loss,
            "log_loss_interval": list(one.difference.loss_interval),
        },
        **one.sizes,
        "by_fold": {str(fold): value for fold, value in one.scores.by_fold().items()},
    }


def _scores(one: SystemScores) -> dict[str, Any]:
    return {
        "macro_accuracy": one.accuracy.mean,
        "macro_accuracy_interval": list(one.interval),
        "log_loss": one.loss.mean,
        "calibrated_loss": one.calibrated.loss.mean,
        "brier_score": one.brier.mean,
        "calibration_error": one.calibration.mean,
    }
