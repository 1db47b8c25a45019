"""Access to a run directory from Python: its trials, candidates and ensembles as data frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.errors import RunError
from results.ledger.ledger import Ledger
from results.ledger.trials import trials_table
from results.pareto import pareto_front
from results.report.data import read_run_data
from results.report.tables.candidates import candidate_table
from results.report.tables.ensembles import member_table
from results.rundir import RunDirectory


class Run:
    """The contents of a run directory. Each access reads the files again, so an active run can be followed.

    Args:
        path: the run directory.
    """

    def __init__(self, path: Path | str) -> None:
        self.directory = RunDirectory(Path(path))

    def __repr__(self) -> str:
        return f"Run({str(self.directory.root)!r})"

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.root

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, including package versions, as nested mappings."""
        return self.directory.read_config()

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial in order of start, including infeasible proposals. Columns as in `trials.parquet`."""
        return trials_table(Ledger(self.directory.ledger_path).events())

    @property
    def front(self) -> pd.DataFrame:
        """The finished trials on the Pareto front of `macro_accuracy` and `weight_bytes`, smallest first."""
        trials = self.trials
        finished = trials[trials["state"] == "finished"]
        return finished.iloc[pareto_front(finished["macro_accuracy"], finished["weight_bytes"])].reset_index(drop=True)

    @property
    def candidates(self) -> pd.DataFrame:
        """One row per retrained candidate, best validation log loss first. Columns as in `tables/candidates.csv`."""
        return candidate_table(read_run_data(self.directory)).frame()

    @property
    def ensembles(self) -> pd.DataFrame:
        """One row per member of each ensemble. Columns as in `tables/ensembles.csv`."""
        data = read_run_data(self.directory)
        return member_table(data, data.ensembles).frame()

    def report(self) -> Path:
        """Render the report from the current state of the run and return the path of its HTML page.

        Raises:
            RunError: if the ledger or the configuration is damaged.
            DataError: if a candidate's files are damaged.
        """
        from results.report.page import render_report

        return render_report(self.directory)


def open_run(path: Path | str) -> Run:
    """Return the run in the directory `path`.

    Raises:
        RunError: if the directory has no `config.yaml`.
    """
    run = Run(path)
    if not run.directory.config_path.is_file():
        raise RunError(f"{run.path}: not a run directory (it has no config.yaml)")
    return run
