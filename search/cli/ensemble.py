"""`asc ensemble`: several models under one size limit."""

from __future__ import annotations

from typing import Annotated

import typer

from search.cli.options import RunArgument, SetOption, terminal

MemberOption = Annotated[
    list[str] | None,
    typer.Option(
        "--member",
        metavar="FILE:BYTES",
        help="Predictions of another system, which join the selection with a stated size: a table as for `asc score` "
        "with the clips of validation, and of test for a test score; or a folder with tables validation and test. "
        "FILE:BYTES:KIND states what the scores are (probabilities, logits, sums). Repeatable.",
        show_default=False,
    ),
]


def ensemble(run: RunArgument, members: MemberOption = None, overrides: SetOption = None) -> None:
    """Select an ensemble of the run's candidates on validation. Its members together meet the limit of one model.

    --set changes the run's configuration permanently and takes keys of the section ensemble.

    With --member, a second ensemble, joint-ensemble, is selected from candidates and other systems, on validation
    alone. It is reported, but never packed into a submission: there is no network of the other systems. Without a
    header, their columns are in the run's order of scenes. Without --member, those of an earlier call no longer join.
    """
    from results.candidates.limits import Limits
    from results.ensembles.outside import parse_member, replace_outside
    from results.ledger.ledger import require_idle
    from results.rundir import RunDirectory
    from search.run_config import adjust_run, default_shards, unless_refused
    from search.stages import Workspace, ensemble_stage

    directory = RunDirectory(run)
    require_idle(directory.ledger_path)
    asked = [parse_member(text) for text in members or ()]
    screen = terminal()
    with unless_refused(directory):
        config = adjust_run(directory, overrides or (), "ensemble")
        for note in replace_outside(directory, asked, Limits(config.rules)):
            screen.note(note)
        ensemble_stage(Workspace(directory, default_shards(directory, None)), config, screen)
    screen.say(f"Ensemble: {directory.ensembles_path}")
