"""`asc baseline`: simple systems that a search has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from search.cli.options import (
    AddressOption,
    CpusOption,
    GpusOption,
    JsonOption,
    RunArgument,
    ShardsOption,
    leave_job_folder,
    terminal,
    with_resources,
)

if TYPE_CHECKING:
    from search.baselines.baselines import BaselineName


def baseline(
    run: RunArgument,
    only: Annotated[
        Literal["svm", "network"] | None,
        typer.Option("--only", help="Train this baseline only. Default: both.", show_default=False),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            min=1,
            help="Epochs of the network; 200 were published. Default: about 10,000 examples in all, in 20 to 200.",
            show_default=False,
        ),
    ] = None,
    shards: ShardsOption = None,
    address: AddressOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train baselines on the run's clips, and compare the selected candidate with them.

    A support vector machine on band energies takes seconds; the network of the organisers of DCASE 2021 Task 1A takes
    minutes. Both are trained on the run's splits and scored as its candidates are, on test once. Rerun the same command
    to resume. The report then lists them; `asc select` warns if the best system does not beat them on validation.
    """
    from data_prep.errors import RunError
    from results.report.data import read_run_data
    from results.report.tables.baselines import baseline_table, comparison_notes
    from results.rundir import RunDirectory
    from search.baselines.baselines import train_baselines
    from search.cli.screen.outcome import show_percent
    from search.cluster.session import cluster_address
    from search.run_config import default_shards, read_run
    from search.study.config import SearchConfig

    screen, directory = terminal(), RunDirectory(run)
    of_network = {"--epochs": epochs, "--cpus-per-trial": cpus_per_trial, "--gpus-per-trial": gpus_per_trial}
    if only == "svm":
        _refuse({**of_network, "--address": address})
    cluster_address(address)  # raises if it is wrong, before anything is written
    leave_job_folder(run=run, shards=shards)
    config = read_run(directory)
    location = default_shards(directory, shards)
    if location == directory.shards_dir and not directory.shards_dir.is_dir():
        raise RunError(f"{location}: no shards; if they are elsewhere, pass --shards SHARDS")
    names: tuple[BaselineName, ...] = ("svm", "network") if only is None else (only,)
    lent = with_resources(config.search or SearchConfig(), cpus_per_trial, gpus_per_trial)
    train_baselines(directory, location, screen, names=names, epochs=epochs, lent=lent, address=address)
    data = read_run_data(directory)
    table, notes = baseline_table(data), comparison_notes(data)
    if as_json:
        rows = table.frame()
        screen.json({"systems": rows.astype(object).where(rows.notna(), None).to_dict("records"), "notes": notes})
        return
    show_percent(screen, "Baselines: accuracy in %", table)
    screen.say("acc: macro accuracy; loss: log loss in nats, calibrated as in the ranking")
    for line in (*notes, f"Baselines: {directory.baselines.root}"):
        screen.say(line)


def _refuse(options: Mapping[str, object]) -> None:
    """Raise ConfigError if an option of the network's training is given: {option: value, None if it is not}."""
    from data_prep.errors import ConfigError

    if given := [option for option, value in options.items() if value is not None]:
        raise ConfigError(
            f"--only svm: {', '.join(given)} would have no effect, only the network's training has it; leave it out"
        )
