"""Rows of the shards to be: every clip as recorded, and the augmented copies of training clips.

A copy keeps the id of its source. It is trained on in exactly those folds in which all clips that went into it are
training clips; it is in no other split, ever (the manifest checks that on every reading).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from data_prep.config import OfflineAugmentation
from data_prep.copies.waveforms import stream
from data_prep.corpora.corpus import Clip
from data_prep.corpora.splits import Split

RECORDED = "none"
"""What the column `augmentation` says of a clip as recorded."""

Folds = Mapping[int, Mapping[str, Split]]
"""For each fold the split of its clips."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a shard."""

    clip: Clip
    """What the row says of itself; a copy has an id of its own, everything else is its source's."""
    source: Clip
    """The recorded clip it was made from; of a clip as recorded, itself."""
    augmentation: str = RECORDED
    partner: Clip | None = None
    """The other clip of a mix."""
    fold: int | None = None
    """The one fold that a corrected copy belongs to: its factors come from that fold's training clips."""

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The recorded clips that went into it."""
        return (self.source,) if self.partner is None else (self.source, self.partner)


def recorded_rows(clips: Sequence[Clip]) -> tuple[Row, ...]:
    """Return the rows of clips as recorded."""
    return tuple(Row(clip, clip) for clip in clips)


def copy_rows(augmentation: OfflineAugmentation, clips: Sequence[Clip], folds: Folds, seed: int) -> Iterator[Row]:
    """Yield the copies that `augmentation` makes of `clips`: one for each that some fold trains on.

    Spectrum correction makes one for each clip of device a and each fold. A mix takes as partner another clip of the
    same scene that is a training clip wherever the source is one; a clip without such a partner has no mix.

    Args:
        augmentation: which one.
        clips: all clips as recorded, in the order of the lists.
        folds: their splits; clips that can't be used are in none.
        seed: of the draws.
    """
    training = training_folds(folds)
    if augmentation == "spectrum_correction":
        for clip in clips:
            for fold in training.get(clip.clip_id, ()) if clip.device == "a" else ():
                name = augmentation if len(folds) == 1 else f"{augmentation}@{fold}"
                yield Row(copy_of(clip, name), clip, augmentation, fold=fold)
        return
    partners = _Partners(clips, training) if augmentation == "mix" else None
    for clip in clips:
        if clip.clip_id not in training:
            continue
        partner = partners.draw(clip, seed) if partners is not None else None
        if partners is None or partner is not None:
            yield Row(copy_of(clip, augmentation), clip, augmentation, partner)


def copy_of(clip: Clip, name: str) -> Clip:
    """Return the description of a copy of `clip`."""
    return replace(clip, clip_id=f"{clip.clip_id}+{name}")


def training_folds(folds: Folds) -> dict[str, tuple[int, ...]]:
    """Return the folds that train on a clip, by its id; clips that no fold trains on are not in it."""
    found: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for fold in sorted(folds):
        for clip_id, split in folds[fold].items():
            if split == "train":
                found[clip_id] += (fold,)
    return dict(found)


def folds_of_copy(row: Row, training: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the folds in which `row` is a training clip: those in which all its clips are."""
    together = set.intersection(*(set(training.get(clip.clip_id, ())) for clip in row.clips))
    return tuple(fold for fold in sorted(together) if row.fold in (None, fold))


class _Partners:
    """Draws the other clip of a mix."""

    def __init__(self, clips: Sequence[Clip], training: Mapping[str, tuple[int, ...]]) -> None:
        self._training = {clip_id: frozenset(folds) for clip_id, folds in training.items()}
        self._clips: dict[str | None, list[Clip]] = defaultdict(list)
        for clip in sorted(clips, key=lambda clip: clip.clip_id):
            if clip.clip_id in training:
                self._clips[clip.scene].append(clip)
        self._pools: dict[tuple[str | None, frozenset[int]], list[Clip]] = {}

    def draw(self, clip: Clip, seed: int) -> Clip | None:
        """Return a partner, each as likely as the others, or None where there is none."""
        pool = self._pool(clip.scene, self._training[clip.clip_id])
        if len(pool) < 2:
            return None
        number = int(stream(seed, clip.clip_id, "mix partner").integers(len(pool) - 1))
        own = bisect_left(pool, clip.clip_id, key=lambda other: other.clip_id)
        return pool[number + (number >= own)]

    def _pool(self, scene: str | None, folds: frozenset[int]) -> list[Clip]:
        """Return the clips of `scene` that all of `folds` train on."""
        if (scene, folds) not in self._pools:
            chosen = [clip for clip in self._clips[scene] if self._training[clip.clip_id] >= folds]
            self._pools[scene, folds] = chosen
        return self._pools[scene, folds]
