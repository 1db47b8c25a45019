"""The validation cut."""

from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from data_prep.config import ValidationSpec
from data_prep.corpora.corpus import Clip, Corpus, location_of
from data_prep.corpora.splits import assign_splits, holdout_problem, validation_locations


def clip(scene: str, location: str | None, number: int = 0, city: str | None = None, device: str = "a") -> Clip:
    name = f"{scene}-{location}-{number}-{device}"
    return Clip(name, f"audio/{name}.wav", scene, device, city, location, str(number))


def corpus(clips: list[Clip], **folds) -> Corpus:
    listed = folds or {"1": {c.clip_id: "train" for c in clips}}
    return Corpus("made", Path("made"), ("x",), tuple(clips), {int(k): v for k, v in listed.items()}, 0, ())


@st.composite
def training_lists(draw, shared: bool) -> list[Clip]:
    """Clips of up to five scenes; a location belongs to one scene, or with `shared` to any."""
    clips = []
    for scene in draw(st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=5, unique=True)):
        for place in draw(st.lists(st.integers(0, 12), min_size=1, max_size=9, unique=True)):
            location = f"place{place}" if shared else f"{scene}{place}"
            n_clips = draw(st.integers(1, 3))
            clips += [clip(scene, location, i, city=f"city{place % 3}") for i in range(n_clips)]
    return clips


fractions = st.floats(0.01, 0.89)


@given(training_lists(shared=False), fractions, st.integers(0, 99), st.integers(1, 5))
def test_every_scene_keeps_training_and_gets_validation(clips, fraction, seed, fold):
    """Each scene gives its rounded share of locations, at least one of two, and never its last."""
    chosen = validation_locations(clips, ValidationSpec(fraction=fraction, seed=seed), fold)
    places = defaultdict(set)
    for c in clips:
        places[c.scene].add(c.location)
    for locations in places.values():
        n = len(locations)
        expected = min(max(1, int(fraction * n + 0.5)), n - 1)
        assert len(locations & chosen) == expected


@given(training_lists(shared=True), fractions, st.integers(0, 99))
def test_shared_locations_never_cost_a_scene_its_training(clips, fraction, seed):
    """Where locations have several scenes, still every scene keeps one in training, and no location is divided."""
    splits = assign_splits(corpus(clips), ValidationSpec(fraction=fraction, seed=seed))[1]
    sides = defaultdict(set)
    for c in clips:
        sides[c.location].add(splits[c.clip_id])
    assert all(len(side) == 1 for side in sides.values())
    assert {c.scene for c in clips if splits[c.clip_id] == "train"} == {c.scene for c in clips}


@given(training_lists(shared=True), st.integers(0, 99), st.randoms())
def test_the_cut_does_not_depend_on_the_order_of_the_list(clips, seed, random):
    """A shuffled list is cut at the same locations."""
    shuffled = list(clips)
    random.shuffle(shuffled)
    spec = ValidationSpec(seed=seed)
    # A location's city is that of its first clip; here it follows from the location, as in real data.
    assert validation_locations(clips, spec, 1) == validation_locations(shuffled, spec, 1)


def test_the_cut_is_spread_over_cities():
    """Of 12 locations in 4 cities a third are 4, one in each city, for each scene and seed."""
    clips = [clip(scene, f"{city}-{scene}{i}", city=city) for scene in "AB" for city in "wxyz" for i in range(3)]
    for seed in range(5):
        chosen = validation_locations(clips, ValidationSpec(fraction=1 / 3, seed=seed), 1)
        found = Counter((c.scene, c.city) for c in clips if c.location in chosen)
        assert found == Counter({(scene, city): 1 for scene in "AB" for city in "wxyz"})


def test_a_large_city_gives_more():
    """A city with 8 of 10 locations gives 4 of 5, the other its 1."""
    clips = [clip("A", f"{city}{i}", city=city) for city, n in (("big", 8), ("small", 2)) for i in range(n)]
    chosen = validation_locations(clips, ValidationSpec(fraction=0.5), 1)
    assert Counter(location[:3] for location in chosen) == {"big": 4, "sma": 1}


def test_seed_and_fold_change_the_draw():
    """Other seeds and other folds cut elsewhere; the same ones cut the same."""
    clips = [clip("A", f"place{i}") for i in range(30)]
    draws = {validation_locations(clips, ValidationSpec(seed=seed), fold) for seed in range(3) for fold in (1, 2)}
    assert len(draws) == 6
    assert validation_locations(clips, ValidationSpec(seed=1), 2) in draws


def test_every_location_can_be_drawn():
    """Over many seeds each location is drawn about equally often: the hash prefers none."""
    clips = [clip("A", f"place{i}") for i in range(10)]
    counts = Counter(
        place for seed in range(500) for place in validation_locations(clips, ValidationSpec(seed=seed), 1)
    )
    assert sum(counts.values()) == 1000  # 2 of 10, 500 times
    assert all(60 < counts[f"place{i}"] < 140 for i in range(10))  # 100 ± 4 standard deviations (9.5)


def test_held_out_devices_leave_training_but_not_validation():
    """A held-out device is in no training split; in validation locations its clips stay."""
    clips = [clip("A", f"place{i}", device=device) for i in range(10) for device in ("a", "s1")]
    splits = assign_splits(corpus(clips), ValidationSpec(holdout_devices=("s1",)))[1]
    found = Counter((c.device, splits.get(c.clip_id)) for c in clips)
    assert found == {("a", "train"): 8, ("a", "validation"): 2, ("s1", "validation"): 2, ("s1", None): 8}


def test_only_the_training_list_is_cut():
    """Test and evaluation clips keep their split, whatever their location; every fold has a cut of its own."""
    clips = [clip("A", f"place{i}", n) for i in range(6) for n in range(2)]
    listed = {c.clip_id: ("train" if i < 8 else "test" if i < 10 else "evaluation") for i, c in enumerate(clips)}
    other = {c.clip_id: "train" for c in clips}
    folds = assign_splits(corpus(clips, **{"1": listed, "2": other}), ValidationSpec(fraction=0.5))
    assert {i: s for i, s in folds[1].items() if listed[i] != "train"} == {
        i: s for i, s in listed.items() if s != "train"
    }
    assert Counter(folds[1].values()) == {"train": 4, "validation": 4, "test": 2, "evaluation": 2}
    assert Counter(folds[2].values()) == {"train": 6, "validation": 6}


def test_a_clip_without_location_stands_for_itself():
    """Clips of unknown location are cut one by one, and never meet a location of the same name."""
    clips = [clip("A", None, i) for i in range(10)]
    chosen = validation_locations(clips, ValidationSpec(), 1)
    assert len(chosen) == 2
    assert chosen <= {location_of(c) for c in clips}
    assert len({location_of(c) for c in clips}) == 10


def test_held_out_devices_that_do_not_occur_are_named():
    """A wrong name is a message with the known devices; an evaluation set may lack them."""
    clips = [clip("A", f"l{i}", i, device=device) for i, device in enumerate(("a", "s1", "s1"))]
    message = holdout_problem(corpus(clips), ValidationSpec(holdout_devices=("S1", "a")))
    assert message is not None
    assert "it has no clip of 'S1'. Its devices: a, s1." in message
    assert holdout_problem(corpus(clips), ValidationSpec(holdout_devices=("s1",))) is None
    unlisted = corpus(clips, **{"1": {c.clip_id: "evaluation" for c in clips}})
    assert holdout_problem(unlisted, ValidationSpec(holdout_devices=("S1",))) is None
