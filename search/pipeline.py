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

    A submission package that can't be written is a warning: the report is written, and the next call tries again.
    """
    inputs = content_hash(
        [
            config.canonical(),
            {files.name: files.metrics_path.read_text(encoding="utf-8") for files in workspace.run.candidates()},
        ]
    )
    page = workspace.run.page_path
    if page.exists() and _is_up_to_date(workspace, config, ledger, inputs):
        narrator.note("Ensemble, report and submission package are up to date")
        return page
    _select_ensemble(workspace, config, narrator)
    try:
        package = submission_stage(workspace, config, narrator, draft=True)
    except AscError as error:
        narrator.warn(
            f"No submission package was written: {error}\nThe report was written; `asc submit {workspace.run.root}` "
            "writes the package later."
        )
        return report_stage(workspace, config, narrator)
    page = report_stage(workspace, config, narrator)
    ledger.append("line_finished", inputs=inputs)  # last: a report that failed must not count as up to date
    narrator.note(f"Submission package{' (draft)' if config.submission.open_points else ''}: {package}")
    return page


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


def _is_up_to_date(workspace: Workspace, config: RunConfig, ledger: Ledger, inputs: str) -> bool:
    """Return whether the run was last finished with `inputs`, and no single stage has changed its outputs since."""
    from results.ensembles.ensemble import was_selected_otherwise
    from results.submission.package import is_package_current

    finished = [event["inputs"] for event in of_kind(ledger.events(), "line_finished")]
    if finished[-1:] != [inputs] or was_selected_otherwise(workspace.run, config.ensemble):
        return False
    return is_package_current(workspace.run, config.submission)
