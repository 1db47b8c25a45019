"""Options that several commands share, and the settings that precede a command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from data_prep.store.store import Location
    from search.study.config import SearchConfig

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in jobs started with `ray job submit`."""


@dataclass
class Settings:
    """The options of `asc` itself."""

    quiet: bool = False
    """Whether to show results and warnings only."""
    debug: bool = False
    """Whether to show the traceback of a failure."""


SETTINGS = Settings()

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)]
OutOption = Annotated[Path, typer.Option("--out", help="Run directory.", show_default=False)]
SystemArgument = Annotated[
    Path,
    typer.Argument(
        metavar="CANDIDATE",
        help="A candidate, RUN/candidates/NAME, or an ensemble, RUN/ensemble.zip; a folder or a zip.",
        show_default=False,
    ),
]
ShardsOption = Annotated[
    str | None,
    typer.Option(
        "--shards",
        help="Folder or URI of feature shards. Default: those in the run's folder or storage.",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Address of a Ray cluster. Default: this machine.", show_default=False),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URI",
        help="Shared storage for ledger and checkpoints, reachable from every node: s3://, gs:// or a mounted folder. "
        "A lost run directory is restored from it. Default: none.",
        show_default=False,
    ),
]
WarmStartOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--warm-start",
        metavar="RUN",
        help="Directory of an earlier run, whose trials inform this search: fully if they had the same data and "
        "settings, otherwise relative to one another, as a prior that fades. Repeatable.",
        show_default=False,
    ),
]
CpusOption = Annotated[
    int | None,
    typer.Option(
        "--cpus-per-trial",
        min=1,
        help="Threads per trial. Default: search.cpus_per_trial of the configuration.",
        show_default=False,
    ),
]
GpusOption = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        min=0.0,
        help="GPUs per trial; fractions such as 0.25 share one. Default: search.gpus_per_trial of the configuration.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the configuration, as section.key=value. Repeatable.",
        show_default=False,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes that read audio. Default: all processors.", show_default=False),
]

TensorBoardOption = Annotated[
    bool,
    typer.Option("--tensorboard/--no-tensorboard", help="Write TensorBoard files to RUN/tensorboard."),
]
MlflowOption = Annotated[
    str | None,
    typer.Option(
        "--mlflow", metavar="URI", help="Log the search to an MLflow server or sqlite:///FILE.", show_default=False
    ),
]
WandbOption = Annotated[
    str | None,
    typer.Option(
        "--wandb",
        metavar="PROJECT",
        help="Log the search to a project at Weights & Biases, PROJECT or ENTITY/PROJECT. Key: WANDB_API_KEY.",
        show_default=False,
    ),
]


def terminal() -> Terminal:
    """Return the user's terminal, honouring `--quiet`."""
    return Terminal(SETTINGS.quiet)


def n_workers(workers: int | None) -> int:
    """Return the number of processes that read audio; None means all processors."""
    from data_prep.workers import available_cpus

    return workers or available_cpus()


def storage_location(storage: str | None) -> Location | None:
    """Return the location of the shared storage, a folder as an absolute path; None if none was given."""
    from data_prep.store.store import location_text, parse_location

    return None if storage is None else parse_location(location_text(parse_location(storage)))


def with_resources(search: SearchConfig, cpus_per_trial: int | None, gpus_per_trial: float | None) -> SearchConfig:
    """Return `search` with the resources given on the command line; None keeps the configured value."""
    asked = {"cpus_per_trial": cpus_per_trial, "gpus_per_trial": gpus_per_trial}
    return search.updated(**{name: value for name, value in asked.items() if value is not None})


def leave_job_folder(**locations: Path | str | None) -> None:
    """Change out of the working directory of a submitted Ray job, which Ray deletes with the job or earlier.

    Args:
        locations: paths and URIs given by the user, by option name.

    Raises:
        ConfigError: if one of them is a relative path, and so inside that directory.
    """
    from data_prep.errors import ConfigError

    if JOB_VARIABLE not in os.environ:
        return
    for option, location in locations.items():
        if location is not None and "://" not in str(location) and not Path(location).is_absolute():
            raise ConfigError(
                f"--{option} {location}: the working directory of a submitted job is deleted with the job. Give an "
                "absolute path that every node mounts, or an s3:// or gs:// URI."
            )
    os.chdir("/")
