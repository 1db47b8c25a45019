"""`asc search`: the sweep on prepared shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import (
    AddressOption,
    CpusOption,
    GpusOption,
    MlflowOption,
    SetOption,
    StorageOption,
    TensorBoardOption,
    storage_location,
    terminal,
    with_resources,
    working_place,
)

if TYPE_CHECKING:
    from search.cli.screen.terminal import Terminal
    from search.config import RunConfig
    from search.observers.watch import Watch

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
    from search.config import read_run_config
    from search.observers.watch import Watch

    screen = terminal()
    config = with_resources(read_run_config(config_file, overrides or ()), cpus_per_trial, gpus_per_trial)
    working_place(out=out, shards=shards, storage=storage)
    if config.search is None:
        raise ConfigError(f"{config_file}: search is null: it trains its systems without one; give `asc run`")
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
    _search(config, shards, out, screen, watch, address=address, storage=storage, earlier=earlier or ())


def _search(
    config: RunConfig,
    shards: str,
    out: Path,
    screen: Terminal,
    watch: Watch,
    *,
    address: str | None,
    storage: str | None,
    earlier: Sequence[Path],
) -> None:
    from data_prep.shards.manifest import read_manifest
    from data_prep.store import parse_location
    from results.rundir import RunDirectory
    from results.storage.storage import open_ledger, taken
    from search.run_config import bind_data, check_fold, open_run
    from search.stages import Place, search_stage

    place = parse_location(shards)
    manifest = read_manifest(place)
    check_fold(config.fold, manifest)
    run = RunDirectory(out)
    with taken(run, storage_location(storage), screen.note) as stored, open_ledger(run, stored) as ledger:
        open_run(run, config)
        bind_data(run, manifest)
        if stored is not None:
            stored.push_config(run)
        search_stage(Place(run, place, address, stored), config, ledger, screen, watch, earlier)
    if not watch.json_log:
        screen.say(f"Trials: {run.trials_path}")
