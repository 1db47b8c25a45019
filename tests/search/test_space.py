import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asc_models.estimate import estimate
from data_prep.errors import ConfigError
from data_prep.schema import parse_config
from search.space import Space, params_to_model
from search.sweep_config import SpaceConfig

SPACE = Space(SpaceConfig(stem_stride=(2, (2, 1))))
points = st.integers(0, SPACE.size - 1).map(SPACE.point)


def weight_bytes(params):
    return estimate(params_to_model(params), (128, 423, 3), 10).weight_bytes["int8_weights"]


@given(points)
def test_params_survive_encoding_and_json(params):
    """A point is the same after the sampler's encoding and after the ledger's JSON, stride pairs included."""
    assert SPACE.decode(SPACE.encode(params)) == params
    assert SPACE.parse(json.loads(json.dumps(params))) == params


@given(points)
def test_every_point_is_a_network(params):
    """Each point of the space describes a network with the blocks, widths and strides that its knobs say."""
    model = params_to_model(params)
    assert len(model.stages) == params["n_blocks"]
    assert model.stages[0].filters == params["base_filters"]
    assert all(block.filters % 8 == 0 for block in model.stages)
    assert sum(block.stride == 2 for block in model.stages) == min(params["n_strided"], params["n_blocks"])


@given(points)
def test_going_down_never_adds_bytes_and_ends_at_the_smallest_corner(params):
    """Every step down weighs no more than where it came from, and the way down ends at the smallest point."""
    n_steps = 0
    while steps := SPACE.smaller(params):
        before = weight_bytes(params)
        assert all(weight_bytes(step) <= before for step in steps)
        params, n_steps = steps[-1], n_steps + 1
        assert n_steps < 100
    assert {**params, "dropout": 0.0} == SPACE.smallest()


@given(points)
def test_no_point_is_smaller_than_the_smallest_corner(params):
    """`smallest()` has the fewest weight bytes in the space."""
    assert weight_bytes(SPACE.smallest()) <= weight_bytes(params)


def test_knobs_without_effect_make_no_new_network():
    """Without channel attention the reduction ratio has no effect, and the networks' descriptions are equal."""
    params = {**SPACE.smallest(), "attention": "spatial"}
    ratios = SPACE.choices["reduction_ratio"]
    assert len({params_to_model({**params, "reduction_ratio": ratio}).hash() for ratio in ratios}) == 1
    params["attention"] = "casam"
    assert len({params_to_model({**params, "reduction_ratio": ratio}).hash() for ratio in ratios}) == len(ratios)


def test_a_point_outside_the_space_is_none():
    """A value that the space no longer holds, or a knob too few, is no point of it."""
    params = SPACE.smallest()
    assert SPACE.parse({**params, "n_blocks": 17}) is None
    assert SPACE.parse({knob: value for knob, value in params.items() if knob != "growth"}) is None


def test_a_fixed_knob_is_hidden_from_the_sampler():
    """A knob with one choice, given as a bare value, is no dimension of the study but stays in the params."""
    space = Space(SpaceConfig(n_blocks=4, attention="casam"))
    assert not {"n_blocks", "attention"} & set(space.distributions())
    assert space.decode(space.encode(space.smallest()))["n_blocks"] == 4


def test_choices_are_ordered_for_the_sampler():
    """Numeric choices are sorted, so that neighbours for the sampler are neighbours in fact."""
    assert SpaceConfig(base_filters=(48, 16, 32)).base_filters == (16, 32, 48)
    assert SpaceConfig(stem_stride=((2, 2), 1, (1, 2))).stem_stride == (1, (1, 2), (2, 2))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"n_blocks": []}, "n_blocks: needs one choice at least"),
        ({"expansion": [2, 2]}, "expansion: names a choice twice"),
        ({"kernel_size": [4]}, "kernel_size.0"),
        ({"base_filters": [512], "growth": [2.0], "n_blocks": [6]}, "16384 filters, at most 1024"),
        ({"stem_stride": [[2, 9]]}, "a stride must be 1 to 4"),
        ({"n_block": [3]}, "did you mean 'n_blocks'?"),
    ],
)
def test_a_space_that_cannot_be_is_refused_by_key(section, message):
    """A space with a mistake is refused with the key and the rule."""
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        parse_config(SpaceConfig, section, "space")
