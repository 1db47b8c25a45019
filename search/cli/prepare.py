"""`asc prepare`: audio → feature shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from search.cli.corpus_options import with_corpus_options
from search.cli.options import AddressOption, SetOption, WorkersOption, n_workers, terminal


@with_corpus_options
def prepare(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the data set.", show_default=False)],
    shards: Annotated[
        str, typer.Option("--out", help="Folder, or s3:// or gs:// URI, for the shards.", show_default=False)
    ],
    config_file: Annotated[
        str,
        typer.Option(
            "--config", help="YAML file or shipped name, that of the search; only `prepare` and `recipe` are used."
        ),
    ] = "default",
    overrides: SetOption = None,
    workers: WorkersOption = None,
    address: AddressOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first clip that cannot be used.")] = False,
    corpus: Sequence[str] = (),
) -> None:
    """Extract log-mel features into Parquet shards, and split off validation by location.

    A rerun extracts only what is missing or has changed.
    """
    from data_prep.store.store import parse_location
    from search.api import pick_recipe
    from search.config import read_run_config
    from search.stages import prepare_stage

    screen = terminal()
    asked = [*corpus, *(overrides or ())]
    config = read_run_config(config_file, [*asked, *(["prepare.quarantine.strict=true"] if strict else [])])
    config, picks = pick_recipe(config, data=data)
    for pick in picks:
        if any(key.startswith("prepare.") for key in pick.values):
            screen.note(str(pick))
    prepare_stage(data, parse_location(shards), config, screen, n_workers(workers), address)
    screen.say(f"Shards: {shards}")
