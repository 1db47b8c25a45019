"""k folds by location."""

from collections import Counter, defaultdict

import pytest
from data_prep_support import Row, scene_rows
from hypothesis import given
from hypothesis import strategies as st

from data_prep.config import CorpusConfig, ValidationSpec
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import Clip, location_of
from data_prep.corpora.kfold import assign_parts
from data_prep.corpora.splits import assign_splits
from data_prep.errors import DataError


def clip(scene: str, location: str | None, number: int = 0, city: str | None = None) -> Clip:
    name = f"{scene}-{location}-{number}"
    return Clip(name, f"{name}.wav", scene, "a", city, location, None)


@st.composite
def clip_lists(draw) -> list[Clip]:
    """Clips of up to four scenes with up to 14 places each, in three cities, one to three clips a place."""
    clips = []
    for scene in "ABCD"[: draw(st.integers(1, 4))]:
        for place in range(draw(st.integers(5, 14))):
            city = f"city{draw(st.integers(0, 2))}"
            clips += [clip(scene, f"{scene}{place}", i, city) for i in range(draw(st.integers(1, 3)))]
    return clips


@given(clip_lists(), st.integers(2, 5), st.integers(0, 50))
def test_scenes_and_cities_are_spread_evenly(clips, k, seed):
    """Per scene, and per scene and city, the parts' numbers of locations differ by at most one; every part has each."""
    parts = assign_parts(clips, k, seed)
    places = {(c.scene, c.city, c.location) for c in clips}
    by_scene, by_city = defaultdict(Counter), defaultdict(Counter)
    for scene, city, location in places:
        by_scene[scene][parts[location]] += 1
        by_city[scene, city][parts[location]] += 1
    for counts in (*by_scene.values(), *by_city.values()):
        held = [counts[part] for part in range(1, k + 1)]
        assert max(held) - min(held) <= 1


@given(clip_lists(), st.integers(2, 5), st.integers(0, 50), st.randoms())
def test_folds_do_not_depend_on_the_order_of_the_list(clips, k, seed, random):
    """A shuffled list is cut alike."""
    shuffled = list(clips)
    random.shuffle(shuffled)
    assert assign_parts(clips, k, seed) == assign_parts(shuffled, k, seed)


def test_another_seed_cuts_elsewhere():
    """Seeds 0, 1, 2 give three cuts of 30 places."""
    clips = [clip("A", f"place{i}") for i in range(30)]
    assert len({tuple(sorted(assign_parts(clips, 5, seed).items())) for seed in range(3)}) == 3


def test_folds_of_a_data_set_that_lists_its_own(make_corpus):
    """With k_folds=3 listed folds give way: each labelled clip is tested once, no location is on both sides."""
    root = make_corpus(scene_rows(n_train=6, n_test=3))
    corpus = read_corpus(root, CorpusConfig(k_folds=3))
    assert sorted(corpus.folds) == [1, 2, 3]
    assert corpus.warnings == ()
    clips = {c.clip_id: c for c in corpus.clips}
    tested = [i for splits in corpus.folds.values() for i, split in splits.items() if split == "test"]
    assert sorted(tested) == sorted(clips)
    for fold, splits in assign_splits(corpus, ValidationSpec()).items():
        sides = defaultdict(set)
        for clip_id, split in splits.items():
            sides[location_of(clips[clip_id])].add(split)
        assert all(len(side) == 1 for side in sides.values()), fold
        assert set(splits.values()) == {"train", "validation", "test"}


def test_clips_without_location_are_divided_one_by_one_with_a_warning(tmp_path, make_corpus):
    """Where no location is known, folds are cut by clip, and it is said what that may mean."""
    rows = [Row(f"audio/{scene}{i}.wav", scene, "train", "") for scene in ("dog", "rain") for i in range(6)]
    corpus = read_corpus(make_corpus(rows), CorpusConfig(k_folds=3))
    assert [Counter(splits.values())["test"] for splits in corpus.folds.values()] == [4, 4, 4]
    assert "12 of 12 clips have no location: the 3 folds split these by clip" in corpus.warnings[0]


def test_folds_that_cannot_be_cut_are_refused(make_corpus):
    """Fewer locations than folds, or a scene with a single location: the message names number and way out."""
    with pytest.raises(DataError, match="20 folds by location need at least 20 locations; the labelled clips have 12"):
        read_corpus(make_corpus(), CorpusConfig(k_folds=20))
    rows = [*scene_rows(), Row("audio/tram-lisbon-900-0-a.wav", "tram", "train", "lisbon-900")]
    with pytest.raises(DataError, match="scene 'tram' has a single location"):
        read_corpus(make_corpus(rows, name="single"), CorpusConfig(k_folds=3))


def test_devices_that_recorded_a_moment_stay_together():
    """Without locations, the clips of a segment are in one part."""
    clips = [Clip(f"{n}-{d}", f"{n}-{d}.wav", "A", d, None, None, f"s{n}") for n in range(10) for d in "abc"]
    parts = assign_parts(clips, 5, 0)
    assert {location_of(c) for c in clips} == parts.keys() == {f"segment:s{n}" for n in range(10)}
