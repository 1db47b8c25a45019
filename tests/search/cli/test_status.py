"""`asc status` of runs without a search."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import SimpleNamespace

from cli_support import asc
from results_support import add_candidate, make_run

from results.ledger.ledger import Ledger
from search.cli import status
from search.config import read_run_config
from search.run_config import open_run


def test_a_followed_run_without_a_search_is_shown_until_its_driver_ends(tmp_path, monkeypatch):
    """What has been retrained is printed again once it differs; the command ends when no process holds the run."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    run.config_path.unlink()
    open_run(run, read_run_config("tau2020-cao2021"))
    with ExitStack() as driver:
        driver.enter_context(Ledger.open_for_writing(run.ledger_path))

        def work(seconds: float) -> None:
            """Finish a candidate and the driver while the command waits."""
            add_candidate(run, "one", size=5_000, skill=1.0)
            driver.close()

        monkeypatch.setattr(status, "time", SimpleNamespace(sleep=work, monotonic=time.monotonic, time=time.time))
        said = asc("status", run.root, "--follow").stdout
    assert said.splitlines() == [f"{run.root}: 0 retrained", f"{run.root}: 1 retrained"]
