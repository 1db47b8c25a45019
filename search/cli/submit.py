"""`asc submit`: the challenge package."""

from __future__ import annotations

from typing import Annotated

import typer

from search.cli.options import RunArgument, SetOption, terminal


def submit(
    run: RunArgument,
    evaluation: Annotated[
        str | None,
        typer.Option(
            "--evaluation",
            metavar="SHARDS",
            help="Folder or URI of shards of the challenge's evaluation set, to predict. Default: the evaluation list "
            "of the run's data, or else its test split.",
            show_default=False,
        ),
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Write a package even if the authors' names are placeholders.")
    ] = False,
    overrides: SetOption = None,
) -> None:
    """Write and validate a DCASE 2021 Task 1A package of up to four systems, chosen as by `asc select`.

    --set changes the run's configuration permanently and takes keys of the section submission.
    """
    from data_prep.store.store import parse_location
    from results.ledger.ledger import require_idle
    from results.rundir import RunDirectory
    from search.run_config import adjust_run, default_shards, unless_refused
    from search.stages import Workspace, submission_stage

    directory = RunDirectory(run)
    require_idle(directory.ledger_path)
    screen = terminal()
    evaluation_set = None if evaluation is None else parse_location(evaluation)
    workspace = Workspace(directory, default_shards(directory, None))
    with unless_refused(directory):
        config = adjust_run(directory, overrides or (), "submit")
        package = submission_stage(workspace, config, screen, evaluation_set, draft=draft)
    screen.say(f"Submission package{' (draft)' if config.submission.open_points else ''}: {package}")
