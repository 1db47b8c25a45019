import math
from functools import partial

import numpy as np
import pytest
from search_support import LIMIT, SPACE, SPEC
from search_support import settings as asked_for

from asc_models.rules import RulesConfig
from search.space.config import SpaceConfig
from search.space.space import Space
from search.space.survey import survey
from search.study.settings import candidate_sizing

SHAPE, N_CLASSES = (16, 32, 1), 3


def parts(space=SPACE, limit=LIMIT):
    from dataclasses import replace

    rules = RulesConfig(name="custom", limits={"weight_bytes": limit})
    config = replace(asked_for(), space=space, rules=rules)
    return Space(space, SHAPE, N_CLASSES), partial(candidate_sizing, config, SPEC, N_CLASSES)


def test_a_small_space_is_gone_through():
    """Size, share, different candidates and both ends of a small space are those of a list of all its points."""
    space, assess = parts()
    found = survey(space, assess)
    sizings = [assess(params) for params in space.points()]
    fits = [sizing.weight_bytes for sizing in sizings if sizing.feasible]
    assert 0 < len(fits) < len(sizings)
    assert found.is_exact
    assert (found.n_points, found.n_feasible) == (len(sizings), len(fits))
    assert found.share == len(fits) / len(sizings)
    assert found.interval == (found.share, found.share)
    assert (found.smallest.sizing.weight_bytes, found.largest.sizing.weight_bytes) == (min(fits), max(fits))
    assert found.n_candidates == len({space.settings(params).model.hash() for params in space.points()})
    assert assess(found.largest.params) == found.largest.sizing


def test_equal_candidates_count_once():
    """Points that stand for one network, by rounding or strides without blocks, are one candidate."""
    config = SpaceConfig(
        stem_filters=8, n_blocks=1, base_filters=8, growth=(1.0, 1.5), n_strided=(1, 2), attention="none", dropout=0.0,
        kernel_size=3, expansion=2,
    )  # fmt: skip
    found = survey(*parts(config, 10_000))
    assert (found.n_points, found.n_candidates, found.n_feasible_candidates) == (4, 1, 1)


def test_readers_make_different_candidates():
    """One network that reads the features in two ways is two candidates: a search trains both."""
    section = {**SPACE.model_dump(), "reader.scaling": ("minmax", "none")}
    space, assess = parts(SpaceConfig.model_validate(section), 100_000)
    same = survey(*parts(SPACE, 100_000))
    found = survey(space, assess)
    assert found.n_points == 2 * same.n_points
    assert found.n_candidates == 2 * same.n_candidates


def test_a_sample_tells_the_share_with_its_interval():
    """Of a larger space a sample is drawn: the true share lies in its interval, and the ends are the space's own."""
    space, assess = parts(SpaceConfig(), 60_000)
    small = survey(space, assess, max_exact=100, n_sample=1500)
    assert not small.is_exact
    assert (small.n_points, small.n_seen, small.n_candidates) == (55_296, 1500, None)
    low, high = small.interval
    rng = np.random.default_rng(99)
    other = np.mean([assess(space.draw(rng)).feasible for _ in range(1500)])
    assert low < small.share < high
    assert high - low < 0.06
    assert low - 0.03 < other < high + 0.03
    assert small.smallest.params == space.smallest()
    beside = [assess(params) for params in space.neighbours(small.largest.params)]
    assert small.largest.sizing.weight_bytes <= 60_000
    assert all(s.weight_bytes <= small.largest.sizing.weight_bytes for s in beside if s.feasible)


def test_a_space_without_end_is_sampled():
    """With a range there is no number of points, and the share is that of a sample."""
    section = {**SPACE.model_dump(), "train.learning_rate": {"low": 0.03, "high": 0.3, "log": True}}
    found = survey(*parts(SpaceConfig.model_validate(section)), n_sample=300)
    assert (found.n_points, found.n_seen, found.is_exact) == (None, 300, False)
    assert 0 < found.share < 1
    assert not math.isnan(sum(found.interval))


def test_a_space_that_does_not_fit_has_no_ends():
    """Where nothing fits there is no smallest and no largest that does."""
    found = survey(*parts(limit=100))
    assert (found.n_feasible, found.smallest, found.largest) == (0, None, None)
    assert survey(*parts(limit=100), max_exact=1, n_sample=20).smallest is None


def test_progress_is_told():
    """The survey tells how far it is, up to the number of points."""
    told = []
    space, assess = parts(SpaceConfig(), 60_000)
    survey(space, assess, max_exact=1, n_sample=1200, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(500, 1200), (1000, 1200)]


@pytest.mark.parametrize(("n_feasible", "n_seen"), [(0, 50), (25, 50), (50, 50)])
def test_intervals_are_wilsons(n_feasible, n_seen):
    """The interval is Wilson's: for 25 of 50 it is 0.3664 to 0.6336, and it never leaves 0 to 1 (Newcombe 1998)."""
    from search.space.survey import Survey

    low, high = Survey(None, n_seen, None, n_feasible, None, None, None).interval
    expected = {0: (0.0, 0.0714), 25: (0.3664, 0.6336), 50: (0.9286, 1.0)}[n_feasible]
    assert (low, high) == pytest.approx(expected, abs=1e-3)
