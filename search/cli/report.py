"""`asc report`: the HTML report of a run."""

from __future__ import annotations

from search.cli.options import RunArgument, terminal


def report(run: RunArgument) -> None:
    """Render the run's report: an HTML page, its tables as CSV, its figures as PNG and SVG."""
    from results.rundir import RunDirectory
    from search.run_config import default_shards, read_run
    from search.stages import Workspace, report_stage

    directory = RunDirectory(run)
    config = read_run(directory)
    screen = terminal()
    page = report_stage(Workspace(directory, default_shards(directory, None)), config, screen)
    screen.say(f"Report: {page}")
