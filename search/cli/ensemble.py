"""`asc ensemble`: several models under one size limit."""

from __future__ import annotations

from search.cli.options import RunArgument, terminal


def ensemble(run: RunArgument) -> None:
    """Select an ensemble of the run's candidates on validation, under the size limit of a single model."""
    from results.rundir import RunDirectory
    from search.opening import default_shards, read_run
    from search.pipeline import Place, ensemble_stage

    directory = RunDirectory(run)
    config = read_run(directory)
    screen = terminal()
    ensemble_stage(Place(directory, default_shards(directory, None)), config, screen)
    screen.say(f"Ensemble: {directory.ensembles_path}")
