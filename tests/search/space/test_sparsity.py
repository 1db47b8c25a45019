"""Pruning as a knob: sizes of its points, steps between them, and the rules that do not allow it."""

from dataclasses import replace

import pytest

from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.rules import RulesConfig
from data_prep.config import FeatureSpec, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.schema import parse_config
from search.config import RunConfig
from search.retrain.teaching import teachers_config
from search.space.config import SpaceConfig
from search.space.survey import survey
from search.study.config import SearchConfig
from search.study.settings import SearchSettings, candidate_sizing, make_space

FEATURES = FeatureSpec(sample_rate=8000, clip_seconds=1.0, n_fft=512, hop_length=256, n_mels=32)
SPACE = {
    "stem_filters": 16,
    "stages": [[{"filters": 48, "stride": 2}, {"filters": 48}]],
    "attention": "none",
    "dropout": 0.0,
    "kernel_size": [3, 5],
    "expansion": [2, 3],
    "train.sparsity": [0.0, 0.5, 0.8],
}
LIMIT = RulesConfig(limits={"nonzero_weight_bytes": 16_000})


def settings(rules=LIMIT, space=SPACE, **train):
    return SearchSettings(
        SpaceConfig.model_validate(space), SearchConfig(), TrainConfig(**train), ReaderSpec(), rules, fold=1
    )


def test_points_are_limited_by_the_bytes_that_pruning_leaves():
    """Every point is sized as its own share of zeros has it; those that fit are decided by non-zero bytes."""
    config = settings()
    space = make_space(config.space, config.reader, FEATURES, 10)
    verdicts = {}
    for point in space.points():
        sizing = candidate_sizing(config, FEATURES, 10, point)
        network, share = space.settings(point).model, point["train.sparsity"]
        cost = estimate(network, config.reader.input_shape(FEATURES), 10, sparsity=share)
        assert sizing.weight_bytes == cost.weight_bytes["int8_weights"]
        assert sizing.nonzero_weight_bytes == cost.nonzero_weight_bytes["int8_weights"]
        assert sizing.feasible == (sizing.nonzero_weight_bytes <= 16_000)
        verdicts[point["expansion"], point["kernel_size"], share] = sizing.feasible
    assert [verdicts[3, 3, share] for share in (0.0, 0.5, 0.8)] == [False, True, True]
    found = survey(space, lambda params: candidate_sizing(config, FEATURES, 10, params))
    assert found.largest.sizing.weight_bytes > 16_000 >= found.largest.sizing.nonzero_weight_bytes


def test_the_share_of_a_run_counts_where_it_is_no_knob():
    """`train.sparsity` of the section applies to every point of a space without the knob."""
    fixed = {key: value for key, value in SPACE.items() if key != "train.sparsity"}
    config = settings(space=fixed, sparsity=0.5)
    point = {**fixed, "kernel_size": 3, "expansion": 3, "stages": SPACE["stages"][0]}
    sizing = candidate_sizing(config, FEATURES, 10, point)
    assert sizing.feasible
    assert sizing.nonzero_weight_bytes < sizing.weight_bytes


def test_steps_down_narrow_first_and_then_prune():
    """Pruning is no width; when nothing is left to narrow, a step down is one share more."""
    config = settings()
    space = make_space(config.space, config.reader, FEATURES, 10)
    assert set(space.widths) == {"kernel_size", "expansion"}
    wide = next(point for point in space.points() if point["expansion"] == 3 and point["kernel_size"] == 3)
    assert all(step["train.sparsity"] == wide["train.sparsity"] for step in space.smaller(wide))
    narrow = {**wide, "expansion": 2, "train.sparsity": 0.0}
    assert [step["train.sparsity"] for step in space.smaller(narrow)] == [0.5]
    assert space.smallest()["train.sparsity"] == 0.8


RULES = {"name": "dcase2023"}
SYSTEM = {"name": "one", "preset": "cp-mobile"}
COUNTS = "saves nothing under dcase2023, which counts zeros (its limits: weight_bytes 128,000, macs 30,000,000). Set"


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"train": {"sparsity": 0.5}}, "train: sparsity 0.5"),
        ({"retrain": {"train": {"sparsity": 0.3}}}, "retrain.train: sparsity 0.3"),
        ({"retrain": {"systems": [{**SYSTEM, "train": {"sparsity": 0.2}}]}}, "retrain.systems, one: sparsity 0.2"),
        ({"space": {"train.sparsity": [0.0, 0.7]}}, "space.train.sparsity: sparsity 0.7"),
        ({"space": {"train.sparsity": {"low": 0.0, "high": 0.6}}}, "space.train.sparsity: sparsity 0.6"),
    ],
)
def test_pruning_is_refused_under_rules_that_count_zeros(data, where):
    """Wherever it is asked for: place, share, rule set with its limits, way out. Where zeros are free it is allowed."""
    with pytest.raises(ConfigError) as error:
        parse_config(RunConfig, {"recipe": "paper", "rules": RULES, **data}, "run.yaml")
    assert f"{where} {COUNTS}" in str(error.value)
    assert "rules.name dcase2021, or rules.limits.nonzero_weight_bytes" in str(error.value)
    for rules in ({}, {"name": "custom", "limits": {"nonzero_weight_bytes": 10**5}}):
        parse_config(RunConfig, {"recipe": "paper", "rules": rules, **data}, "run.yaml")


def test_teachers_stay_dense():
    """A teacher has none of its students' zeros, and may not ask for some of its own."""
    big = {"name": "big", "preset": "cao2021-system4"}
    data = {"train": {"sparsity": 0.5}, "retrain": {"train": {"sparsity": 0.6}, "distillation": {"teachers": [big]}}}
    students = parse_config(RunConfig, data, "run.yaml")
    teachers = teachers_config(students)
    assert students.full_recipe.sparsity == 0.6
    assert teachers.retrain.systems[0].recipe(teachers.full_recipe).sparsity == 0
    data["retrain"]["distillation"] = {"teachers": [{**big, "train": {"sparsity": 0.5}}]}
    with pytest.raises(ConfigError, match=r"teachers, big: sparsity 0\.5 prunes a network that is not submitted"):
        parse_config(RunConfig, data, "run.yaml")


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        ({"sparsity_span": [0.5, 0.2]}, "sparsity_span must be two shares between 0 and 1, the smaller first"),
        (
            {"sparsity": 0.5, "swa_share": 0.4},
            "swa_share 0.4 averages the epochs after 60%, but sparsity_span ends at 70%",
        ),
        ({"sparsity": 1.0}, "sparsity"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(train, problem):
    """A span that falls, an average over networks with other zeros, no weight left."""
    with pytest.raises(ConfigError) as error:
        parse_config(TrainConfig, train, "train.yaml")
    assert problem in str(error.value)


def test_trials_that_may_be_pruned_are_compared_by_non_zero_bytes():
    """By default, with a knob or a fixed share; without pruning by all bytes, and always as configured."""
    config = settings()
    assert config.objectives.names[:2] == ("macro_accuracy", "nonzero_weight_bytes")
    assert config.objectives.size == "nonzero_weight_bytes"
    dense = settings(space={name: knob for name, knob in SPACE.items() if name != "train.sparsity"})
    assert dense.objectives.names[:2] == ("macro_accuracy", "weight_bytes")
    fixed = replace(dense, train=TrainConfig(sparsity=0.5))
    assert fixed.objectives.size == "nonzero_weight_bytes"
    asked = replace(config, search=config.search.updated(objectives=("log_loss", "weight_bytes")))
    assert asked.objectives.names == ("log_loss", "weight_bytes")
