"""Jobs, one per shard: planned from the lists; shards that are up to date are reused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from data_prep.config import FeatureSpec, QuarantineSpec
from data_prep.copies.rows import RECORDED, ShardRow
from data_prep.corpora.corpus import Clip
from data_prep.errors import DataError
from data_prep.prepare.extract import Copying, Extracted, Source, Task, extract_task
from data_prep.schema import content_hash
from data_prep.shards.manifest import MANIFEST_NAME, Quarantined
from data_prep.shards.notes import RemakeReason, ShardNote, note_name, read_note, sources_fingerprint, write_note
from data_prep.shards.parquet import Assignment, log_mels_of, read_shard, shard_name, write_shard
from data_prep.store.store import Store
from data_prep.workers import Executor

ROWS_PER_TASK = 16
"""Rows per task of a worker: few enough to balance small data sets, enough to make the transfer cheap."""

Assignments = Mapping[str, Assignment]


@dataclass(frozen=True)
class ShardJob:
    """One shard to make."""

    name: str
    """File name of the shard."""
    rows: tuple[ShardRow, ...]
    sources: str
    """Fingerprint of everything that the shard is made from."""
    copying: Copying | None


@dataclass(frozen=True)
class Bench:
    """State shared by all jobs of one `prepare`."""

    store: Store
    root: Path
    """Folder of the data set."""
    spec: FeatureSpec
    quarantine: QuarantineSpec
    mapper: Executor
    tick: Callable[[int], None]
    """Called with the number of newly finished rows."""


@dataclass(frozen=True)
class FinishedShards:
    """Finished shards, either of recorded clips or of copies."""

    jobs: Sequence[ShardJob]
    notes: Sequence[ShardNote]
    made: Counter[str]
    """{new, changed or damaged: number of rows made in this call for that reason}."""


def plan_jobs(
    bench: Bench,
    rows: Sequence[ShardRow],
    clips_per_shard: int,
    *,
    kind: str = "shard",
    settings: Any = None,
    copying: Copying | None = None,
) -> list[ShardJob]:
    """Return the jobs for `rows`, in their order.

    Args:
        bench: shared by all jobs of the call.
        rows: recorded clips only, or copies of one kind only.
        clips_per_shard: rows per shard.
        kind: prefix of the shards' file names.
        settings: everything else that the result depends on; part of the fingerprint.
        copying: settings of copies; None for recorded clips.
    """
    groups = [tuple(rows[i : i + clips_per_shard]) for i in range(0, len(rows), clips_per_shard)]
    jobs = []
    for number, group in enumerate(groups):
        clips = [clip for row in group for clip in row.clips]
        what = {"spec": bench.spec.hash(), "tolerance": bench.quarantine.length_tolerance, "copying": settings}
        what["rows"] = [row.clip.clip_id for row in group]  # the ids of corrected copies depend on the fold
        jobs.append(ShardJob(shard_name(kind, number), group, sources_fingerprint(bench.root, clips, what), copying))
    return jobs


def bring_up_to_date(bench: Bench, jobs: Sequence[ShardJob], assignments: Assignments) -> FinishedShards:
    """Make the shards that are missing, stale or damaged."""
    noted = [read_note(bench.store, job.name, job.sources) for job in jobs]
    found = _without_outdated(bench, jobs, noted, assignments)
    made: Counter[str] = Counter()
    pending = []
    for job, note in zip(jobs, found, strict=True):
        if not isinstance(note, ShardNote):
            pending.append(job)
            made[note] += len(job.rows)
    bench.tick(sum(len(job.rows) for job in jobs) - made.total())
    outcomes = bench.mapper.map(extract_task, (task for job in pending for task in _tasks(bench, job, assignments)))
    notes = []
    for job, note in zip(jobs, found, strict=True):
        if not isinstance(note, ShardNote):
            results: list[Extracted] = []
            while len(results) < len(job.rows):
                batch = next(outcomes)
                if bench.quarantine.strict:
                    _refuse(job.rows[len(results) :], batch)
                results += batch
                bench.tick(len(batch))
            note = _write(bench, job, results, assignments)
        notes.append(note)
    return FinishedShards(jobs, notes, made)


def _without_outdated(
    bench: Bench, jobs: Sequence[ShardJob], found: Sequence[ShardNote | RemakeReason], assignments: Assignments
) -> list[ShardNote | RemakeReason]:
    """Return `found` with `changed` instead of the notes with findings that are out of date.

    Rows with such findings are extracted again in every call, the other rows of their shards only if one differs.
    """
    doubtful = [
        (number, replace(job, rows=rows), note)
        for number, (job, note) in enumerate(zip(jobs, found, strict=True))
        if isinstance(note, ShardNote) and (rows := _doubtful(bench, job, note, assignments))
    ]
    tasks = (task for _, job, _ in doubtful for task in _tasks(bench, job, assignments))
    results = chain.from_iterable(bench.mapper.map(extract_task, tasks))
    checked = list(found)
    for number, job, note in doubtful:
        known = {entry.clip_id: (entry.fault, entry.reason) for entry in note.quarantine}
        now = [(result.fault, result.reason) for result in islice(results, len(job.rows))]
        if now != [known.get(row.clip.clip_id, ("", "")) for row in job.rows]:
            checked[number] = "changed"
    return checked


def _doubtful(bench: Bench, job: ShardJob, note: ShardNote, assignments: Assignments) -> tuple[ShardRow, ...]:
    """Return the rows that may have another finding now although their files have the same size and time.

    A file may have been unreadable for a reason that has passed, such as its permissions or an I/O error. The length of
    a clip may be judged now and not then, or the reverse, since its split has changed.
    """
    faults = {entry.clip_id: entry.fault for entry in note.quarantine}
    wanted, rounded_s = bench.spec.clip_seconds, 1e-4
    limit_s = bench.quarantine.length_tolerance * wanted - rounded_s
    odd = {clip_id for clip_id, seconds in note.seconds.items() if abs(seconds - wanted) > limit_s}

    def is_doubtful(row: ShardRow) -> bool:
        """Return whether a row is to be extracted again."""
        fault = faults.get(row.clip.clip_id, "")
        if _is_judged(row, assignments):
            return fault == "unreadable" or (fault == "" and row.clip.clip_id in odd)
        return fault in ("unreadable", "length")

    return tuple(row for row in job.rows if is_doubtful(row))


def update_assignments(bench: Bench, shards: FinishedShards, assignments: Assignments) -> FinishedShards:
    """Update the columns split and fold of finished shards."""
    notes = [
        _rewrite_assignments(bench, job, note, assignments) for job, note in zip(shards.jobs, shards.notes, strict=True)
    ]
    return FinishedShards(shards.jobs, notes, shards.made)


def _rewrite_assignments(bench: Bench, job: ShardJob, note: ShardNote, assignments: Assignments) -> ShardNote:
    """Rewrite split and fold of a finished shard if they have changed; this needs no audio."""
    fingerprint = _assignments_fingerprint(job, assignments)
    if note.places == fingerprint:
        return note
    table = read_shard(bench.store, note.shard)
    kept = set(table["clip_id"].to_pylist())
    rows = [row for row in job.rows if row.clip.clip_id in kept]
    _forget(bench.store, job.name)
    log_mels = list(log_mels_of(table, bench.spec, bench.store.path_text(job.name)))
    changed = note.updated(places=fingerprint, shard=write_shard(bench.store, job.name, rows, assignments, log_mels))
    write_note(bench.store, changed)
    return changed


def _tasks(bench: Bench, job: ShardJob, assignments: Assignments) -> Iterator[Task]:
    for i in range(0, len(job.rows), ROWS_PER_TASK):
        sources = tuple(_source(bench, row, assignments) for row in job.rows[i : i + ROWS_PER_TASK])
        yield Task(sources, bench.spec, job.copying)


def _source(bench: Bench, row: ShardRow, assignments: Assignments) -> Source:
    def path(clip: Clip | None) -> Path | None:
        """Return the path of the clip's recording."""
        return bench.root / clip.filename if clip is not None else None

    return Source(
        path=bench.root / row.source.filename,
        clip_id=row.source.clip_id,
        partner=path(row.partner),
        length_tolerance=bench.quarantine.length_tolerance if _is_judged(row, assignments) else None,
    )


def _is_judged(row: ShardRow, assignments: Assignments) -> bool:
    """Return whether a recording is quarantined if its length is far from that of a clip."""
    # Every clip of an evaluation list needs a prediction, and the source of a copy was already checked.
    return row.augmentation == RECORDED and assignments[row.clip.clip_id].split != "evaluation"


def _refuse(rows: Sequence[ShardRow], results: Sequence[Extracted]) -> None:
    for row, result in zip(rows, results, strict=False):
        if result.log_mel is None:
            raise DataError(f"{row.source.filename}: {result.reason} (strict stops at the first such clip.)")


def _write(bench: Bench, job: ShardJob, results: Sequence[Extracted], assignments: Assignments) -> ShardNote:
    pairs = list(zip(job.rows, results, strict=True))
    good = [(row, result.log_mel) for row, result in pairs if result.log_mel is not None]
    _forget(bench.store, job.name)
    entry = write_shard(bench.store, job.name, [row for row, _ in good], assignments, [log_mel for _, log_mel in good])
    recorded = [(row.clip.clip_id, result) for row, result in pairs if row.augmentation == RECORDED]
    odd_s = 1.5 / bench.spec.sample_rate  # some data sets are off by one sample
    note = ShardNote(
        sources=job.sources,
        places=_assignments_fingerprint(job, assignments),
        shard=entry,
        quarantine=tuple(
            Quarantined(clip_id=row.clip.clip_id, filename=row.clip.filename, fault=result.fault, reason=result.reason)
            for row, result in pairs
            if result.fault
        ),
        silent=tuple(clip_id for clip_id, result in recorded if result.silent),
        seconds={
            clip_id: round(result.seconds, 4)
            for clip_id, result in recorded
            if result.fault in ("", "length") and abs(result.seconds - bench.spec.clip_seconds) > odd_s
        },
        digests={clip_id: result.digest for clip_id, result in recorded if not result.fault},
        slips={clip_id: result.slip for clip_id, result in recorded if result.slip},
    )
    write_note(bench.store, note)
    return note


def _forget(store: Store, name: str) -> None:
    """Remove the manifest and the note of a shard before its bytes change."""
    store.remove(MANIFEST_NAME)
    store.remove(note_name(name))


def _assignments_fingerprint(job: ShardJob, assignments: Assignments) -> str:
    chosen = [assignments[row.clip.clip_id] for row in job.rows]
    return content_hash([[assignment.fold, assignment.split] for assignment in chosen], 64)
