"""Options that several commands share, and the settings that stand before a command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from data_prep.store import Location
    from search.study.config import SearchConfig

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for whatever `ray job submit` starts."""


@dataclass
class Settings:
    """The options of `asc` itself."""

    quiet: bool = False
    debug: bool = False


SETTINGS = Settings()

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.", show_default=False)]
OutOption = Annotated[Path, typer.Option("--out", help="Run directory.", show_default=False)]
ShardsOption = Annotated[
    str | None,
    typer.Option(
        "--shards", help="Folder or URI of feature shards. Default: RUN/shards, or STORAGE/shards.", show_default=False
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Ray cluster to work on. Default: this machine.", show_default=False),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URI",
        help="Place that every node reaches (s3://, gs://, or a shared folder) for ledger and checkpoints; a lost RUN "
        "is made anew from there. Default: RUN alone.",
        show_default=False,
    ),
]
CpusOption = Annotated[
    int | None,
    typer.Option("--cpus-per-trial", min=1, help="Threads of a trial. Default: as configured, 1.", show_default=False),
]
GpusOption = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        min=0.0,
        help="GPUs of a trial, also a fraction such as 0.25. Default: as configured, 0.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key, such as search.n_trials=32; as often as needed.",
        show_default=False,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes that read audio. Default: all processors.", show_default=False),
]

TensorBoardOption = Annotated[
    bool,
    typer.Option("--tensorboard/--no-tensorboard", help="Write TensorBoard's files of the search to RUN/tensorboard."),
]
MlflowOption = Annotated[
    str | None,
    typer.Option(
        "--mlflow", metavar="URI", help="Log the search to an MLflow server, or sqlite:///FILE.", show_default=False
    ),
]


def terminal() -> Terminal:
    """Return the user's screen, as quiet as asked for."""
    return Terminal(SETTINGS.quiet)


def n_workers(workers: int | None) -> int:
    """Return how many processes read audio."""
    from data_prep.workers import available_cpus

    return workers or available_cpus()


def storage_location(storage: str | None) -> Location | None:
    """Return the shared storage that the user named, if any; a folder's path absolute."""
    from data_prep.store import location_text, parse_location

    return None if storage is None else parse_location(location_text(parse_location(storage)))


def with_resources(search: SearchConfig, cpus_per_trial: int | None, gpus_per_trial: float | None) -> SearchConfig:
    """Return the settings with the resources that the user asked for."""
    asked = {"cpus_per_trial": cpus_per_trial, "gpus_per_trial": gpus_per_trial}
    return search.updated(**{name: value for name, value in asked.items() if value is not None})


def leave_job_folder(**locations: Path | str | None) -> None:
    """Leave the folder that Ray made for a submitted job: it is taken away with the job, or before.

    Args:
        locations: what the user named, by option.

    Raises:
        ConfigError: if one of them lies in that folder.
    """
    from data_prep.errors import ConfigError

    if JOB_VARIABLE not in os.environ:
        return
    for option, location in locations.items():
        if location is not None and "://" not in str(location) and not Path(location).is_absolute():
            raise ConfigError(
                f"--{option} {location}: a submitted job works in a folder that is deleted with it. Give an absolute "
                "path that every node mounts, or s3:// or gs://."
            )
    os.chdir("/")
