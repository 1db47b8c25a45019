"""`asc select --set` changes the run's configuration only if it ends well."""

from __future__ import annotations

from cli_support import asc
from results_support import make_run

from results.ledger.ledger import Ledger
from search.config import RunConfig
from search.run_config import open_run

CHANGED = ("--set", "submission.slots=[best]")


def test_a_refused_select_changes_no_setting(tmp_path):
    """Without candidates, or while another process works on the run, config.yaml stays; without --set it is read."""
    run, empty = (make_run(tmp_path / name, n_candidates=n, search=False) for name, n in (("run", 1), ("empty", 0)))
    for one in (run, empty):
        one.config_path.unlink()
        open_run(one, RunConfig())
    before = [one.config_path.read_bytes() for one in (run, empty)]
    assert "no retrained candidate can be submitted" in asc("select", empty.root, *CHANGED, code=1).stderr
    with Ledger.open_for_writing(run.ledger_path):
        assert "another asc process is working" in asc("select", run.root, *CHANGED, code=1).stderr
        asc("select", run.root)
    assert [one.config_path.read_bytes() for one in (run, empty)] == before
    asc("select", run.root, *CHANGED)
    assert run.config_path.read_bytes() != before[0]
