"""Audio on disk → shards and their manifest. Killed at any moment and started again, it goes on where it stopped."""

from __future__ import annotations

import fcntl
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_prep.config import OFFLINE_AUGMENTATIONS_BUILT, FeatureSpec, PrepareConfig
from data_prep.corpora import read_corpus
from data_prep.corpus import Clip, Corpus
from data_prep.errors import ConfigError, DataError
from data_prep.extract import Extracted, Task, extract_task
from data_prep.files import write_error
from data_prep.findings import collect_warnings, validate_outcome
from data_prep.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    Manifest,
    Quarantined,
    ShardEntry,
    write_manifest,
)
from data_prep.notes import NOTES_FOLDER, ShardNote, note_path, read_valid_note, sources_fingerprint, write_note
from data_prep.progress import ProgressCallback
from data_prep.schema import content_hash
from data_prep.shards import Place, log_mels_of, read_shard, shard_name, write_shard
from data_prep.splits import Split, assign_splits
from data_prep.workers import Executor, worker_pool

CLIPS_PER_TASK = 16
"""Clips that a worker takes at once: few enough to share a small data set evenly, enough to make sending cheap."""


@dataclass(frozen=True)
class Prepared:
    """What a `prepare` did."""

    manifest: Manifest
    n_clips: int
    """Clips in the shards."""
    n_computed: int
    """Clips whose audio was read now (the corrupt ones among them)."""
    n_reused: int
    """Clips that an earlier `prepare` had finished."""
    seconds: float
    warnings: tuple[str, ...]
    """What was odd about the data set, in words; also in the manifest."""


@dataclass(frozen=True)
class _Job:
    """One shard to be."""

    path: Path
    clips: tuple[Clip, ...]
    sources: str


def prepare(
    root: Path,
    shards: Path,
    config: PrepareConfig,
    *,
    n_workers: int = 1,
    executor: Executor | None = None,
    on_progress: ProgressCallback | None = None,
) -> Prepared:
    """Extract the features of every listed clip of the data set `root` into the folder `shards`.

    Shards of an earlier call are kept where settings, lists and audio files (name, size, time) are still the same; the
    result is the same bytes as that of one undisturbed call. The manifest is removed before the first change and
    written last.

    Args:
        root: the data set's folder.
        shards: where the shards go; made if need be.
        config: what to extract and how to cut the validation split.
        n_workers: processes that read audio; 1 stays in this one. Others are spawned, never forked, so a script that
            calls this needs the usual `if __name__ == "__main__":`.
        executor: takes the place of own processes.
        on_progress: called with (clips done, clips in all).

    Raises:
        DataError: if the data set can't be used (see `read_corpus`), more than half of its files are corrupt, a
            scene loses its last training clip, or another process prepares into the same folder.
        ConfigError: if an augmentation is asked for that this version can't make.
        AscError: if the disk is full; what was finished stays and is reused.
    """
    start = time.monotonic()
    validate_augmentations(config)
    corpus = read_corpus(root, config.corpus)
    folds = assign_splits(corpus, config.validation)
    try:
        shards.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(shards, error) from error
    with _locked(shards), worker_pool(n_workers, executor) as mapper:
        jobs = _plan(corpus, shards, config)
        notes, n_computed = _write_shards(corpus, jobs, folds, config.features, mapper, on_progress)
        manifest = _manifest(corpus, jobs, notes, folds, config)
        write_manifest(shards, manifest)
        _remove_strays(shards, jobs)
    return Prepared(
        manifest=manifest,
        n_clips=manifest.n_clips,
        n_computed=n_computed,
        n_reused=len(corpus.clips) - n_computed,
        seconds=time.monotonic() - start,
        warnings=manifest.warnings,
    )


def validate_augmentations(config: PrepareConfig) -> None:
    """Refuse offline augmentations that this version can't make, rather than leave them out.

    Raises:
        ConfigError: naming them.
    """
    missing = [name for name in config.augmentations if name not in OFFLINE_AUGMENTATIONS_BUILT]
    if missing:
        raise ConfigError(
            f"prepare.augmentations: {', '.join(missing)}: not built yet in this version, and not silently left out. "
            "To go on without copies: --set 'prepare.augmentations=[]'"
        )


def _plan(corpus: Corpus, shards: Path, config: PrepareConfig) -> list[_Job]:
    size = config.clips_per_shard
    groups = [corpus.clips[i : i + size] for i in range(0, len(corpus.clips), size)]
    return [
        _Job(shards / shard_name(i), clips, sources_fingerprint(corpus.root, clips, config.features))
        for i, clips in enumerate(groups)
    ]


def _write_shards(
    corpus: Corpus,
    jobs: Sequence[_Job],
    folds: Mapping[int, Mapping[str, Split]],
    spec: FeatureSpec,
    mapper: Executor,
    on_progress: ProgressCallback | None,
) -> tuple[list[ShardNote], int]:
    """Bring every shard up to date; return their notes and the number of clips whose audio was read."""
    found = [read_valid_note(job.path, job.sources) for job in jobs]
    places = _places(corpus, folds)
    pending = [job for job, note in zip(jobs, found, strict=True) if note is None]
    n_done = len(corpus.clips) - sum(len(job.clips) for job in pending)
    if on_progress is not None:
        on_progress(n_done, len(corpus.clips))
    outcomes = iter(mapper.map(extract_task, [task for job in pending for task in _tasks(corpus.root, job, spec)]))
    notes = []
    for job, note in zip(jobs, found, strict=True):
        if note is None:
            results: list[Extracted] = []
            while len(results) < len(job.clips):
                results += next(outcomes)
                if on_progress is not None:
                    on_progress(n_done + len(results), len(corpus.clips))
            n_done += len(job.clips)
            notes.append(_write_new(job, results, places, spec))
        else:
            notes.append(_replace_columns(job, note, places, spec))
    return notes, sum(len(job.clips) for job in pending)


def _tasks(root: Path, job: _Job, spec: FeatureSpec) -> Iterator[Task]:
    for i in range(0, len(job.clips), CLIPS_PER_TASK):
        yield Task(tuple(root / clip.filename for clip in job.clips[i : i + CLIPS_PER_TASK]), spec)


def _write_new(job: _Job, results: Sequence[Extracted], places: Mapping[str, Place], spec: FeatureSpec) -> ShardNote:
    pairs = list(zip(job.clips, results, strict=True))
    good = [(clip, result.log_mel) for clip, result in pairs if result.log_mel is not None]
    _forget(job.path)
    sha256 = write_shard(job.path, [clip for clip, _ in good], places, [log_mel for _, log_mel in good])
    note = ShardNote(
        sources=job.sources,
        places=_places_fingerprint(job, places),
        rows=len(good),
        sha256=sha256,
        quarantine=tuple(
            Quarantined(clip_id=clip.clip_id, filename=clip.filename, reason=result.reason)
            for clip, result in pairs
            if result.log_mel is None
        ),
        silent=tuple(clip.clip_id for clip, result in pairs if result.silent),
        seconds={
            clip.clip_id: round(result.seconds, 3)
            for clip, result in pairs
            if result.log_mel is not None and abs(result.seconds - spec.clip_seconds) > 0.05 * spec.clip_seconds
        },
    )
    write_note(job.path, note)
    return note


def _replace_columns(job: _Job, note: ShardNote, places: Mapping[str, Place], spec: FeatureSpec) -> ShardNote:
    """Write split and fold of a finished shard anew if the validation split was cut otherwise: that needs no audio."""
    fingerprint = _places_fingerprint(job, places)
    if note.places == fingerprint:
        return note
    entry = ShardEntry(file=job.path.name, rows=note.rows, sha256=note.sha256)
    table = read_shard(job.path.parent, entry)
    kept = set(table["clip_id"].to_pylist())
    clips = [clip for clip in job.clips if clip.clip_id in kept]
    _forget(job.path)
    sha256 = write_shard(job.path, clips, places, list(log_mels_of(table, spec, str(job.path))))
    changed = note.updated(places=fingerprint, sha256=sha256)
    write_note(job.path, changed)
    return changed


def _forget(shard: Path) -> None:
    """Take back what says that the shard is good, before its bytes change."""
    (shard.parent / MANIFEST_NAME).unlink(missing_ok=True)
    note_path(shard).unlink(missing_ok=True)


def _manifest(
    corpus: Corpus,
    jobs: Sequence[_Job],
    notes: Sequence[ShardNote],
    folds: Mapping[int, Mapping[str, Split]],
    config: PrepareConfig,
) -> Manifest:
    quarantine = tuple(entry for note in notes for entry in note.quarantine)
    corrupt = {entry.clip_id for entry in quarantine}
    kept = {k: {i: split for i, split in fold.items() if i not in corrupt} for k, fold in folds.items()}
    entries = zip(jobs, notes, strict=True)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=corpus.name,
        spec=config.features,
        spec_hash=config.features.hash(),
        validation=config.validation,
        classes=corpus.classes,
        n_clips=sum(note.rows for note in notes),
        n_unlisted=corpus.n_unlisted,
        counts={k: dict(Counter(fold.values())) for k, fold in kept.items()},
        folds=kept,
        locations={
            clip.clip_id: clip.location for clip in corpus.clips if clip.location and clip.clip_id not in corrupt
        },
        shards=tuple(ShardEntry(file=job.path.name, rows=note.rows, sha256=note.sha256) for job, note in entries),
        missing=corpus.missing,
        quarantine=quarantine,
        silent=tuple(clip_id for note in notes for clip_id in note.silent),
        warnings=(),
    )
    validate_outcome(corpus, manifest)
    seconds = {clip_id: length for note in notes for clip_id, length in note.seconds.items()}
    return manifest.updated(warnings=collect_warnings(corpus, manifest, seconds))


def _places(corpus: Corpus, folds: Mapping[int, Mapping[str, Split]]) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for fold in sorted(folds):
        for clip_id, split in folds[fold].items():
            places.setdefault(clip_id, Place(fold, split))
    return {clip.clip_id: places.get(clip.clip_id, Place(None, None)) for clip in corpus.clips}


def _places_fingerprint(job: _Job, places: Mapping[str, Place]) -> str:
    return content_hash([[places[clip.clip_id].fold, places[clip.clip_id].split] for clip in job.clips], 64)


def _remove_strays(shards: Path, jobs: Sequence[_Job]) -> None:
    """Remove what earlier calls left and no manifest lists: surplus shards and parts of killed writers."""
    known = {path for job in jobs for path in (job.path, note_path(job.path))}
    for pattern in (
        "shard-*.parquet",
        ".shard-*.tmp",
        ".manifest.json.*.tmp",
        f"{NOTES_FOLDER}/*.json",
        f"{NOTES_FOLDER}/.*.tmp",
    ):
        for path in shards.glob(pattern):
            if path not in known:
                path.unlink(missing_ok=True)


@contextmanager
def _locked(shards: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock goes with the process, also when it is killed."""
    with (shards / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"{shards}: another process prepares into this folder. Wait for it, or take another."
            ) from None
        yield
