"""`asc search`: the sweep on prepared shards."""

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
    leave_job_folder,
    storage_location,
    terminal,
    with_resources,
)

WarmStartOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--warm-start",
        metavar="RUN",
        help="Directory of an earlier run on the same data, whose trials this search learns from; as often as needed.",
        show_default=False,
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only say what the space holds under the limit: its size, the share that fits, the smallest and the "
        "largest candidate. Needs neither --out nor --shards.",
    ),
]


def search(
    config_file: Annotated[
        str, typer.Argument(metavar="CONFIG", help="YAML file, or a shipped name.", show_default=False)
    ],
    shards: Annotated[
        str | None, typer.Option("--shards", help="Folder or URI of feature shards.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run directory.", show_default=False)] = None,
    overrides: SetOption = None,
    address: AddressOption = None,
    storage: StorageOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    earlier: WarmStartOption = None,
    is_dry: DryRunOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON for a machine.")] = False,
    json_log: Annotated[
        bool,
        typer.Option("--json-log", help="For machines: every event as a line of JSON, and nothing else, on stdout."),
    ] = False,
    tensorboard: TensorBoardOption = True,
    mlflow: MlflowOption = None,
) -> None:
    """Search the space of networks under the size limit. Nothing over the limit is ever trained.

    Run again, it goes on where it stopped. `asc status RUN --follow` watches it from another terminal.
    """
    from data_prep.errors import ConfigError
    from search.api import search as search_space
    from search.config import read_run_config
    from search.observers.watch import Watch

    screen = terminal()
    config = read_run_config(config_file, overrides or ())
    leave_job_folder(out=out, shards=shards, storage=storage)
    if config.search is None:
        raise ConfigError(f"{config_file}: search is null: it trains its systems without one; give `asc run`")
    config = config.updated(search=with_resources(config.search, cpus_per_trial, gpus_per_trial))
    if is_dry:
        from search.cli.dry_run import dry_run

        dry_run(config, shards, screen, as_json)
        return
    missing = next((name for name, value in (("--shards", shards), ("--out", out)) if value is None), None)
    if shards is None or out is None:
        raise typer.BadParameter(f"needs {missing} (but for --dry-run)")
    if as_json:
        raise typer.BadParameter("--json goes with --dry-run; `asc status RUN --json` tells of a search")
    watch = Watch(json_log=json_log, tensorboard=tensorboard, mlflow=mlflow)
    location = storage_location(storage)
    run = search_space(
        config, shards, out, storage=location, address=address, earlier=earlier or (), watch=watch, narrator=screen
    )
    if not json_log:
        screen.say(f"Trials: {run.directory.trials_path}")
