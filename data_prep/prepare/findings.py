"""Errors and warnings about a data set after its audio was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_prep.corpora.corpus import Corpus
from data_prep.corpora.coverage import some, split_gaps
from data_prep.corpora.splits import Split
from data_prep.errors import DataError
from data_prep.shards.manifest import Manifest, Quarantined, locations_on_both_sides
from data_prep.wording import printable


def validate_outcome(corpus: Corpus, manifest: Manifest) -> None:
    """Check that the usable clips suffice for training.

    Raises:
        DataError: if a fold's training has no clip of a scene.
    """
    scenes = {clip.clip_id: clip.scene for clip in corpus.clips}
    for fold, listed in corpus.folds.items():
        needed = {scenes[clip_id] for clip_id, name in listed.items() if name in ("train", "test")}
        if "train" not in listed.values():
            continue  # an evaluation list only, without training clips
        present = _scenes_in(manifest, fold, "train", scenes)
        for scene in sorted(str(scene) for scene in needed - present):
            raise DataError(
                f"{corpus.root}: fold {fold} has no training clip of scene {scene!r} without missing and unusable "
                "files and held-out devices. Restore its files, or hold out fewer devices."
            )


def collect_warnings(
    corpus: Corpus,
    manifest: Manifest,
    seconds: Mapping[str, float],
    slips: Mapping[str, str],
    lost_copies: Sequence[Quarantined],
) -> tuple[str, ...]:
    """Return warnings about the data set.

    Args:
        corpus: the data set.
        manifest: the manifest of its shards.
        seconds: {clip_id: length in seconds} of recordings that differ from `clip_seconds`.
        slips: {clip_id: error in the file header} of recordings that were read nevertheless.
        lost_copies: copies that could not be made because a file changed during the call.
    """
    found = list(corpus.warnings)
    if manifest.missing:
        n_listed = len(manifest.missing) + len(corpus.clips)
        found.append(
            f"{len(manifest.missing):,} of {n_listed:,} listed files are not on disk: {some(manifest.missing)}"
        )
    if manifest.quarantine:
        names = [f"{entry.filename} ({entry.reason.rstrip('.')})" for entry in manifest.quarantine]
        found.append(f"{_are(len(names), 'clip')} left out, see quarantine.csv: {some(names)}")
    if lost_copies:
        found.append(
            f"{_are(len(lost_copies), 'copy', 'copies')} missing, as a recording could not be read again: "
            f"{some([entry.clip_id for entry in lost_copies])}"
        )
    if manifest.silent:
        found.append(f"{_are(len(manifest.silent), 'clip')} silent, and zeros after scaling: {some(manifest.silent)}")
    for slip in dict.fromkeys(slips.values()):
        names = [clip_id for clip_id, known in slips.items() if known == slip]
        found.append(f"{_are(len(names), 'clip')} read although the header {slip}: {some(names)}")
    wanted = manifest.spec.clip_seconds
    farthest = sorted(seconds.items(), key=lambda item: -abs(item[1] - wanted))
    short = [f"{clip_id} ({length:g} s)" for clip_id, length in farthest if length < wanted]
    long = [f"{clip_id} ({length:g} s)" for clip_id, length in farthest if length > wanted]
    if short:
        found.append(
            f"{_are(len(short), 'clip')} shorter than clip_seconds = {wanted:g} and padded with zeros: {some(short)}"
        )
    if long:
        found.append(f"{_are(len(long), 'clip')} longer than clip_seconds = {wanted:g} and cut: {some(long)}")
    n_nowhere = sum(clip.location is None for clip in corpus.clips)
    if n_nowhere and any("validation" in counts for counts in manifest.counts.values()):
        found.append(
            f"{n_nowhere:,} clips have no location (column identifier of meta.csv): each counts as a separate "
            "location, so recordings of one location may be in both training and validation"
        )
    usable = {clip_id for splits in manifest.folds.values() for clip_id in splits}
    found += [text for _, text in split_gaps(corpus, manifest.validation, usable)]
    for fold in manifest.folds:
        for other in ("train", "validation"):
            shared = locations_on_both_sides(manifest, fold, other, "test")
            if shared:
                found.append(f"fold {fold}: {len(shared):,} locations are in {other} and in test: {some(shared)}")
    return tuple(printable(text) for text in found)  # names of folders may not be UTF-8, the manifest is


def _scenes_in(manifest: Manifest, fold: int, split: Split, scenes: Mapping[str, str | None]) -> set[str | None]:
    """Return the scenes of the recorded clips in a split."""
    return {scenes[i] for i, name in manifest.folds[fold].items() if name == split and i in scenes}


def _are(n: int, noun: str, nouns: str | None = None) -> str:
    return f"{n:,} {noun} is" if n == 1 else f"{n:,} {nouns or noun + 's'} are"
