"""`ensemble.zip` of a run: the ensemble of `ensembles.json`, with its members' files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from results_support import add_candidate, make_run

from asc_models.ensemble import opened_system
from results.candidates.limits import Limits
from results.candidates.predictions import read_predictions
from results.config import EnsembleConfig
from results.ensembles.ensemble import build_ensemble, ensemble_predictions
from results.ensembles.package import pack_ensemble
from results.rundir import RunDirectory


def with_models(root: Path) -> RunDirectory:
    """Return a run of two candidates that are best together, each with a file in place of its model."""
    run = make_run(root, n_candidates=0, search=False)
    for name in ("a", "b"):
        add_candidate(run, name, size=50_000, skill=2.0)
        run.candidate(name, 0).tflite_path.write_text(name)
    return run


def test_a_run_s_ensemble_is_packed_with_what_its_file_says(tmp_path: Path) -> None:
    """Members, weights and temperature are those of `ensembles.json`, and members' predictions combine to its own."""
    run = with_models(tmp_path / "run")
    ensemble = build_ensemble(run, EnsembleConfig(), Limits())
    members = {name: run.candidate(name[0], 0) for name in ensemble.members}
    assert len(members) == 2
    first = run.ensemble_package_path.read_bytes()
    elsewhere = shutil.copyfile(run.ensemble_package_path, tmp_path / "renamed.zip")
    with opened_system(elsewhere) as system:
        assert dict(zip(system.folders, system.weights, strict=True)) == ensemble.members
        assert system.temperature == ensemble.temperature
        for files, folder in zip(members.values(), system.folders.values(), strict=True):
            for path in (files.tflite_path, files.config_path):
                assert (folder / path.name).read_bytes() == path.read_bytes()
    stored = {name: read_predictions(files.predictions_path("test")) for name, files in members.items()}
    expected = ensemble_predictions(ensemble, stored).probabilities
    np.testing.assert_array_equal(system.combined([one.probabilities for one in stored.values()]), expected)
    assert pack_ensemble(run, ensemble.members, ensemble.temperature)
    assert run.ensemble_package_path.read_bytes() == first


def test_without_a_members_file_no_older_ensemble_is_left(tmp_path: Path) -> None:
    """A run without model files has its ensemble described, not packed."""
    run = with_models(tmp_path / "run")
    assert pack_ensemble(run, {"a-s0": 0.5, "b-s0": 0.5}, 1.0)
    assert run.ensemble_package_path.is_file()
    run.candidate("a", 0).tflite_path.unlink()
    assert not pack_ensemble(run, {"a-s0": 0.5, "b-s0": 0.5}, 1.0)
    assert not run.ensemble_package_path.exists()
