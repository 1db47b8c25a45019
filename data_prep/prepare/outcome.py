"""The results of `asc prepare` as a manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from data_prep.config import PrepareConfig
from data_prep.copies.rows import Folds, ShardRow, folds_of_copy, training_folds
from data_prep.corpora.corpus import Corpus
from data_prep.corpora.splits import Split
from data_prep.prepare.findings import collect_warnings, validate_outcome
from data_prep.prepare.jobs import FinishedShards
from data_prep.shards.manifest import FORMAT_VERSION, Copies, Manifest, Quarantined

T = TypeVar("T")


def make_manifest(
    corpus: Corpus,
    folds: Folds,
    quarantine: Sequence[Quarantined],
    recorded: FinishedShards,
    copies: FinishedShards,
    config: PrepareConfig,
) -> Manifest:
    """Return the manifest of finished shards.

    Args:
        corpus: the data set.
        folds: splits of the usable recorded clips.
        quarantine: the quarantined clips.
        recorded: shards of recorded clips.
        copies: shards of augmented copies.
        config: configuration of the stage.

    Raises:
        DataError: if a fold has no usable training clip of a scene.
    """
    gone = [entry for note in copies.notes for entry in note.quarantine]
    lost = {entry.clip_id for entry in gone}
    made = [row for job in copies.jobs for row in job.rows if row.clip.clip_id not in lost]
    splits = _with_copies(folds, made)
    notes = [*recorded.notes, *copies.notes]
    n_rows = sum(note.shard.rows for note in notes)
    put_aside = {entry.clip_id for entry in quarantine}
    usable = [clip for clip in corpus.clips if clip.clip_id not in put_aside]
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=corpus.name,
        spec=config.features,
        spec_hash=config.features.hash(),
        validation=config.validation,
        copies=tuple(
            Copies(augmentation=kind, n_copies=sum(row.augmentation == kind for row in made))
            for kind in dict.fromkeys(config.augmentations)
        ),
        offline=config.offline.updated(responses=None) if config.augmentations else None,
        classes=corpus.classes,
        n_clips=n_rows,
        bytes_per_clip=round(sum(note.shard.n_bytes for note in notes) / max(1, n_rows)),
        n_unlisted=corpus.n_unlisted,
        counts={fold: dict(Counter(of.values())) for fold, of in splits.items()},
        folds=splits,
        sources={row.clip.clip_id: tuple(clip.clip_id for clip in row.clips) for row in made},
        locations={clip.clip_id: clip.location for clip in usable if clip.location},
        shards=tuple(note.shard for note in notes),
        missing=corpus.missing,
        lost_evaluation=_lost_evaluation(corpus, put_aside),
        quarantine=tuple(quarantine),
        silent=tuple(clip_id for note in recorded.notes for clip_id in note.silent),
        warnings=(),
    )
    validate_outcome(corpus, manifest)
    lengths, slips = _merged(note.seconds for note in recorded.notes), _merged(note.slips for note in recorded.notes)
    seconds = {clip_id: length for clip_id, length in lengths.items() if clip_id not in put_aside}
    return manifest.updated(warnings=collect_warnings(corpus, manifest, seconds, slips, gone))


def _merged(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    return {clip_id: value for part in parts for clip_id, value in part.items()}


def _lost_evaluation(corpus: Corpus, put_aside: Collection[str]) -> dict[int, tuple[str, ...]]:
    """Return {fold: files of its evaluation list that are in no shard}, for folds that lack any."""
    aside = [clip for clip in corpus.clips if clip.clip_id in put_aside]
    lost = {}
    for fold, splits in corpus.folds.items():
        listed = (clip.filename for clip in aside if splits.get(clip.clip_id) == "evaluation")
        lost[fold] = (*corpus.missing_evaluation.get(fold, ()), *listed)
    return {fold: names for fold, names in lost.items() if names}


def _with_copies(folds: Folds, copies: Sequence[ShardRow]) -> dict[int, dict[str, Split]]:
    """Return the splits of recorded clips and of their copies."""
    training = training_folds(folds)
    splits: dict[int, dict[str, Split]] = {fold: dict(of) for fold, of in folds.items()}
    for row in copies:
        for fold in folds_of_copy(row, training):
            splits[fold][row.clip.clip_id] = "train"
    return splits
