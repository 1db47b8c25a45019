"""Audio on disk → shards and their manifest. Can be killed at any time; the same call resumes.

Steps: lists → splits → shards of recorded clips → quarantine → copies of training clips → manifest.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args

from data_prep.config import OfflineAugmentation, PrepareConfig
from data_prep.copies.correction import Correction, correction_name
from data_prep.copies.rows import Folds, ShardRow, copy_rows, folds_of_copy, recorded_rows, training_folds
from data_prep.copies.waveforms import read_responses
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import Corpus
from data_prep.corpora.coverage import class_problem, missing_problem
from data_prep.corpora.splits import assign_splits, holdout_problem
from data_prep.errors import ConfigError, DataError
from data_prep.prepare.correction_pass import correct_folds, seal_name
from data_prep.prepare.extract import Copying
from data_prep.prepare.jobs import Bench, FinishedShards, ShardJob, bring_up_to_date, plan_jobs, update_assignments
from data_prep.prepare.outcome import make_manifest
from data_prep.prepare.quarantine import find_quarantined, validate_quarantine, write_quarantine
from data_prep.progress import ProgressCallback
from data_prep.shards.manifest import Manifest, Quarantined, write_manifest
from data_prep.shards.notes import NOTES_FOLDER, note_name
from data_prep.shards.parquet import Assignment
from data_prep.store.store import Location, Store, open_store
from data_prep.workers import Executor, worker_pool


@dataclass(frozen=True)
class Prepared:
    """Result of `prepare`."""

    manifest: Manifest
    n_clips: int
    """Rows in the shards: recorded clips and copies."""
    n_computed: int
    """Rows made in this call, including unusable ones."""
    n_reused: int
    """Rows reused from an earlier call."""
    made: Mapping[str, int]
    """{new, changed (audio or settings) or damaged: number of rows made in this call for that reason}."""
    seconds: float
    warnings: tuple[str, ...]
    """Warnings about the data set; also in the manifest."""


def prepare(
    root: Path,
    shards: Location,
    config: PrepareConfig,
    *,
    n_workers: int = 1,
    executor: Executor | None = None,
    on_progress: ProgressCallback | None = None,
) -> Prepared:
    """Extract the features of all listed clips of the data set `root`, and of their augmented copies, into `shards`.

    Shards of earlier calls are reused if settings, lists and audio files (name, size, modification time) are unchanged.
    The result is byte-identical to that of an uninterrupted call. The manifest is removed before the first change and
    written last.

    Args:
        root: the data set's folder.
        shards: folder or URI for the shards; created if missing.
        config: the feature, the validation split and the augmented copies.
        n_workers: number of processes that read audio; 1 uses this process. Workers are spawned, not forked, so a
            calling script needs `if __name__ == "__main__":`.
        executor: used instead of worker processes.
        on_progress: called with (rows done, total rows).

    Raises:
        DataError: if the data set can't be used (see `read_corpus`), more clips are quarantined or missing than the
            configuration allows, all clips have the same class, a held-out device does not occur, a scene loses its
            last training clip, spectrum correction finds no pairs, an impulse response can't be used, or another
            process prepares into the same folder.
        ConfigError: if device responses are requested without a folder of impulse responses.
        AscError: if the disk is full; finished shards are kept and reused.
    """
    start = time.monotonic()
    validate_augmentations(config)
    corpus = read_corpus(root, config.corpus)
    _require_usable(corpus, config)
    folds = assign_splits(corpus, config.validation)
    store = open_store(shards)
    with store.locked(), worker_pool(n_workers, executor) as mapper:
        progress = _Progress(_n_rows(corpus, folds, config), on_progress)
        # Absolute, as workers on a cluster run in other folders; messages and the manifest keep the given name.
        bench = Bench(store, corpus.root.absolute(), config.features, config.quarantine, mapper, progress.tick)
        recorded, quarantine = _prepare_recorded(bench, corpus, folds, config)
        left_out = {entry.clip_id for entry in quarantine}
        kept = {fold: {i: split for i, split in of.items() if i not in left_out} for fold, of in folds.items()}
        copies = _prepare_copies(bench, corpus, kept, config)
        progress.end()
        manifest = make_manifest(corpus, kept, quarantine, recorded, copies, config)
        write_manifest(store, manifest)
        _remove_strays(store, [*recorded.jobs, *copies.jobs], kept if _corrects(config) else ())
    made = recorded.made + copies.made
    return Prepared(
        manifest=manifest,
        n_clips=manifest.n_clips,
        n_computed=made.total(),
        n_reused=sum(len(job.rows) for shards in (recorded, copies) for job in shards.jobs) - made.total(),
        made=dict(made),
        seconds=time.monotonic() - start,
        warnings=manifest.warnings,
    )


prepare_shards = prepare
"""Alias for `data_prep`, in which `prepare` is the package."""


def _require_usable(corpus: Corpus, config: PrepareConfig) -> None:
    """Raise DataError if too many files are missing, all clips have one class, or a held-out device does not occur."""
    missing = missing_problem(corpus, config.quarantine.max_missing_share)
    for problem in (missing, class_problem(corpus), holdout_problem(corpus, config.validation)):
        if problem is not None:
            raise DataError(problem)


def validate_augmentations(config: PrepareConfig) -> None:
    """Check that the settings of the requested copies are complete, and read the impulse responses they name.

    Raises:
        ConfigError: if a setting is missing.
        DataError: if there are no impulse responses, or one can't be read or is silent.
    """
    if "device_response" not in config.augmentations:
        return
    responses = config.offline.responses
    if responses is None or not Path(responses).is_dir():
        raise ConfigError(
            "prepare.offline.responses: device_response needs a folder of impulse responses (audio files); "
            f"{'none is given' if responses is None else f'{responses} is not a folder'}. Name one, or remove "
            "device_response from prepare.augmentations."
        )
    read_responses(Path(responses), config.features.sample_rate)


def _prepare_recorded(
    bench: Bench, corpus: Corpus, folds: Folds, config: PrepareConfig
) -> tuple[FinishedShards, tuple[Quarantined, ...]]:
    """Make or reuse the shards of recorded clips; return them and the quarantined clips."""
    assignments = _assignments(corpus, folds, frozenset())
    recorded = bring_up_to_date(
        bench, plan_jobs(bench, recorded_rows(corpus.clips), config.clips_per_shard), assignments
    )
    quarantine = find_quarantined(corpus, recorded.notes, assignments, config.quarantine)
    write_quarantine(bench.store, corpus, quarantine, [clip_id for note in recorded.notes for clip_id in note.silent])
    validate_quarantine(bench.store, corpus, quarantine, recorded.notes, config)
    assignments = _assignments(corpus, folds, frozenset(entry.clip_id for entry in quarantine))
    return update_assignments(bench, recorded, assignments), quarantine


def _prepare_copies(bench: Bench, corpus: Corpus, folds: Folds, config: PrepareConfig) -> FinishedShards:
    """Make or reuse the shards of all copies; `folds` has only usable clips."""
    training = training_folds(folds)
    corrections: dict[int, Correction] = {}
    if _corrects(config):
        by_fold = {k: [clip for clip in corpus.clips if k in training.get(clip.clip_id, ())] for k in folds}
        corrections = correct_folds(bench, {k: clips for k, clips in by_fold.items() if clips})
    jobs: list[ShardJob] = []
    assignments: dict[str, Assignment] = {}
    for augmentation in dict.fromkeys(config.augmentations):
        rows = list(copy_rows(augmentation, corpus.clips, folds, config.offline.seed))
        assignments |= {row.clip.clip_id: Assignment(folds_of_copy(row, training)[0], "train") for row in rows}
        for fold in dict.fromkeys(row.fold for row in rows):
            correction = corrections[fold] if fold is not None else None
            jobs += _copy_jobs(bench, [row for row in rows if row.fold == fold], augmentation, correction, config)
    return update_assignments(bench, bring_up_to_date(bench, jobs, assignments), assignments)


def _copy_jobs(
    bench: Bench,
    rows: Sequence[ShardRow],
    augmentation: OfflineAugmentation,
    correction: Correction | None,
    config: PrepareConfig,
) -> list[ShardJob]:
    """Return the jobs for the copies of one kind (for spectrum correction, of one fold)."""
    settings: dict[str, Any] = {"augmentation": augmentation}
    if correction is None:
        settings["offline"] = config.offline.canonical()
    else:
        settings["gain"] = hashlib.sha256(correction.combined.tobytes()).hexdigest()
    responses = None
    if augmentation == "device_response" and config.offline.responses is not None:
        responses = Path(config.offline.responses).absolute()  # as of the data set
        settings["responses"] = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in sorted(responses.iterdir())]
    fold = rows[0].fold
    kind = augmentation if fold is None else f"{augmentation}-fold{fold}"
    copying = Copying(augmentation, config.offline, None if correction is None else correction.combined, responses)
    return plan_jobs(bench, rows, config.clips_per_shard, kind=kind, settings=settings, copying=copying)


def _corrects(config: PrepareConfig) -> bool:
    return "spectrum_correction" in config.augmentations


def _assignments(corpus: Corpus, folds: Folds, left_out: Collection[str]) -> dict[str, Assignment]:
    assignments: dict[str, Assignment] = {}
    for fold in sorted(folds):
        for clip_id, split in folds[fold].items():
            if clip_id not in left_out:
                assignments.setdefault(clip_id, Assignment(fold, split))
    return {clip.clip_id: assignments.get(clip.clip_id, Assignment(None, None)) for clip in corpus.clips}


def _n_rows(corpus: Corpus, folds: Folds, config: PrepareConfig) -> int:
    """Return the number of rows if no clip is quarantined."""
    seed = config.offline.seed
    n_copies = sum(1 for kind in config.augmentations for _ in copy_rows(kind, corpus.clips, folds, seed))
    return len(corpus.clips) + n_copies


class _Progress:
    """Counts finished rows for the caller. The total is exact once the quarantined clips are known."""

    def __init__(self, n_total: int, on_progress: ProgressCallback | None) -> None:
        self._n_done = 0
        self._n_total = n_total
        self._report = on_progress or (lambda done, total: None)
        self._report(0, n_total)

    def tick(self, n_rows: int) -> None:
        """Report newly finished rows."""
        self._n_done += n_rows
        if n_rows:
            self._report(self._n_done, self._n_total)

    def end(self) -> None:
        """Report completion, since there are no copies of quarantined clips."""
        if self._n_done < self._n_total:
            self._report(self._n_done, self._n_done)


def _remove_strays(store: Store, jobs: Sequence[ShardJob], corrected_folds: Collection[int]) -> None:
    """Remove leftovers of earlier calls: surplus shards and temporary files of killed writers."""
    known = {name for job in jobs for name in (job.name, note_name(job.name))}
    known |= {name for fold in corrected_folds for name in (correction_name(fold), seal_name(fold))}
    patterns = [
        "shard-*.parquet",
        "spectrum_correction-fold*.csv",
        ".*.parquet.*.tmp",
        ".*.csv.*.tmp",
        ".manifest.*.tmp",
    ]
    patterns += [f"{kind}-*.parquet" for kind in get_args(OfflineAugmentation)]
    for name in store.names():
        is_prepared = name.startswith(f"{NOTES_FOLDER}/") or any(fnmatch(name, pattern) for pattern in patterns)
        if is_prepared and name not in known:
            store.remove(name)
