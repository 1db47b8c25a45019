"""A trial's reader is that of its point: what it is trained with, what it costs, and what it is told apart by."""

from __future__ import annotations

import dataclasses

from search_support import SPEC, settings

from search.space.config import SpaceConfig
from search.study.settings import candidate_sizing, make_space, trial_description

KNOBS = {"n_blocks": 1, "base_filters": 8, "n_strided": 1, "growth": 1.0, "dropout": 0.0, "attention": "none"}


def searched(**knobs: object):
    """Return the settings of a search over these knobs of the reader, whose own reader has no deltas."""
    space = SpaceConfig.model_validate({**KNOBS, **{f"reader.{name}": spec for name, spec in knobs.items()}})
    return dataclasses.replace(settings(), space=space)


def test_a_trial_has_the_reader_of_its_point():
    """Its configuration holds the whole reader, its key tells readers apart; without knobs it is the run's."""
    config = searched(deltas=[0, 2], scaling=["minmax", "standardize"])
    space = make_space(config.space, config.reader, SPEC, 3)
    described = [trial_description(config, "d", params) for params in space.points()]
    readers = {(one["reader"]["deltas"], one["reader"]["scaling"]) for _, one in described}
    assert len(readers) == 4
    assert len({key for key, _ in described}) == len(described)
    plain = settings()
    params = make_space(plain.space, plain.reader, SPEC, 3).smallest()
    assert trial_description(plain, "d", params)[1]["reader"] == plain.reader.canonical()


def test_size_and_cost_are_those_of_the_input_that_the_reader_makes():
    """More deltas are more input channels; windows are fewer frames, and MACs for each of them."""
    config = searched(deltas=[0, 2])
    none, two = (candidate_sizing(config, SPEC, 3, {**smallest(config), "reader.deltas": deltas}) for deltas in (0, 2))
    assert none.weight_bytes < two.weight_bytes
    assert none.macs < two.macs
    windowed = searched(scaling="none", window_seconds=[0.4], n_windows=[1, 4])
    one, four = (candidate_sizing(windowed, SPEC, 3, {**smallest(windowed), "reader.n_windows": n}) for n in (1, 4))
    assert four.macs == 4 * one.macs
    assert four.weight_bytes == one.weight_bytes


def test_windows_that_do_not_fit_the_clips_are_not_trained():
    """A window longer than a clip is no candidate, with the reason; the space's smallest is one that is."""
    config = searched(scaling="none", window_seconds=[0.4, 5.0])
    sizing = candidate_sizing(config, SPEC, 3, {**smallest(config), "reader.window_seconds": 5.0})
    assert not sizing.feasible
    assert "reader.window_seconds: 5 s are" in sizing.reason
    assert smallest(config)["reader.window_seconds"] == 0.4


def smallest(config):
    return make_space(config.space, config.reader, SPEC, 3).smallest()
