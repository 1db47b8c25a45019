"""`asc prepare`: audio → feature shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import SetOption, WorkersOption, n_workers, terminal


def prepare(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the data set.", show_default=False)],
    shards: Annotated[Path, typer.Option("--out", help="Folder for the shards.", show_default=False)],
    config_file: Annotated[
        str, typer.Option("--config", help="YAML file or shipped name; its section `prepare` counts.")
    ] = "default",
    overrides: SetOption = None,
    workers: WorkersOption = None,
) -> None:
    """Extract log-mel features into Parquet shards and cut the validation split by location.

    Run again, it redoes only what is missing or has changed.
    """
    from search.config import read_run_config
    from search.pipeline import prepare_stage

    screen = terminal()
    config = read_run_config(config_file, overrides or ())
    prepare_stage(data, shards, config, screen, n_workers(workers))
    screen.say(f"Shards: {shards}")
