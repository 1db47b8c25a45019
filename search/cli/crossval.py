"""`asc crossval`: train fixed systems on every fold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import (
    AddressOption,
    CpusOption,
    GpusOption,
    JsonOption,
    SetOption,
    ShardsOption,
    WorkersOption,
    leave_job_folder,
    n_workers,
    terminal,
    with_resources,
)
from search.cli.screen.outcome import show_percent
from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from results.crossval.scores import Crossval


SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="YAML file or shipped name with retrain.systems, or a candidate (folder or zip).",
        show_default=False,
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of the cross-validation.", show_default=False)]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the data set, to prepare; not needed with prepared --shards."),
]
FoldsOption = Annotated[
    str,
    typer.Option("--folds", metavar="K,K", help="Folds, such as 1,3. Default: all.", show_default=False),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        "--seeds", min=1, metavar="N", help="Train every system with the seeds 0 to N − 1. Default: those in CONFIG."
    ),
]
InnerOption = Annotated[
    int,
    typer.Option(
        "--inner",
        min=0,
        metavar="K",
        help="For choosing: predict only the training side of each fold, out of fold in K parts. No test split is "
        "read. 0: train on each fold's training side, and test.",
    ),
]
TestCurveOption = Annotated[
    int,
    typer.Option(
        "--test-curve",
        min=0,
        metavar="N",
        help="Also score the network on test every N epochs, for a column of its best epoch there, to compare with "
        "published results that were chosen on test. Nothing here is chosen by it. 0: never.",
    ),
]


def crossval(
    source: SourceArgument,
    out: OutOption,
    data: DataOption = None,
    shards: ShardsOption = None,
    folds: FoldsOption = "",
    seeds: SeedsOption = None,
    inner: InnerOption = 0,
    test_curve: TestCurveOption = 0,
    overrides: SetOption = None,
    address: AddressOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train fixed systems on every fold with several seeds, and score the exported files on test, once each.

    First choose by --inner, which reads no test split; then freeze the configuration and run without it. Rerun the same
    command to resume, or with more folds or seeds to extend. Prints mean, spread over seeds, a 95 % interval over
    locations, log losses with and without a temperature, several networks together, and paired differences of the
    systems.
    """
    from data_prep.errors import ConfigError
    from data_prep.store.store import parse_location
    from results.rundir import CrossvalDirectory
    from search.crossval.crossval import cross_validate
    from search.crossval.frozen import frozen_config
    from search.study.config import SearchConfig

    if inner == 1:
        raise ConfigError("--inner 1: must be 0 or at least 2; a single part leaves nothing to train on")
    if inner and test_curve:
        raise ConfigError("--inner and --test-curve: give one of them; --inner reads no test split")
    screen = terminal()
    config = frozen_config(source, overrides or ())
    if seeds is not None:
        config = config.updated(retrain=config.retrain.with_seeds(range(seeds)))
    leave_job_folder(data=data, out=out, shards=shards)
    scores = cross_validate(
        config,
        CrossvalDirectory(out),
        screen,
        data=data,
        shards=None if shards is None else parse_location(shards),
        folds=_parse_folds(folds),
        inner=inner,
        test_every=test_curve,
        lent=with_resources(SearchConfig(), cpus_per_trial, gpus_per_trial),
        address=address,
        n_workers=n_workers(workers),
    )
    _show(screen, scores, out, as_json=as_json)


def _parse_folds(text: str) -> list[int]:
    from data_prep.errors import ConfigError

    try:
        folds = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--folds {text}: must be numbers separated by commas, such as 1,3") from None
    return sorted(set(folds))


def _show(screen: Terminal, scores: Crossval, out: Path, *, as_json: bool) -> None:
    """Print the scores of the systems, and their paired differences."""
    from results.crossval.summary import summary
    from results.crossval.tables import ensemble_table, paired_table, system_table
    from results.rundir import CrossvalDirectory

    if as_json:
        screen.json(summary(scores))
        return
    what = "test splits" if scores.split == "test" else "training sides, out of fold"
    show_percent(screen, f"Cross-validation on {what}, lowest log loss first", system_table(scores))
    screen.say("accuracy: mean over folds of macro accuracy, in %; interval over locations; loss: log loss in nats")
    screen.say("calibrated: log loss with a temperature that was fitted on clips of other locations")
    if any(one.best_on_test is not None for one in scores.systems):
        screen.say("best*: accuracy of the epoch that is best on test, of the network before its export: no result")
    if (ensembles := ensemble_table(scores)).rows:
        show_percent(screen, "Several networks together: mean of their probabilities", ensembles)
    if (differences := paired_table(scores)).rows:
        show_percent(screen, f"Difference to {scores.systems[0].name}, paired", differences)
    for name in scores.not_compared:
        screen.warn(f"{name}: has no fold in common with {scores.systems[0].name}; not compared with it")
    for line in scores.missing:
        screen.warn(f"{line}: no predictions; not counted")
    directory = CrossvalDirectory(out)
    screen.say(f"Report: {directory.page_path if scores.split == 'test' else directory.inner_page_path}")
