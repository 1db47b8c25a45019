"""`asc ensemble`: several models under one size limit."""

from __future__ import annotations

from search.cli.options import RunArgument, SetOption, terminal


def ensemble(run: RunArgument, overrides: SetOption = None) -> None:
    """Select an ensemble of the run's candidates on validation. Its members together meet the limit of one model.

    --set changes the run's configuration permanently and takes keys of the section ensemble.
    """
    from results.ledger.ledger import require_idle
    from results.rundir import RunDirectory
    from search.run_config import adjust_run, default_shards, unless_refused
    from search.stages import Workspace, ensemble_stage

    directory = RunDirectory(run)
    require_idle(directory.ledger_path)
    screen = terminal()
    with unless_refused(directory):
        config = adjust_run(directory, overrides or (), "ensemble")
        ensemble_stage(Workspace(directory, default_shards(directory, None)), config, screen)
    screen.say(f"Ensemble: {directory.ensembles_path}")
