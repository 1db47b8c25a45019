"""k folds by location, stratified by scene and city."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from data_prep.corpora.corpus import Clip, ListedSplit, location_of
from data_prep.errors import DataError


def cut_folds(
    clips: Mapping[str, Clip], listed: Mapping[int, Mapping[str, ListedSplit]], k: int, seed: int
) -> tuple[dict[int, dict[str, ListedSplit]], list[str]]:
    """Return folds 1…k, each with a test part and the rest for training, and warnings about them.

    Every labelled clip that a fold of `listed` trains or tests on is in the test part of exactly one new fold. Clips
    of evaluation lists are evaluation clips in all folds.

    Raises:
        DataError: if there are fewer locations than folds, or a scene has only one location, so that no fold can both
            train and test on it.
    """
    pool = {i for splits in listed.values() for i, split in splits.items() if split != "evaluation"}
    others = {i for splits in listed.values() for i, split in splits.items() if split == "evaluation"} - pool
    if not pool:
        return {1: dict.fromkeys(others, "evaluation")} if others else {}, []
    labelled = [clips[i] for i in clips if i in pool]
    parts = assign_parts(labelled, k, seed)
    _validate(labelled, parts, k)
    folds: dict[int, dict[str, ListedSplit]] = {}
    for fold in range(1, k + 1):
        folds[fold] = {
            i: "evaluation" if i not in pool else "test" if parts[location_of(clips[i])] == fold else "train"
            for i in clips
            if i in pool or i in others
        }
    n_nowhere = sum(clip.location is None for clip in labelled)
    remarks = []
    if n_nowhere:
        remarks.append(
            f"{n_nowhere:,} of {len(labelled):,} clips have no location: the {k} folds split these by clip, so "
            "recordings of one location may be in both training and test. If locations are known, name their column "
            "with prepare.corpus.location_column, or put the recordings of each location into a folder below their "
            "class"
        )
    return folds, remarks


def assign_parts(clips: Iterable[Clip], k: int, seed: int) -> dict[str, int]:
    """Return the part 1…k of each location.

    Scene by scene (rarest first) and city by city, each location goes to the part with the fewest locations of its
    scene, then the fewest of its scene and city, then the fewest clips. If each location has one scene, the numbers of
    locations per scene differ by at most one between parts. Ties and the order are resolved by a hash of seed and
    location, independent of the order of the lists and of random number libraries.
    """
    cities: dict[str, str] = {}
    n_clips: Counter[str] = Counter()
    scenes_at: dict[str, set[str]] = defaultdict(set)
    locations_of: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        location, scene = location_of(clip), clip.scene or ""
        cities[location] = min(cities.get(location, clip.city or ""), clip.city or "")
        n_clips[location] += 1
        scenes_at[location].add(scene)
        locations_of[scene].add(location)

    def draw(text: str) -> str:
        """Return a sort key that depends only on the seed and `text`."""
        return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()

    by_scene: Counter[tuple[int, str]] = Counter()
    by_city: Counter[tuple[int, str, str]] = Counter()
    sizes: Counter[int] = Counter()
    parts: dict[str, int] = {}
    for scene in sorted(locations_of, key=lambda name: (len(locations_of[name]), name)):
        order = sorted(locations_of[scene], key=lambda at: (draw(cities[at]), cities[at], -n_clips[at], draw(at)))
        for location in order:
            if location in parts:
                continue
            city = cities[location]
            part = min(
                range(1, k + 1),
                key=lambda p: (by_scene[p, scene], by_city[p, scene, city], sizes[p], draw(f"{p}:{location}")),
            )
            parts[location] = part
            sizes[part] += n_clips[location]
            for other in scenes_at[location]:
                by_scene[part, other] += 1
                by_city[part, other, city] += 1
    return parts


def _validate(clips: Iterable[Clip], parts: Mapping[str, int], k: int) -> None:
    if len(set(parts.values())) < k:
        raise DataError(
            f"{k} folds by location need at least {k} locations; the labelled clips have {len(parts)}. Lower "
            "prepare.corpus.k_folds, or list the folds in files."
        )
    held: dict[str, set[int]] = defaultdict(set)
    for clip in clips:
        held[str(clip.scene)].add(parts[location_of(clip)])
    for scene, where in sorted(held.items()):
        if len(where) == 1:
            raise DataError(
                f"scene {scene!r} has a single location, so the fold that tests it has no training clip of it: folds "
                "by location need at least two. Add recordings from another location, or list the folds in files."
            )
