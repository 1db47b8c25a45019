"""`asc retrain`: train the best candidates at full length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import (
    AddressOption,
    CpusOption,
    GpusOption,
    JsonOption,
    MlflowOption,
    RunArgument,
    SetOption,
    ShardsOption,
    StorageOption,
    TensorBoardOption,
    WandbOption,
    leave_job_folder,
    storage_location,
    terminal,
    with_resources,
)
from search.cli.screen.outcome import limit_text
from search.cli.screen.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from results.candidates.seeds import SeedGroup
    from results.rundir import RunDirectory
    from search.retrain_config import RetrainConfig


TopOption = Annotated[
    int | None,
    typer.Option(
        "--top",
        min=0,
        metavar="K",
        help="Number of trials to retrain, from the front, spread over sizes. Default: retrain.n_candidates.",
        show_default=False,
    ),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        min=1,
        metavar="N",
        help="Train each with the seeds 0 to N − 1. Default: retrain.seeds.",
        show_default=False,
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option("--epochs", min=1, help="Epochs to train. Default: train.epochs.", show_default=False),
]
TrialOption = Annotated[
    list[str] | None,
    typer.Option("--trial", metavar="ID", help="Retrain this trial, such as t0034. Repeatable.", show_default=False),
]
TeacherOption = Annotated[
    list[str] | None,
    typer.Option(
        "--teacher",
        metavar="NAME",
        help="Distil from this finished candidate, such as t0003-s0. Repeatable; their probabilities are averaged.",
        show_default=False,
    ),
]
AddSeedsOption = Annotated[
    int,
    typer.Option("--add-seeds", min=0, metavar="N", help="Train the run's candidates with N more seeds each."),
]
WithValidationOption = Annotated[
    bool,
    typer.Option(
        "--with-validation",
        help="Train on train and validation, for a final submission. No checkpoint is selected, and such a candidate "
        "has no validation score. With `retrain.all_clips` in the configuration all candidates are trained so, and "
        "`retrain.inner_folds` gives them an out-of-fold score.",
    ),
]


def retrain(
    run: RunArgument,
    top: TopOption = None,
    trial: TrialOption = None,
    seeds: SeedsOption = None,
    add_seeds: AddSeedsOption = 0,
    teacher: TeacherOption = None,
    epochs: EpochsOption = None,
    with_validation: WithValidationOption = False,
    overrides: SetOption = None,
    shards: ShardsOption = None,
    address: AddressOption = None,
    storage: StorageOption = None,
    cpus_per_trial: CpusOption = None,
    gpus_per_trial: GpusOption = None,
    tensorboard: TensorBoardOption = True,
    mlflow: MlflowOption = None,
    wandb: WandbOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the run's best candidates at full length, export them, and score the files, on test once.

    Rerun the same command to resume; only what is missing is trained. Names of candidates with teachers are <trial>-kd,
    of those trained with --epochs <trial>-e<epochs>, of those with --with-validation <trial>-full, with all of them
    <trial>-kd-e<epochs>-full. --set changes the run's configuration permanently and takes keys of the section retrain,
    search.cpus_per_trial, search.gpus_per_trial and search.max_failures; the other options apply to this call only.
    """
    from data_prep.errors import RunError
    from data_prep.shards.manifest import read_manifest
    from results.rundir import RunDirectory
    from results.storage.storage import open_ledger, taken
    from search.cluster.session import cluster_address
    from search.observers.watch import Watch, trackers
    from search.retrain.retrain import Variant
    from search.run_config import adjust_run, bind_data, default_shards, read_run, unless_refused
    from search.stages import Workspace, retrain_stage
    from search.study.config import SearchConfig

    _require_one_choice(top, trial, seeds, add_seeds)
    screen = terminal()
    directory = RunDirectory(run)
    cluster_address(address)  # raises if it is wrong, before anything is written
    watch = Watch(tensorboard=tensorboard, mlflow=mlflow, wandb=wandb)
    trackers(watch, directory)  # raises likewise
    leave_job_folder(run=run, shards=shards, storage=storage)
    with taken(directory, storage_location(storage), screen.note) as stored:
        read_run(directory)  # raises before anything is written into a folder that is not a run
        workspace = Workspace(directory, default_shards(directory, shards, stored), address, stored)
        if workspace.shards == directory.shards_dir and not directory.shards_dir.is_dir():
            raise RunError(f"{workspace.shards}: no shards; if they are elsewhere, pass --shards SHARDS")
        with unless_refused(directory, stored), open_ledger(directory, stored, screen.warn) as ledger:
            config = adjust_run(directory, overrides or (), "retrain", stored)
            wanted, trials = _asked(directory, config.retrain, top, trial or (), seeds, add_seeds)
            if teacher:
                wanted = _taught_by(wanted, teacher)
            lent = with_resources(config.search or SearchConfig(), cpus_per_trial, gpus_per_trial)
            bind_data(directory, read_manifest(workspace.shards))
            variant = Variant(epochs, with_validation, trials)
            names = retrain_stage(workspace, config.updated(retrain=wanted), ledger, screen, variant, lent, watch)
    _show(screen, directory, names, as_json=as_json)


def _require_one_choice(top: int | None, trials: Sequence[str] | None, seeds: int | None, add_seeds: int) -> None:
    """Raise ConfigError if the options that say what to train contradict each other."""
    from data_prep.errors import ConfigError

    if trials and top is not None:
        raise ConfigError("--trial and --top: give one of them")
    if add_seeds and (trials or top is not None or seeds is not None):
        raise ConfigError("--add-seeds: trains the candidates that the run has; not with --trial, --top or --seeds")


def _taught_by(asked: RetrainConfig, names: Sequence[str]) -> RetrainConfig:
    """Return settings by which these candidates teach, in addition to teachers of the configuration."""
    from search.retrain_config import DistillationConfig

    chosen = tuple(dict.fromkeys(names))
    if asked.distillation is None:
        return asked.updated(distillation=DistillationConfig(candidates=chosen))
    known = asked.distillation.candidates
    return asked.updated(distillation=asked.distillation.updated(candidates=tuple(dict.fromkeys((*known, *chosen)))))


def _asked(
    run: RunDirectory,
    settings: RetrainConfig,
    top: int | None,
    trials: Sequence[str],
    seeds: int | None,
    add_seeds: int,
) -> tuple[RetrainConfig, tuple[str, ...]]:
    """Return the settings of the run as the options change them for this call, and the trials to retrain."""
    if add_seeds:
        return _with_more_seeds(run, settings, add_seeds)
    if top is not None:
        settings = settings.updated(n_candidates=top)
    if trials:
        settings = settings.updated(systems=())
    if seeds is not None:
        settings = settings.with_seeds(range(seeds))
    return settings, tuple(trials)


def _with_more_seeds(run: RunDirectory, asked: RetrainConfig, n: int) -> tuple[RetrainConfig, tuple[str, ...]]:
    """Return settings that train the run's candidates with `n` more seeds, and the trials among these candidates.

    Raises:
        RunError: if the run has no candidate.
    """
    from data_prep.errors import RunError
    from results.candidates.candidates import read_candidates

    metrics = [candidate.metrics for candidate in read_candidates(run)]
    if not metrics:
        raise RunError(f"--add-seeds {n}: {run.root} has no candidates; run `asc retrain` without it first")
    seeds = sorted({one.seed for one in metrics})
    trials = tuple(sorted({one.trial_id for one in metrics if one.trial_id is not None}))
    more = tuple(range(seeds[-1] + 1, seeds[-1] + 1 + n))
    has_systems = any(one.trial_id is None for one in metrics)
    asked = asked.with_seeds((*seeds, *more))
    asked = asked.updated(
        n_candidates=asked.n_candidates if trials else 0,
        systems=asked.systems if has_systems else (),
    )
    return asked, trials


def _show(screen: Terminal, run: RunDirectory, names: Sequence[str], *, as_json: bool) -> None:
    """Print the scores of the candidates `names`, over their seeds."""
    from asc_models.rules import QUANTITY_NAMES
    from results.candidates.candidates import fewer_scenes, read_candidates, without_validation
    from results.candidates.limits import read_limits
    from results.candidates.seeds import seed_groups

    limit = read_limits(run.read_config()).main
    candidates = [candidate for candidate in read_candidates(run) if candidate.name in names]
    groups = seed_groups(candidates)
    if as_json:
        screen.json({"candidates": [group.summary(limit.quantity) for group in groups]})
        return
    columns = ("candidate", "n", QUANTITY_NAMES[limit.quantity], "on", "accuracy", "range", "log loss")
    rows = [row for group in groups for row in _rows(group, group.size(limit.quantity))]
    screen.table("Retrained: mean ± standard deviation over n seeds", columns, rows)
    screen.say(f"{limit_text(limit)}; macro accuracy; log loss in nats")
    for sentence in filter(None, (fewer_scenes(one.metrics for one in candidates), without_validation(candidates))):
        screen.say(sentence)
    screen.say(f"Candidates: {run.candidates_dir}")


def _rows(group: SeedGroup, size: int) -> Iterator[tuple[object, ...]]:
    """Yield a candidate's rows of the table, one per split with scores."""
    first: tuple[object, ...] = (group.name, len(group.seeds), size)
    for split in ("validation", "test"):
        accuracy, loss = (group.scores.get((split, score)) for score in ("macro_accuracy", "log_loss"))
        if accuracy is not None and loss is not None:
            span = f"{accuracy.low:.3f}–{accuracy.high:.3f}" if accuracy.sd is not None else None
            yield (*first, split.removesuffix("idation"), accuracy.text(), span, loss.text())
            first = ("", "", "")
