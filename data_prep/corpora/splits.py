"""The validation split: whole training locations of a fold, stratified by scene and city."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from data_prep.config import ValidationSpec
from data_prep.corpora.corpus import Clip, Corpus, location_of
from data_prep.wording import shortened

Split = Literal["train", "validation", "test", "evaluation"]
SPLITS: tuple[Split, ...] = get_args(Split)


def assign_splits(corpus: Corpus, spec: ValidationSpec) -> dict[int, dict[str, Split]]:
    """Return the split of each clip in each fold: {fold: {clip_id: split}}.

    Folds that list validation clips keep them; in the others, validation is cut from training. Training clips of
    held-out devices are in no split of the fold.
    """
    clips = {clip.clip_id: clip for clip in corpus.clips}
    folds: dict[int, dict[str, Split]] = {}
    for fold, listed in corpus.folds.items():
        training = [clips[clip_id] for clip_id, name in listed.items() if name == "train"]
        own = "validation" in listed.values()
        chosen = frozenset() if own else validation_locations(training, spec, fold)
        folds[fold] = {}
        for clip_id, name in listed.items():
            split: Split = "validation" if name == "train" and location_of(clips[clip_id]) in chosen else name
            if split != "train" or clips[clip_id].device not in spec.holdout_devices:
                folds[fold][clip_id] = split
    return folds


def holdout_problem(corpus: Corpus, spec: ValidationSpec) -> str | None:
    """Return a message if a held-out device recorded no clip of a data set with training lists, else None."""
    known = sorted({clip.device for clip in corpus.clips})
    unknown = [device for device in spec.holdout_devices if device not in known]
    if not unknown or not any("train" in listed.values() for listed in corpus.folds.values()):
        return None  # an evaluation set is prepared with the configuration of the training set
    return (
        f"{corpus.root}: prepare.validation.holdout_devices must be devices of the data set; it has no clip of "
        f"{', '.join(map(repr, unknown))}. Its devices: {shortened(', '.join(known), 300)}. Correct the names, or "
        "remove them."
    )


def validation_locations(clips: Iterable[Clip], spec: ValidationSpec, fold: int) -> frozenset[str]:
    """Return the locations of a training list that are held out for validation.

    The share `spec.fraction` of each scene's locations is taken (rounded), spread over its cities: at least one if the
    scene has two or more, and never its last training location. Locations are ordered by a hash of seed, fold and
    location, independent of the order of the list and of random number libraries.

    A location with several scenes counts for each of them. If sharing leaves a scene without a location to hold out,
    the scene stays in training and is missing from validation.
    """
    cities: dict[str, str] = {}
    scenes_at: dict[str, set[str]] = defaultdict(set)
    locations_of: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        location, scene = location_of(clip), clip.scene or ""
        cities.setdefault(location, clip.city or "")
        scenes_at[location].add(scene)
        locations_of[scene].add(location)
    chosen: set[str] = set()
    for scene in sorted(locations_of, key=lambda name: (len(locations_of[name]), name)):
        locations = locations_of[scene]
        n_wanted = min(max(1, int(spec.fraction * len(locations) + 0.5)), len(locations) - 1)
        for location in _spread_order(locations, cities, f"{spec.seed}:{fold}"):
            if len(locations & chosen) >= n_wanted:
                break
            if all(locations_of[other] - chosen - {location} for other in scenes_at[location]):
                chosen.add(location)
    return frozenset(chosen)


def _spread_order(locations: set[str], cities: Mapping[str, str], salt: str) -> list[str]:
    """Return the locations in an order in which every prefix is spread over the cities in proportion."""

    def draw(text: str) -> str:
        """Return a sort key that depends only on the salt and `text`."""
        return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()

    by_city: dict[str, list[str]] = defaultdict(list)
    for location in sorted(locations, key=draw):
        by_city[cities[location]].append(location)
    rank_in_city = {
        location: (rank + 0.5) / len(members) for members in by_city.values() for rank, location in enumerate(members)
    }
    return sorted(locations, key=lambda location: (rank_in_city[location], draw(location)))
