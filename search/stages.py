"""The single stages of a run, each resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from data_prep.errors import ConfigError, DataError, RunError
from data_prep.files.files import read_json
from data_prep.prepare.prepare import prepare
from data_prep.progress import ProgressCallback
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.ledger.ledger import Ledger
from results.ledger.running import RunningReports
from results.rundir import RunDirectory
from results.storage.storage import RunStorage, checkpoints_of
from search.config import RunConfig
from search.observers.base import Observer, observed
from search.observers.watch import Watch, file_observers, log_candidates
from search.recipe import DataFacts, facts_of_shards, with_recipe, with_stored
from search.run_config import has_training, unlike_shards

if TYPE_CHECKING:
    from results.ensembles.ensemble import Ensemble
    from search.retrain.retrain import Variant
    from search.study.config import SearchConfig
    from search.study.settings import SearchSettings
    from search.tune.tuner import SearchOutcome


N_NAMED = 10
"""Most files or candidates that a message lists."""
N_SURVEYED = 1000
"""Points of a space among which the smallest and the largest network are found for the forecast."""
WATCH = Watch()
"""Default logs of a search."""


class Narrator(Protocol):
    """Shows the user the progress of the stages."""

    def stage(self, title: str, unit: str) -> AbstractContextManager[ProgressCallback]:
        """Show a stage with a progress bar until the block ends."""
        ...

    def search_view(self, reports: RunningReports) -> Observer | None:
        """Return the observer that shows a running search and the reports of its trials; None shows none."""
        ...

    def note(self, text: str) -> None:
        """Show the result of a stage."""
        ...

    def warn(self, text: str) -> None:
        """Show a warning."""
        ...


@dataclass(frozen=True)
class Workspace:
    """Where a run reads and writes, and where it computes."""

    run: RunDirectory
    """The run directory."""
    shards: Location
    """Folder or URI of the feature shards."""
    address: str | None = None
    """Address of a Ray cluster; None means this machine."""
    storage: RunStorage | None = None
    """Shared storage of ledger and checkpoints; None keeps them in the run directory."""


def recipe_stage(run: RunDirectory, config: RunConfig, facts: Callable[[], DataFacts], narrator: Narrator) -> RunConfig:
    """Return `config` with what its recipe picks for the data, and say what and why.

    A run that has trained keeps what it was started with; `facts` is not called then.
    """
    if config.recipe != "auto":
        return config
    if has_training(run):
        return with_stored(config, run)
    config, picks = with_recipe(config, facts())
    if picks:
        lines = "".join(f"\n  {pick}" for pick in picks)
        narrator.note(f"Recipe for these data (`recipe: auto`; a key that the configuration sets is kept):{lines}")
    return config


def shards_stage(run: RunDirectory, config: RunConfig, manifest: Manifest, narrator: Narrator) -> RunConfig:
    """Return `config` with what its recipe picks for given shards; warn where it asks for other ones."""
    if other := unlike_shards(config, manifest):
        narrator.warn(other)
    return recipe_stage(run, config, partial(facts_of_shards, manifest), narrator)


def prepare_stage(
    data: Path, shards: Location, config: RunConfig, narrator: Narrator, n_workers: int, address: str | None = None
) -> None:
    """Bring the shards up to date, in local processes or on the Ray cluster at `address`."""
    from search.cluster.executor import ray_executor

    with narrator.stage("Prepare", "clips") as on_progress, ray_executor(address) as executor:
        done = prepare(data, shards, config.prepare, n_workers=n_workers, executor=executor, on_progress=on_progress)
    for warning in done.warnings:
        narrator.warn(warning)
    n_copies = sum(made.n_copies for made in done.manifest.copies)
    copies = f", {n_copies:,} of them augmented copies," if n_copies else ""
    made = [f"{n:,} {why}" for why, n in done.made.items()]
    again = f" ({', '.join([f'{done.n_reused:,} reused', *made])})" if done.n_reused else ""
    narrator.note(
        f"{done.n_clips:,} clips{copies} of {len(done.manifest.classes)} scenes{again} in {done.seconds:.1f} s"
    )


def search_stage(
    workspace: Workspace,
    config: RunConfig,
    ledger: Ledger,
    narrator: Narrator,
    watch: Watch = WATCH,
    earlier: Sequence[Path] = (),
) -> None:
    """Train the trials that the run lacks, logged as in `watch`, informed by the trials of `earlier` runs."""
    from results.ledger.events import of_kind
    from results.ledger.failures import failures, first_failures
    from results.ledger.trials import trials_written
    from search.tune.tuner import run_search

    if config.search is None:
        return
    _warn_of_cut_cycles(config, {config.search.epochs}, narrator)
    settings = config.search_settings()
    if workspace.address is None and not any(of_kind(ledger.events(), "trial_started")):
        _note_forecast(workspace, settings, narrator)
    if n_parts := config.search.inner_folds:
        each = ", ".join(map(str, settings.folds))
        narrator.note(
            f"Trials are scored out of fold over {n_parts} parts of train and validation: {each} networks a trial at "
            f"epochs {', '.join(map(str, settings.epochs))}"
        )
    observers = file_observers(watch, workspace.run, config.space, config.rules)
    reports = RunningReports(checkpoints_of(workspace.run))
    if not watch.json_log and (view := narrator.search_view(reports)) is not None:
        observers.append(view)
    with trials_written(workspace.run), observed(ledger, observers, narrator.warn) as log:
        outcome = run_search(
            workspace.run,
            shards=workspace.shards,
            config=settings,
            address=workspace.address,
            ledger=log,
            storage=workspace.storage,
            earlier=earlier,
            on_note=narrator.note,
        )
    if outcome.n_new:
        for line in first_failures(failures(of_kind(ledger.events(), "trial_ended"))):
            narrator.warn(f"failed: {line}. Traceback: {workspace.run.failures_dir}")
    if outcome.is_exhausted and outcome.n_trials < config.search.n_trials:
        narrator.warn(
            f"{config.search.n_trials} trials were requested, but no further candidate fits and is new: widen `space`, "
            "or raise the limit under `rules`"
        )
    narrator.note(_outcome_text(outcome))


def _outcome_text(outcome: SearchOutcome) -> str:
    """Return how many trials a search has, and in what states."""
    from data_prep.wording import plural

    n_earlier = outcome.n_trials - outcome.n_new
    again = f", {n_earlier} from before" if n_earlier else ""
    states = {
        "paused": outcome.n_paused, "stopped early": outcome.n_stopped, "failed": outcome.n_failed,
    }  # fmt: skip
    others = "".join(f", {n} {state}" for state, n in states.items() if n)
    return (
        f"{plural(outcome.n_trials, 'trial')}{again}: {outcome.n_finished} finished{others}; "
        f"{plural(outcome.n_infeasible, 'proposal')} over the limit, not trained; {outcome.seconds:.1f} s"
    )


def _note_forecast(workspace: Workspace, settings: SearchSettings, narrator: Narrator) -> None:
    """Say how long the search will take on this machine, if it takes so long that a measurement does not matter."""
    from asc_models.errors import TrainingError
    from search.space.survey import survey
    from search.study.forecast import forecast, is_long, training_clips
    from search.study.settings import candidate_sizing, make_space

    manifest = read_manifest(workspace.shards)
    n_clips = training_clips(settings, manifest.counts.get(settings.fold, {}))
    if not is_long(settings, n_clips):
        return
    n_classes = len(manifest.classes)
    space = make_space(settings.space, settings.reader, manifest.spec, n_classes)
    assess = partial(candidate_sizing, settings, manifest.spec, n_classes, names_layers=False)
    found = survey(space, assess, n_sample=N_SURVEYED, max_exact=N_SURVEYED)
    if found.smallest is None or found.largest is None:
        return
    ends = found.smallest.params, found.largest.params
    try:
        with narrator.stage("Measure", "networks") as on_progress:
            measured = forecast(settings, *ends, manifest.spec, n_classes, n_clips, on_progress)
    except TrainingError as error:
        narrator.warn(f"no forecast of time and memory: {error}")
    else:
        narrator.note(measured.text)


def retrain_stage(
    workspace: Workspace,
    config: RunConfig,
    ledger: Ledger,
    narrator: Narrator,
    variant: Variant | None = None,
    lent: SearchConfig | None = None,
    watch: Watch = WATCH,
) -> tuple[str, ...]:
    """Train the selected candidates at full length, or for the epochs of `variant`; return their names."""
    from asc_models.training.schedule import last_cycle_end
    from search.retrain.retrain import Variant, retrain

    variant = (variant or Variant()).under(config.retrain)
    lengths = {system.recipe(config.full_recipe).epochs for system in config.retrain.systems}
    lengths |= {config.full_recipe.epochs} if config.retrain.n_candidates else set()
    lengths = {variant.epochs} if variant.epochs else lengths
    if variant.with_validation:
        ends = sorted({last_cycle_end(config.full_recipe, epochs) for epochs in lengths})
        narrator.note(
            "On train and validation no checkpoint is selected: training ends with the last whole cycle, at epoch "
            f"{' and '.join(map(str, ends))}"
        )
        if n := config.retrain.inner_folds:
            narrator.note(f"Each is scored by out-of-fold predictions of {n} further trainings on parts of these clips")
    else:
        _warn_of_cut_cycles(config, lengths, narrator)
    with narrator.stage("Retrain", "epochs") as on_progress:
        outcome = retrain(
            workspace.run,
            config,
            shards=workspace.shards,
            ledger=ledger,
            variant=variant,
            lent=lent,
            address=workspace.address,
            storage=workspace.storage,
            on_progress=on_progress,
        )
    for failure in outcome.failures:
        narrator.warn(f"failed: {failure.rstrip('.')}. Traceback: {workspace.run.failures_dir}")
    for line in (*outcome.notes, *outcome.exports):
        narrator.note(line)
    log_candidates(watch, workspace.run, ledger, narrator.warn)
    n_all = len(outcome.names)
    again = f", {n_all - outcome.n_new} from before" if n_all > outcome.n_new else ""
    narrator.note(f"{n_all} candidate{'' if n_all == 1 else 's'}{again}, in {outcome.seconds:.1f} s")
    return outcome.names


def _warn_of_cut_cycles(config: RunConfig, lengths: set[int], narrator: Narrator) -> None:
    from asc_models.training.schedule import mid_cycle_warning

    for epochs in sorted(lengths):
        if warning := mid_cycle_warning(config.full_recipe, epochs):
            narrator.warn(warning)


def ensemble_stage(workspace: Workspace, config: RunConfig, narrator: Narrator) -> None:
    """Select the ensemble on validation; its members together meet the limits of a single model."""
    from results.candidates.candidates import read_candidates, without_validation
    from results.candidates.limits import Limits
    from results.ensembles.ensemble import build_ensemble, read_ensembles
    from results.ensembles.outside import read_outside

    limits = config.rules.in_force()
    with narrator.stage("Ensemble", "rounds") as on_progress:
        ensemble = build_ensemble(workspace.run, config.ensemble, Limits(config.rules), on_progress)
    if sentence := without_validation(read_candidates(workspace.run)):
        narrator.note(sentence)
    outside = read_outside(workspace.run)
    joint = [one for one in read_ensembles(workspace.run) if one.outside]
    for one in (ensemble, *joint):
        members = ", ".join(f"{name} × {weight:.2f}" for name, weight in one.members.items())
        totals = ", ".join(
            f"{one.totals[name]:,} of {limit:,} {name}" for name, limit in limits.items() if name in one.totals
        )
        title = f"{one.name}: " if outside else ""
        narrator.note(f"{title}{members}: {totals} together")
        narrator.note(_held_out_text(one))
    if joint:
        names = ", ".join(joint[0].outside)
        narrator.note(f"{joint[0].name} can't be packed into a submission: there is no network of {names}")
    elif outside:
        narrator.note("No other system is in the best ensemble")
    if workspace.run.ensemble_package_path.is_file():
        narrator.note(f"Packed as {workspace.run.ensemble_package_path}, input of `asc predict`, `describe`, `bench`")
    else:
        narrator.note("Not packed: a member has no model file; `asc predict` needs it")


def _held_out_text(ensemble: Ensemble) -> str:
    """Return what the ensemble gains on locations that nothing was selected on (see `Ensemble.gain`)."""
    if not ensemble.held_out:
        return "All validation clips are of one location: whether an ensemble gains anything is not known"
    losses = ", ".join(f"{method.replace('_', ' ')} {loss:.3f}" for method, loss in ensemble.held_out.items())
    other = "the run's own ensemble" if ensemble.outside else "the best single candidate"
    if ensemble.gain is None:
        return f"A single candidate is the choice of the best method on held-out locations (log loss: {losses})"
    mean, low, high = ensemble.gain
    verdict = "better" if high < 0 else "not clearly better"
    return f"On held-out locations {verdict} than {other}: log loss {mean:+.3f} ({low:+.3f} to {high:+.3f}; {losses})"


def _renew_ensemble(workspace: Workspace, config: RunConfig, narrator: Narrator) -> None:
    """Select the run's ensemble again if it was selected with other settings than `config`."""
    from results.ensembles.ensemble import was_selected_otherwise

    if was_selected_otherwise(workspace.run, config.ensemble):
        narrator.note("The settings of the ensemble have changed: selecting it again")
        ensemble_stage(workspace, config, narrator)


def report_stage(workspace: Workspace, config: RunConfig, narrator: Narrator) -> Path:
    """Render the report and return the path of its page."""
    from results.report.page import render_report

    _renew_ensemble(workspace, config, narrator)
    with narrator.stage("Report", "steps") as on_progress:
        return render_report(workspace.run, on_progress)


def submission_stage(
    workspace: Workspace,
    config: RunConfig,
    narrator: Narrator,
    evaluation_set: Location | None = None,
    *,
    draft: bool = False,
) -> Path:
    """Write the challenge package, validate it by the challenge's rules, and return its path.

    Args:
        workspace: of the run.
        config: of the run.
        narrator: shows the progress, and the notes of the package's summary.
        evaluation_set: shards of the challenge's evaluation set, which are predicted now; None packs the predictions
            on the evaluation list of the run's data, or on its test split if there is no such list.
        draft: whether to write a package even if its names are placeholders.

    Raises:
        ConfigError: if names are placeholders or disagree, and `draft` is False.
        RunError: if the package is invalid.
        DataError: if the evaluation set has other features than the candidates were trained on, or no clips.
    """
    from results.candidates.candidates import read_candidates
    from results.submission.package import FILL_IN, validate_submission, write_submission
    from results.submission.slots import choose_systems
    from search.retrain.evaluation import lost_clips, predict_evaluation

    if config.submission.open_points and not draft:
        points = "".join(f"\n  {point}" for point in config.submission.open_points)
        raise ConfigError(f"the package would not name who submits it:{points}\nGive {FILL_IN}, or --draft.")
    _renew_ensemble(workspace, config, narrator)
    with narrator.stage("Submission", "systems") as on_progress:
        if evaluation_set is not None:
            members = choose_systems(workspace.run, config.submission).members
            answers = predict_evaluation(members, evaluation_set, on_progress, narrator.warn)
            lost = lost_clips(evaluation_set)
        else:
            candidates = read_candidates(workspace.run)
            answers = {c.name: c.predictions("evaluation") for c in candidates if c.has_predictions("evaluation")}
            lost = _lost_evaluation(workspace, config) if answers else ()
        package = write_submission(workspace.run, config.submission, answers)
        listed = {str(name) for predictions in answers.values() for name in predictions.clips["filename"]}
        problems = validate_submission(package, filenames=sorted({*listed, *lost}) if answers else None)
        on_progress(1, 1)
    for text in read_json(workspace.run.submission_summary_path)["notes"]:
        narrator.warn(text)
    if problems:
        lines = [f"  {problem}" for problem in problems]
        if lost:
            names = f"{', '.join(lost[:N_NAMED])}{' and more' if len(lost) > N_NAMED else ''}"
            lines.append(f"  Missing on disk or quarantined when the data were prepared, {len(lost):,}: {names}")
        raise RunError(f"{package}: does not meet the challenge's rules:\n" + "\n".join(lines))
    return package


def _lost_evaluation(workspace: Workspace, config: RunConfig) -> tuple[str, ...]:
    """Return the files of the evaluation list that were not prepared; none if the run's shards are not available."""
    try:
        manifest = read_manifest(workspace.shards)
    except DataError:  # the shards may have been deleted: `asc submit` needs them for this message only
        return ()
    is_the_runs = workspace.run.read_config().get("data", {}).get("manifest_hash") == manifest.hash()
    return manifest.lost_evaluation.get(config.fold, ()) if is_the_runs else ()
