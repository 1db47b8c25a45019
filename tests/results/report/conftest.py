"""A whole run with its report, which several modules look at."""

import pytest
from results_support import add_history, make_run

from results.candidates.limits import Limits
from results.config import EnsembleConfig, SubmissionConfig
from results.ensembles.ensemble import build_ensemble
from results.ledger.ledger import Ledger
from results.report.page import render_report
from results.rundir import RunDirectory
from results.submission.package import write_submission


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = make_run(tmp_path_factory.mktemp("report") / "run")
    for files in run.candidates()[:2]:
        add_history(files)
    build_ensemble(run, EnsembleConfig(), Limits())
    write_submission(run, SubmissionConfig())
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        for files in run.candidates():
            ledger.append("test_read", candidate=files.name, split="test")
    render_report(run)
    return run
