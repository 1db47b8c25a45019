"""Rows of the shards to make: recorded clips, and augmented copies of training clips.

The id of a copy starts with that of its source. A copy is a training clip in exactly those folds in which all clips it
was made from are training clips. It is never in another split; the manifest is checked for that when it is read.
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
"""Value of the column `augmentation` for recorded clips."""

Folds = Mapping[int, Mapping[str, Split]]
"""{fold: {clip_id: split}}."""


@dataclass(frozen=True, slots=True)
class ShardRow:
    """One row of a shard."""

    clip: Clip
    """The clip that the row describes. A copy has the values of its source except for the id."""
    source: Clip
    """The recorded clip it was made from; for a recorded clip, the clip itself."""
    augmentation: str = RECORDED
    partner: Clip | None = None
    """The other clip of a mix."""
    fold: int | None = None
    """The only fold of a spectrum-corrected copy, since the factors are estimated from that fold's training clips."""

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The recorded clips it was made from."""
        return (self.source,) if self.partner is None else (self.source, self.partner)


def recorded_rows(clips: Sequence[Clip]) -> tuple[ShardRow, ...]:
    """Return the rows of recorded clips."""
    return tuple(ShardRow(clip, clip) for clip in clips)


def copy_rows(augmentation: OfflineAugmentation, clips: Sequence[Clip], folds: Folds, seed: int) -> Iterator[ShardRow]:
    """Yield the rows of the copies of `clips`: one copy for each clip that any fold trains on.

    Spectrum correction makes one copy for each clip of device a and each fold. The partner in a mix is another clip of
    the same scene that is a training clip in all folds in which the source is; a clip without a partner has no mix.

    Args:
        augmentation: the augmentation.
        clips: all recorded clips, in the order of the lists.
        folds: splits of the usable clips.
        seed: random seed.
    """
    training = training_folds(folds)
    if augmentation == "spectrum_correction":
        for clip in clips:
            for fold in training.get(clip.clip_id, ()) if clip.device == "a" else ():
                name = augmentation if len(folds) == 1 else f"{augmentation}@{fold}"
                yield ShardRow(copy_of(clip, name), clip, augmentation, fold=fold)
        return
    partners = _Partners(clips, training) if augmentation == "mix" else None
    for clip in clips:
        if clip.clip_id not in training:
            continue
        partner = partners.draw(clip, seed) if partners is not None else None
        if partners is None or partner is not None:
            yield ShardRow(copy_of(clip, augmentation), clip, augmentation, partner)


def copy_of(clip: Clip, name: str) -> Clip:
    """Return a copy of `clip` with the id of the augmented copy `name`."""
    return replace(clip, clip_id=f"{clip.clip_id}+{name}")


def training_folds(folds: Folds) -> dict[str, tuple[int, ...]]:
    """Return {clip_id: folds that train on the clip}, without clips that no fold trains on."""
    found: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for fold in sorted(folds):
        for clip_id, split in folds[fold].items():
            if split == "train":
                found[clip_id] += (fold,)
    return dict(found)


def folds_of_copy(row: ShardRow, training: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return the folds in which `row` is a training clip, which are those in which all its clips are."""
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
        """Return a partner, uniformly chosen, or None if there is none."""
        pool = self._pool(clip.scene, self._training[clip.clip_id])
        if len(pool) < 2:
            return None
        number = int(stream(seed, clip.clip_id, "mix partner").integers(len(pool) - 1))
        own = bisect_left(pool, clip.clip_id, key=lambda other: other.clip_id)
        return pool[number + (number >= own)]

    def _pool(self, scene: str | None, folds: frozenset[int]) -> list[Clip]:
        """Return the clips of `scene` that are training clips in all of `folds`."""
        if (scene, folds) not in self._pools:
            chosen = [clip for clip in self._clips[scene] if self._training[clip.clip_id] >= folds]
            self._pools[scene, folds] = chosen
        return self._pools[scene, folds]
