"""A network's trace is what it does: blind to settings without effect, and a measure of how far networks are apart."""

from __future__ import annotations

import pytest
from asc_models_support import SMALL_MODEL, model_configs
from hypothesis import given, settings

from asc_models.networks.families import ModelConfig
from asc_models.networks.presets import PRESETS, preset
from asc_models.networks.trace import distance, trace

SHAPE = (64, 100, 3)


def traced(config):
    return trace(config, SHAPE, 10)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"attention": "none", "reduction_ratio": 4}, {"attention": "none", "reduction_ratio": 8}),
        ({"attention": "channel", "spatial_kernel_size": 3}, {"attention": "channel", "spatial_kernel_size": 7}),
        ({"attention": "channel", "reduction_ratio": 8}, {"attention": "channel", "reduction_ratio": 32}),
        ({"stem_stride": 2}, {"stem_stride": (2, 2)}),
    ],
)
def test_settings_without_effect_leave_no_trace(first, second):
    """A ratio without attention, one hidden unit by two ratios, a stride written twice: one network."""
    assert traced(SMALL_MODEL.updated(**first)) == traced(SMALL_MODEL.updated(**second))


@pytest.mark.parametrize(
    "change",
    [
        {"dropout": 0.3},
        {"kernel_size": 5},
        {"activation": "relu6"},
        {"head": "max"},
        {"attention": "none"},
        {"normalization": "none"},
        {"stem_stride": (2, 1)},
        {"input_norm": True},
    ],
)
def test_settings_with_effect_do(change):
    """Each of these makes another network, though some change no size."""
    before = traced(SMALL_MODEL)
    after = traced(SMALL_MODEL.updated(**change))
    assert after != before
    assert distance(before, after) > 0


@settings(max_examples=15, deadline=None)
@given(first=model_configs(), second=model_configs())
def test_distance_is_symmetric_and_zero_only_for_one_network(first: ModelConfig, second: ModelConfig):
    """d(a, b) = d(b, a), d(a, a) = 0, and 0 means equal traces."""
    one, other = traced(first), traced(second)
    assert distance(one, one) == 0
    assert distance(one, other) == pytest.approx(distance(other, one))
    assert (distance(one, other) == 0) == (one == other)


def test_the_reports_systems_are_apart_as_they_differ():
    """Systems 1 and 2 are one network; the third differs in kernels, the fourth in a whole block more."""
    systems = {name: trace(preset(name), (128, 423, 3), 10) for name in PRESETS if name.startswith("cao")}
    first = systems["cao2021-system1"]
    by_distance = [distance(first, systems[f"cao2021-system{number}"]) for number in (1, 2, 3, 4)]
    assert by_distance[:2] == [0, 0]
    assert 0 < by_distance[2] < by_distance[3]
