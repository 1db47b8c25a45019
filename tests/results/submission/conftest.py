from __future__ import annotations

import pytest
from results_support import add_candidate, make_run

from results.candidates.limits import Limits
from results.config import EnsembleConfig, SubmissionConfig
from results.ensembles.ensemble import build_ensemble
from results.rundir import RunDirectory
from results.submission.package import write_submission


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with three candidates, one over the limit, their ensemble, and a package; who changes it writes it anew."""
    run = make_run(tmp_path_factory.mktemp("submission") / "run", n_candidates=3, search=False)
    add_candidate(run, "heavy", size=128_001, skill=5.0)
    build_ensemble(run, EnsembleConfig(), Limits())
    write_submission(run, SubmissionConfig())
    return run
