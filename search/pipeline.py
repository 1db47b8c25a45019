"""Every stage of a run: prepare → search → retrain → ensemble → report → submission, each resumable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from data_prep.errors import AscError
from data_prep.prepare.prepare import validate_augmentations
from data_prep.schema import content_hash
from data_prep.shards.manifest import read_manifest
from results.ledger.events import of_kind
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.submission.package import has_evaluation_package, is_package_current
from search.config import RunConfig
from search.observers.watch import Watch
from search.recipe import facts_of_audio
from search.run_config import bind_data, open_run
from search.stages import (
    WATCH,
    Narrator,
    Workspace,
    ensemble_stage,
    prepare_stage,
    recipe_stage,
    report_stage,
    retrain_stage,
    search_stage,
    submission_stage,
)


def run_stages(
    data: Path,
    workspace: Workspace,
    config: RunConfig,
    ledger: Ledger,
    narrator: Narrator,
    *,
    n_workers: int,
    watch: Watch = WATCH,
    earlier: Sequence[Path] = (),
) -> Path:
    """Run every stage, from audio files to report and submission package; return the path of the report's page.

    A repeated call resumes the run and trains nothing twice.

    Args:
        data: folder of the data set.
        workspace: run directory, shards, cluster and storage.
        config: configuration of the run.
        ledger: the run's ledger, open for writing, so that no other process changes the run.
        narrator: shows the progress.
        n_workers: processes that read audio.
        watch: further logs of the search.
        earlier: directories of earlier runs, whose trials inform the search.

    Raises:
        AscError: if a stage fails; finished work is kept.
    """
    from search.retrain.retrain import require_systems_fit

    validate_augmentations(config.prepare)
    config = recipe_stage(workspace.run, config, partial(facts_of_audio, data, config.prepare), narrator)
    config = open_run(workspace.run, config)
    prepare_stage(data, workspace.shards, config, narrator, n_workers, workspace.address)
    manifest = read_manifest(workspace.shards)
    bind_data(workspace.run, manifest)
    require_systems_fit(config, manifest)
    if workspace.storage is not None:
        workspace.storage.push_config(workspace.run)
    search_stage(workspace, config, ledger, narrator, watch, earlier)
    retrain_stage(workspace, config, ledger, narrator, watch=watch)
    return finish_run(workspace, config, ledger, narrator)


def finish_run(workspace: Workspace, config: RunConfig, ledger: Ledger, narrator: Narrator) -> Path:
    """Write ensemble, report and submission package, unless they are up to date; return the path of the page.

    A submission package that can't be written is a warning: the report is written, and the next call tries again. One
    with the outputs of an evaluation set that was passed to `asc submit` is kept: this call could only write one of
    the test split.
    """
    inputs, *earlier = _inputs(workspace.run, config)
    page = workspace.run.page_path
    if page.exists() and _is_up_to_date(workspace, config, ledger, (inputs, *earlier)):
        current = is_package_current(workspace.run, config.submission)
        narrator.note(
            "Ensemble, report and submission package are up to date"
            if current
            else f"Ensemble and report are up to date. {_kept_note(workspace.run)}"
        )
        return page
    _select_ensemble(workspace, config, narrator)
    try:
        note = _write_package(workspace, config, narrator)
    except AscError as error:
        narrator.warn(
            f"No submission package was written: {error}\nThe report was written; `asc submit {workspace.run.root}` "
            "writes the package later."
        )
        return report_stage(workspace, config, narrator)
    page = report_stage(workspace, config, narrator)
    ledger.append("line_finished", inputs=inputs)  # last: a report that failed must not count as up to date
    narrator.note(note)
    return page


def _inputs(run: RunDirectory, config: RunConfig) -> tuple[str, str]:
    """Return the hash of what ensemble and report depend on, and the one that earlier versions wrote.

    Theirs had the section `submission`, too. `is_package_current` compares it by itself, so that `asc submit --set`
    does not make a finished run out of date.
    """
    settings = config.canonical()
    metrics = {files.name: files.metrics_path.read_text(encoding="utf-8") for files in run.candidates()}
    others = {name: value for name, value in settings.items() if name != "submission"}
    return content_hash([others, metrics]), content_hash([settings, metrics])


def _write_package(workspace: Workspace, config: RunConfig, narrator: Narrator) -> str:
    """Write the submission package, unless that of an evaluation set is kept; return a sentence on it."""
    if _keeps_package(workspace.run):
        return _kept_note(workspace.run)
    package = submission_stage(workspace, config, narrator, draft=True)
    return f"Submission package{' (draft)' if config.submission.open_points else ''}: {package}"


def _keeps_package(run: RunDirectory) -> bool:
    """Return whether the package has outputs of an evaluation set that no candidate has predictions of."""
    return has_evaluation_package(run) and not any(
        files.predictions_path("evaluation").is_file() for files in run.candidates()
    )


def _kept_note(run: RunDirectory) -> str:
    return (
        "The submission package has outputs of an evaluation set and was kept; "
        f"`asc submit {run.root} --evaluation SHARDS` replaces it."
    )


def _select_ensemble(workspace: Workspace, config: RunConfig, narrator: Narrator) -> None:
    """Select the ensemble, unless no candidate has a score to select it by."""
    from results.candidates.candidates import has_own_score, read_candidates, without_validation

    candidates = read_candidates(workspace.run)
    if candidates and not any(map(has_own_score, candidates)):
        narrator.note(
            f"No ensemble: {without_validation(candidates)} Set retrain.inner_folds to score them out of fold."
        )
    else:
        ensemble_stage(workspace, config, narrator)


def _is_up_to_date(workspace: Workspace, config: RunConfig, ledger: Ledger, inputs: Sequence[str]) -> bool:
    """Return whether the run was last finished with one of `inputs`, and no stage has changed its outputs since."""
    from results.ensembles.ensemble import was_selected_otherwise

    finished = [event["inputs"] for event in of_kind(ledger.events(), "line_finished")]
    if not set(finished[-1:]) & set(inputs) or was_selected_otherwise(workspace.run, config.ensemble):
        return False
    return is_package_current(workspace.run, config.submission) or _keeps_package(workspace.run)
