"""`asc demo` and `asc run`: from audio on disk to report and submission package."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from search.cli.corpus_options import with_corpus_options
from search.cli.options import (
    AddressOption,
    MlflowOption,
    OutOption,
    SetOption,
    ShardsOption,
    StorageOption,
    TensorBoardOption,
    WandbOption,
    WarmStartOption,
    WorkersOption,
    leave_job_folder,
    n_workers,
    storage_location,
    terminal,
)
from search.cli.screen.outcome import show_outcome


def demo(
    out: Annotated[Path, typer.Option("--out", help="Run directory.")] = Path("results/runs/demo"),
    overrides: SetOption = None,
    workers: WorkersOption = None,
) -> None:
    """Run every stage on a synthesized corpus, in at most six minutes on two CPU cores."""
    from data_prep.errors import ConfigError
    from data_prep.synth import synthesize
    from results.rundir import RunDirectory
    from results.storage.storage import open_ledger
    from search.config import read_run_config
    from search.pipeline import run_stages
    from search.run_config import open_run, unless_refused
    from search.stages import Workspace

    started = time.monotonic()
    screen = terminal()
    config = read_run_config("demo", overrides or ())
    if config.synth is None:
        raise ConfigError(
            "--set synth=null: the demo needs its corpus; for your own data use `asc run demo --data DATA`"
        )
    run_directory = RunDirectory(out)
    corpus = run_directory.corpus_dir
    with unless_refused(run_directory), open_ledger(run_directory, None, screen.warn) as ledger:
        open_run(run_directory, config)
        with screen.stage("Synthesize", "clips") as on_progress:
            n_clips = synthesize(corpus, config.synth, on_progress)
        screen.note(f"{n_clips:,} clips in the layout of TAU 2020 Mobile")
        workspace = Workspace(run_directory, run_directory.shards_dir)
        page = run_stages(corpus, workspace, config, ledger, screen, n_workers=n_workers(workers))
    show_outcome(screen, run_directory, page, time.monotonic() - started)


@with_corpus_options
def run(
    config_file: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="YAML file, or a shipped name such as tau2020-cao2021.", show_default=False
        ),
    ],
    data: Annotated[Path, typer.Option("--data", help="Folder of the data set.", show_default=False)],
    out: OutOption,
    shards: ShardsOption = None,
    overrides: SetOption = None,
    address: AddressOption = None,
    storage: StorageOption = None,
    workers: WorkersOption = None,
    earlier: WarmStartOption = None,
    tensorboard: TensorBoardOption = True,
    mlflow: MlflowOption = None,
    wandb: WandbOption = None,
    corpus: Sequence[str] = (),
) -> None:
    """Run every stage on a data set: prepare, search, retrain, ensemble, report, submission.

    Rerun the same command to resume an interrupted run. A finished run is left unchanged.
    """
    from search.api import run as run_pipeline
    from search.config import read_run_config
    from search.observers.watch import Watch

    started = time.monotonic()
    screen = terminal()
    config = read_run_config(config_file, [*corpus, *(overrides or ())])
    config = config.updated(synth=None)  # of the demo's corpus; the report must not call these data synthesized
    leave_job_folder(data=data, out=out, shards=shards, storage=storage)
    done = run_pipeline(
        config,
        data,
        out,
        shards=shards,
        storage=storage_location(storage),
        address=address,
        n_workers=n_workers(workers),
        earlier=earlier or (),
        watch=Watch(tensorboard=tensorboard, mlflow=mlflow, wandb=wandb),
        narrator=screen,
    )
    show_outcome(screen, done.directory, done.directory.page_path, time.monotonic() - started)
