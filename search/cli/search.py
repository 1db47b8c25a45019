"""`asc search`: search networks on prepared shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import (
    AddressOption,
    CpusOption,
    GpusOption,
    MlflowOption,
    SetOption,
    StorageOption,
    TensorBoardOption,
    WandbOption,
    WarmStartOption,
    leave_job_folder,
    storage_location,
    terminal,
    with_resources,
)

ShardsOption = Annotated[
    str | None,
    typer.Option(
        "--shards", help="Folder or URI of feature shards; may be left out with --dry-run.", show_default=False
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Run directory; not needed with --dry-run.", show_default=False)
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print the size of the space, the share that fits the limits, and the smallest and largest candidate; "
        "with --shards also the expected hours and memory. Writes nothing and needs no --out.",
    ),
]


def search(
    config_file: Annotated[
        str, typer.Argument(metavar="CONFIG", help="YAML file, or a shipped name.", show_default=False)
    ],
    shards: ShardsOption = None,
    out: OutOption = None,
    overrides: SetOption = None,
    address: AddressOption = None,
    storage: StorageOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    earlier: WarmStartOption = None,
    is_dry: DryRunOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON instead of tables.")] = False,
    json_log: Annotated[
        bool, typer.Option("--json-log", help="Print each event as a line of JSON, and nothing else, to stdout.")
    ] = False,
    tensorboard: TensorBoardOption = True,
    mlflow: MlflowOption = None,
    wandb: WandbOption = None,
) -> None:
    """Search networks under the size limit. Candidates over the limit are never trained.

    Rerun the same command to resume. `asc status RUN --follow` shows the progress in another terminal.
    """
    from data_prep.errors import ConfigError
    from search.api import search as search_space
    from search.cli.dry_run import dry_run
    from search.config import read_run_config
    from search.observers.watch import Watch

    screen = terminal()
    config = read_run_config(config_file, overrides or ())
    leave_job_folder(out=out, shards=shards, storage=storage)
    if config.search is None:
        raise ConfigError(f"{config_file}: `search: null`: there is no search; `asc run` trains its systems")
    config = config.updated(search=with_resources(config.search, cpus_per_trial, gpus_per_trial))
    if is_dry:
        dry_run(config, shards, screen, as_json)
        return
    missing = next((name for name, value in (("--shards", shards), ("--out", out)) if value is None), None)
    if shards is None or out is None:
        raise typer.BadParameter(f"{missing} is required without --dry-run")
    if as_json:
        raise typer.BadParameter("--json requires --dry-run; for the state of a search use `asc status RUN --json`")
    watch = Watch(json_log=json_log, tensorboard=tensorboard, mlflow=mlflow, wandb=wandb)
    location = storage_location(storage)
    run = search_space(
        config, shards, out, storage=location, address=address, earlier=earlier or (), watch=watch, narrator=screen
    )
    if not json_log:
        screen.say(f"Trials: {run.directory.trials_path}")
