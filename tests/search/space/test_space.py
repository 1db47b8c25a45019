import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from process_support import ROOT

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from search.space.config import SpaceConfig
from search.space.space import Space

SPACE = Space(SpaceConfig.model_validate({"stem_stride": [2, [2, 1]]}))
points = st.integers(0, SPACE.size - 1).map(SPACE.point)

WIDE = Space(
    SpaceConfig.model_validate(
        {
            "attention": ["none", "spatial", "casam"],
            "attention_at": ["block", "stage"],
            "spatial_kernel_size": [3, 7],
            "stages": [[{"filters": 16}, {"filters": 16}], [{"filters": 16}, {"filters": 16, "repeats": 2}]],
            "stages.0.filters": [8, 16, 24],
            "stages.1.filters": [8, 16, 32],
            "monotone": [["stages.0.filters", "stages.1.filters"]],
            "train.learning_rate": {"low": 0.03, "high": 0.3, "log": True},
            "train.mixup_alpha": [0.0, 0.4],
            "train.balance": {"choices": ["none", "class"], "when": {"train.mixup_alpha": 0.4}},
            "train.time_roll": [False, True],
            "mode": ["int8_weights", "int4_int8_weights"],
        }
    )
)
"""A space with everything: whole stages and parts of them, conditions on conditions, a range, flags, a rising list."""
seeds = st.integers(0, 2**32 - 1)
wide_points = seeds.map(lambda seed: WIDE.draw(np.random.default_rng(seed)))

CP_MOBILE = Space(SpaceConfig.model_validate({"family": "cp_mobile", "strides.2": [1, [2, 2]], "n_blocks.0": [2, 3]}))


def finite(**changes):
    """Return a small space with conditions and a rising list, without ranges."""
    section = {
        "stem_filters": [8, 16], "kernel_size": 3, "expansion": [1, 2], "dropout": 0.0,
        "attention": ["none", "channel", "casam"], "reduction_ratio": [4, 8], "attention_at": ["block", "stage"],
        "stages.0.filters": [8, 16, 24], "stages.1.filters": [8, 16, 32], "stages.2.filters": [16, 24],
        "monotone": [["stages.0.filters", "stages.1.filters", "stages.2.filters"]],
    }  # fmt: skip
    return Space(SpaceConfig.model_validate({**section, **changes}))


def weight_bytes(params, space=SPACE):
    candidate = space.settings(params)
    return estimate(candidate.model, (128, 423, 3), 10).weight_bytes_as(candidate.mode or "int8_weights")


@pytest.mark.parametrize("drawn", [(SPACE, points), (WIDE, wide_points)], ids=["default", "wide"])
def test_params_survive_encoding_and_json(drawn):
    """A point is the same after the sampler's encoding and after the ledger's JSON, pairs and lists included."""
    space, source = drawn

    @settings(deadline=None)
    @given(source)
    def check(params):
        assert space.decode(space.encode(params)) == params
        assert space.parse(json.loads(json.dumps(params))) == params

    check()


@settings(deadline=None)
@given(points)
def test_every_point_is_a_network(params):
    """Each point of the space describes a network with the blocks, widths and strides that its knobs say."""
    model = SPACE.settings(params).model
    assert len(model.stages) == params["n_blocks"]
    assert model.stages[0].filters == params["base_filters"]
    assert all(block.filters % 8 == 0 for block in model.stages)
    assert [block.filters for block in model.stages] == sorted(block.filters for block in model.stages)
    assert sum(block.stride == 2 for block in model.stages) == min(params["n_strided"], params["n_blocks"])


@settings(deadline=None)
@given(wide_points)
def test_every_knob_reaches_what_it_is_called_after(params):
    """Fields of the network, parts of its stages, fields of the recipe and the export are what the point says."""
    candidate = WIDE.settings(params)
    assert (candidate.model.attention, candidate.mode) == (params["attention"], params["mode"])
    assert [stage.filters for stage in candidate.model.stages] == [
        params["stages.0.filters"],
        params["stages.1.filters"],
    ]
    assert [stage.repeats for stage in candidate.model.stages] == [
        stage.get("repeats", 1) for stage in params["stages"]
    ]
    train = TrainConfig().updated(**candidate.train_overrides)
    assert (train.learning_rate, train.time_roll) == (params["train.learning_rate"], params["train.time_roll"])
    assert 0.03 <= train.learning_rate <= 0.3
    assert params["stages.0.filters"] <= params["stages.1.filters"]
    assert ("attention_at" in params) == ("spatial_kernel_size" in params) == (params["attention"] != "none")
    assert ("train.balance" in params) == (params["train.mixup_alpha"] == 0.4)


@settings(deadline=None)
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


@settings(max_examples=30, deadline=None)
@given(wide_points)
def test_going_down_ends_in_any_space(params):
    """With ranges, whole stages, exports and rising lists too: steps are points, and lead to the smallest size."""
    n_steps = 0
    while steps := WIDE.smaller(params):
        assert all(WIDE.parse(step) == step for step in steps)
        eight = WIDE.parse({**params, "mode": "int8_weights"})  # int4 leaves small kernels in int8: may weigh more
        assert all(weight_bytes(step, WIDE) <= weight_bytes(eight, WIDE) for step in WIDE.smaller(eight))
        params, n_steps = min(steps, key=lambda step: weight_bytes(step, WIDE)), n_steps + 1
        assert n_steps < 100
    assert weight_bytes(params, WIDE) == weight_bytes(WIDE.smallest(), WIDE)


@settings(deadline=None)
@given(points)
def test_no_point_is_smaller_than_the_smallest_corner(params):
    """`smallest()` has the fewest weight bytes in the space."""
    assert weight_bytes(SPACE.smallest()) <= weight_bytes(params)


def test_the_smallest_point_of_a_space_is_its_smallest():
    """Gone through one by one, a space with conditions has no point smaller than `smallest()`; a network of another
    family neither."""
    for space in (finite(), CP_MOBILE):
        assert weight_bytes(space.smallest(), space) == min(weight_bytes(params, space) for params in space.points())


def test_strides_that_the_input_does_not_carry_are_not_the_smallest():
    """Among networks of equal weight the smallest has the largest strides that the input is long enough for."""
    section = {"n_blocks": [7], "n_strided": [2, 5, 7], "base_filters": [8], "growth": [1.0]}
    assert Space(SpaceConfig(**section), (128, 423, 3)).smallest()["n_strided"] == 5
    assert Space(SpaceConfig(**section), (512, 512, 3)).smallest()["n_strided"] == 7


CONDITIONAL = {"stages.1.filters": {"choices": [8, 16, 32], "when": {"attention": ["none", "casam"]}}}
"""Changes `finite()` so that the middle of the rising list has an effect at some points only."""


def brute_force(space):
    """Return every point of `finite()`, found by going through all combinations."""
    found = set()
    choices = {name: knob.choices for name, knob in space.knobs.items()}
    conditions = {name: knob.when for name, knob in space.knobs.items()}

    def go(rest, chosen):
        if rest:
            for value in choices[rest[0]]:
                go(rest[1:], {**chosen, rest[0]: value})
            return
        here = {
            name: value
            for name, value in chosen.items()
            if all(chosen[other] in values for other, values in conditions[name].items())
        }
        widths = [here[name] for number in range(3) if (name := f"stages.{number}.filters") in here]
        if widths == sorted(widths):
            found.add(tuple(here.items()))

    go(list(choices), {})
    return found


@pytest.mark.parametrize("changes", [{}, CONDITIONAL], ids=["plain", "conditional"])
def test_size_is_the_number_of_points(changes):
    """The closed count is what going through all combinations finds, and so are the points, each once and by number."""
    space = finite(**changes)
    expected = brute_force(space)
    assert any("reduction_ratio" not in dict(point) for point in expected)
    assert space.size == len(expected)
    assert {tuple(params.items()) for params in space.points()} == expected
    assert {tuple(space.point(index).items()) for index in range(space.size)} == expected
    with pytest.raises(IndexError):
        space.point(space.size)


def test_a_space_beyond_all_lists_is_counted_and_indexed():
    """A lattice of 10²⁷ points, conditions and rising widths among them, is counted at once; its points are points."""
    section = {f"stages.{number}.filters": {"low": 8, "high": 512, "step": 8} for number in range(12)}
    section["stages"] = [[{"filters": 8}] * 12]
    section["monotone"] = [[f"stages.{number}.filters" for number in range(12)]]
    space = Space(SpaceConfig.model_validate(section))
    rising = math.comb(64 + 12 - 1, 12)
    assert space.size == rising * 3 * 2 * 3 * (1 + 3 + 1 + 3) * 2
    for index in (0, space.size // 3, space.size - 1):
        params = space.point(index)
        assert space.parse(json.loads(json.dumps(params))) == params
    drawn = space.draw(np.random.default_rng(0))
    widths = [drawn[f"stages.{number}.filters"] for number in range(12)]
    assert widths == sorted(widths)


@pytest.mark.system
def test_draws_are_uniform():
    """Every point of a small space is drawn equally often: χ² of 40,000 draws stays below its 99.9 % quantile."""
    space = finite(stem_filters=8, expansion=2)
    rng = np.random.default_rng(0)
    n_draws = 40_000
    counts: dict[tuple, int] = {}
    for _ in range(n_draws):
        key = tuple(space.draw(rng).items())
        counts[key] = counts.get(key, 0) + 1
    expected = n_draws / space.size
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    assert len(counts) == space.size
    degrees = space.size - 1
    assert statistic < degrees + 3.09 * math.sqrt(2 * degrees) + 7  # Wilson–Hilferty, rounded up


def test_a_range_has_no_end_and_is_drawn_by_ratio():
    """A space with a range says that it has no numbers; half of a logarithmic range's draws lie below its middle."""
    assert WIDE.size == math.inf
    with pytest.raises(ValueError, match=r"infinite: train\.learning_rate"):
        WIDE.point(0)
    with pytest.raises(ValueError, match="space is infinite"):
        WIDE.points()
    rng = np.random.default_rng(0)
    drawn = np.array([WIDE.draw(rng)["train.learning_rate"] for _ in range(400)])
    assert 160 < (drawn < math.sqrt(0.03 * 0.3)).sum() < 240


@given(wide_points, st.sampled_from([0.02, 0.1, 0.5, 3.0]), seeds)
def test_what_is_near_a_point_is_a_point(params, distance, seed):
    """With conditions and rising lists as well, however far it is; `params` itself is left as it was."""
    before = dict(params)
    near = WIDE.near(params, distance, np.random.default_rng(seed))
    assert WIDE.parse(near) == near
    assert params == before


def test_the_distance_says_how_far_near_is():
    """Half of the knobs move; of a range, the moves have the distance as standard deviation."""
    space = Space(SpaceConfig.model_validate({"train.learning_rate": {"low": 0.001, "high": 1.0, "log": True}}))
    middle = {**space.smallest(), "train.learning_rate": 10**-1.5}
    rng, rate = np.random.default_rng(0), space.knobs["train.learning_rate"]
    for distance in (0.01, 0.1):
        found = [space.near(middle, distance, rng) for _ in range(2000)]
        moves = np.array([rate.unit(point["train.learning_rate"]) - 0.5 for point in found])
        moved = np.abs(moves) > 1e-4
        assert moved.mean() == pytest.approx(0.5, abs=0.05)
        assert moves[moved].std() == pytest.approx(distance, rel=0.1)
    assert any(point["attention"] != middle["attention"] for point in found)


def test_neighbours_differ_in_one_knob():
    """All points one knob away and no others; knobs whose effect a new value gives or takes come and go with it."""
    space = finite()
    everything = [dict(params) for params in brute_force(space)]
    for params in everything[:: len(everything) // 20]:
        beside = space.neighbours(params)
        assert all(space.parse(point) == point for point in beside)
        assert len({json.dumps(point) for point in beside}) == len(beside)
        changed = [{name for name in params if name in point and point[name] != params[name]} for point in beside]
        assert all(len(names) == 1 for names in changed)
        found = {(name, point[name]) for (name,), point in zip(changed, beside, strict=True)}
        expected = set()
        for point in everything:
            both = [name for name in params if name in point and point[name] != params[name]]
            if len(both) == 1:
                expected.add((both[0], point[both[0]]))
        assert found == expected
    steps = [point["train.learning_rate"] for point in WIDE.neighbours({**WIDE.smallest(), "train.learning_rate": 0.1})]
    assert sorted(set(steps)) == [0.07499, 0.1, 0.1334]


@settings(deadline=None)
@given(wide_points)
def test_features_lie_between_0_and_1_and_tell_points_apart(params):
    """Every point gives a vector of the same length in [0, 1], and a neighbour gives another one."""
    vector = WIDE.features(params)
    assert vector.shape == WIDE.features(WIDE.smallest()).shape
    assert ((vector >= 0) & (vector <= 1)).all()
    assert all(not np.array_equal(WIDE.features(point), vector) for point in WIDE.neighbours(params))


def test_a_sampler_draws_points_of_the_space():
    """Whatever Optuna's TPE draws decodes to a point, and finished points can be entered: conditions and rising lists
    are kept by the nearest point."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=4, multivariate=True)
    study = optuna.create_study(sampler=sampler)
    for number in range(25):
        params = WIDE.decode(study.ask(WIDE.distributions()).params)
        assert WIDE.parse(params) == params
        study.add_trial(
            optuna.trial.create_trial(
                params=WIDE.encode(params), distributions=WIDE.distributions(), value=float(number % 7)
            )
        )


def test_knobs_without_effect_are_no_part_of_a_point():
    """Without channel attention there is no reduction ratio in a point, so that equal networks are one point."""
    without = [point for point in SPACE.neighbours(SPACE.smallest()) if point["attention"] == "spatial"]
    assert all("reduction_ratio" not in point for point in [*without, SPACE.smallest()])
    ratios = {**without[0], "attention": "casam", "reduction_ratio": 4}
    names = {SPACE.settings({**ratios, "reduction_ratio": ratio}).model.hash() for ratio in (4, 8, 16)}
    assert len(names) == 3


def test_a_point_outside_the_space_is_none():
    """A value that the space no longer holds, a knob too few or too many is no point; one without effect is let go."""
    params = SPACE.smallest()
    assert SPACE.parse({**params, "n_blocks": 17}) is None
    assert SPACE.parse({**params, "colour": "blue"}) is None
    assert SPACE.parse({knob: value for knob, value in params.items() if knob != "growth"}) is None
    assert SPACE.parse({**params, "attention": "casam"}) is None  # which has a reduction ratio
    assert SPACE.parse({**params, "reduction_ratio": 8}) == params
    falling = {**finite().smallest(), "stages.0.filters": 24}
    assert finite().parse(falling) is None
    assert WIDE.parse({**WIDE.smallest(), "train.learning_rate": 0.4}) is None


def test_a_fixed_knob_is_hidden_from_the_sampler():
    """A knob with one choice, given as a bare value, is no dimension of the study but stays in the params."""
    space = Space(SpaceConfig(n_blocks=4, attention="casam"))
    assert not {"n_blocks", "attention"} & set(space.distributions())
    assert space.decode(space.encode(space.smallest()))["n_blocks"] == 4


def test_other_families_have_a_space_of_their_own():
    """Knobs of CP-Mobile are its own fields, parts of its lists and strides too; its points are its networks."""
    params = CP_MOBILE.point(CP_MOBILE.size - 1)
    model = CP_MOBILE.settings(params).model
    assert model.family == "cp_mobile"
    assert (model.n_blocks[0], model.strides[2]) == (params["n_blocks.0"], params["strides.2"])
    assert (model.n_blocks[1:], model.strides[4]) == ((2, 1), (2, 1))
    assert {model.base_channels, 8} <= {8, 16, 24, 32}


@pytest.mark.system
def test_the_space_is_laid_out_without_optuna():
    """Reading and walking a space loads neither Optuna nor Ray nor TensorFlow."""
    import subprocess
    import sys

    script = (
        "import sys; from search.space.space import Space; from search.space.config import SpaceConfig\n"
        "Space(SpaceConfig()).smallest()\n"
        "print([name for name in ('optuna', 'ray', 'tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
