"""`asc submit`: the challenge package."""

from __future__ import annotations

from search.cli.options import RunArgument, SetOption, terminal


def submit(run: RunArgument, overrides: SetOption = None) -> None:
    """Write and check a DCASE 2021 Task 1A package of up to four systems, best validation log loss first."""
    from results.rundir import RunDirectory
    from search.opening import adjust_run, default_shards
    from search.pipeline import Place, submission_stage

    directory = RunDirectory(run)
    config = adjust_run(directory, overrides or ())
    screen = terminal()
    package = submission_stage(Place(directory, default_shards(directory, None)), config, screen)
    screen.say(f"Submission package: {package}")
