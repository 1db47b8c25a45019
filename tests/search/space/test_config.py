import numpy as np
import pytest
import yaml
from augmentation_support import OFF, ON, other_value

from data_prep.augment.registry import WHILE_TRAINING
from data_prep.errors import ConfigError
from data_prep.schema import parse_config
from search.config import RunConfig, read_run_config
from search.space.config import SpaceConfig
from search.space.space import Space

DEVICES = "train.device_offset_p"
CORRECTION = "train.spectrum_correction_p"


def problem_of(space, train=None):
    """Return what is said of a configuration with this space, without the count of problems."""
    with pytest.raises(ConfigError) as error:
        parse_config(RunConfig, {"space": space, "train": train or {}}, "run.yaml")
    head, *lines = str(error.value).splitlines()
    assert head.startswith("run.yaml: ")
    return "\n".join(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"n_blocks": []}, "space.n_blocks: needs at least one choice"),
        ({"expansion": [2, 2]}, "space.expansion: choices must differ, got 2, 2"),
        ({"kernel_size": [3, 4]}, "space.kernel_size.1: Input should be 3 or 5 (got 4)"),
        ({"kernel_size": 4}, "space.kernel_size: Input should be 3 or 5 (got 4)"),
        ({"block": ["residual", "foo"]}, "space.block.1: unknown block; known: inverted_"),
        ({"stem_stride": [2, [2, 9]]}, "space.stem_stride: (2, 9) breaks a rule: a stride must be 1 to 4"),
        (
            {"base_filters": [8, 256], "growth": [1.0, 1.5], "n_blocks": [3, 6]},
            "space: its last choices break a rule: the widest block would have 1944 filters, at most 1024 are "
            "allowed: lower the largest base_filters (256), growth (1.5) or n_blocks (6)",
        ),
        ({"n_block": [3]}, "space.n_block: unknown key; did you mean 'n_blocks'?"),
        ({"learning_rate": 0.1}, "space.learning_rate: unknown key; did you mean 'train.learning_rate'?"),
        ({"train.learning_rat": 0.1}, "space.train.learning_rat: unknown key; did you mean 'train.learning_rate'?"),
        ({"stages.0.filter": [16]}, "space.stages.0.filter.0: unknown key"),
        ({"knobs": 3}, "space.knobs: unknown key; known keys: n_blocks, base_filters"),
        ({"train.epochs": [3]}, "space.train.epochs: cannot be a knob: search.epochs is the length of"),
        ({"train": {"schedule": "cosine"}}, "space.train.schedule: cannot be a knob: trials are compared"),
        ({"train.mixup_alpha": [-1]}, "space.train.mixup_alpha.0: Input should be greater than or equal to 0 (got -1)"),
        ({"reader": {"delta": [0, 1]}}, "space.reader.delta: unknown key; did you mean 'reader.deltas'?"),
        ({"reader.deltas": [0, 3]}, "space.reader.deltas.1: Input should be 0, 1 or 2 (got 3)"),
        ({"reader.window_seconds": [None, 2.0]}, "cannot be combined with scaling minmax"),
        ({"reader.scaling": ["none", "minmax"], "reader.window_seconds": 2.0}, "combined with scaling minmax"),
        ({"mode": ["int9"]}, "space.mode.0: must be an export mode, one of float32, float16, dynamic_range"),
        ({"family": "resnet"}, "space.family: unknown family; families: inverted_residual, dcase_baseline"),
        ({"family": ["resnet"]}, "space.family: unknown family; families: inverted_residual, dcase_baseline"),
        ({"family": "dcase_baseline"}, "space: has no knob of dcase_baseline: add choices of filters, dense_units"),
        ({"family": "cp_mobile", "attention": "casam"}, "space.attention: unknown key; known keys: base_channels"),
    ],
)  # fmt: skip
def test_a_knob_that_cannot_be_is_refused_by_key(space, message):
    """A wrong name, choice or field is refused with its key path, its value, the rule and the nearest way out."""
    assert message in problem_of(space)


@pytest.mark.parametrize(
    ("knob", "message"),
    [
        (
            {"lo": 16, "high": 56},
            "a knob has choices, or low and high with step or log, and when; not 'lo'; did you mean",
        ),
        ({"low": 16}, "needs choices, or both low and high"),
        ({"choices": [16], "low": 16}, "has choices and low: use either choices, or low and high"),
        ({"low": 16, "high": 16}, "low must be below high, got 16 and 16; for a single value"),
        ({"low": 16, "high": "wide"}, "high must be a number, got 'wide'"),
        ({"low": 16, "high": 5000}, "high 5000: Input should be less than or equal to 512"),
        ({"low": 16, "high": 56, "step": 0}, "step must be above 0, got 0"),
        ({"low": 16, "high": 56, "step": 0.5}, "space.base_filters.1: Input should be a valid integer"),
        ({"low": 16, "high": 56, "log": True}, "log requires real numbers without a step: list the choices"),
        ({"low": 16, "high": 56, "log": "yes"}, "log must be true or false, got 'yes'"),
    ],
)
def test_a_range_that_cannot_be_is_refused(knob, message):
    """Every mistake in a range is told with the rule and the value."""
    assert message in problem_of({"base_filters": knob})


def test_a_logarithm_needs_numbers_above_0():
    """A range that begins at 0 has no logarithm, and one of a million steps is no list of choices."""
    found = problem_of({"train.mixup_alpha": {"low": 0, "high": 1, "log": True}})
    assert "low must be above 0 for a logarithmic range, got 0.0" in found
    found = problem_of({"train.mixup_alpha": {"low": 0, "high": 1, "step": 1e-6}})
    assert "has 1,000,001 choices, at most 10,000 are allowed: use a larger step" in found


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"atention": "casam"},
            "reduction_ratio.when.atention: is not a knob of this space; did you mean 'attention'?",
        ),
        (
            {"attention": "cbam"},
            "when.attention: has no choice cbam; its choices are none, channel, spatial, casam",
        ),
        ({"attention": []}, "when.attention: needs at least one value; its choices are none, channel"),
        ("casam", "when: must map knobs to values, such as {attention: [channel, casam]} (got 'casam')"),
        ({"dropout": 0.1}, "when.dropout: is a range without steps, which has no distinct values; give it a step"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(space, message):
    """A condition names knobs of the space and values that they can take."""
    ratio = {"choices": [4, 8], "when": space}
    assert message in problem_of({"reduction_ratio": ratio, "dropout": {"low": 0, "high": 0.5}})


def test_conditions_in_a_circle_are_refused():
    """Two knobs that each have an effect only with the other have none: the circle is named."""
    space = {
        "expansion": {"choices": [2, 3], "when": {"n_blocks": 3}},
        "n_blocks": {"choices": [3, 4], "when": {"expansion": 2}},
    }
    assert "conditions are circular: n_blocks → expansion → n_blocks" in problem_of(space)


@pytest.mark.parametrize(
    ("monotone", "message"),
    [
        ([["stages.0.filters", "stages.7.filters"]], "space.monotone.0: stages.7.filters is not a knob of this"),
        ([["stages.1.filters", "attention"]], "space.monotone.0: the choices of attention are not numbers"),
        (["stages.0.filters"], "space.monotone.0: must be a list of knobs, such as [stages.0.filters"),
        ([["stages.0.filters"]], "space.monotone.0: must name at least two knobs, each once"),
        (3, "space.monotone: must be a list of lists of knobs (got 3)"),
        ([["stages.0.filters", "stages.1.filters"]], "space.monotone: no choices rise along these lists"),
    ],
)  # fmt: skip
def test_a_rising_list_that_cannot_be_is_refused(monotone, message):
    """`monotone` names knobs with numbers, and leaves some way to set them."""
    space = {"stages.0.filters": [64], "stages.1.filters": [8, 16], "monotone": monotone}
    assert message in problem_of(space)


def test_a_path_leads_to_what_there_is():
    """A path beyond the stages, into a single value, or beside knobs that make the stages is refused."""
    assert "stages has no entry '3'; its last entry is 2" in problem_of({"stages.3.filters": [16]})
    stages = [[{"filters": 16}], [{"filters": 16}, {"filters": 24}]]
    assert "stages has no entry '1'; its last entry is 0" in problem_of({"stages": stages, "stages.1.filters": [8]})
    assert "dropout is a single value and has no 'rate'" in problem_of({"dropout.rate": [16]})
    found = problem_of({"model.stages.0.filters": [16], "n_blocks": [3]})
    assert "stages.0.filters: describes the stages, as n_blocks do: use only one of the two" in found
    assert "attention: is given twice" in problem_of({"model": {"attention": "casam"}, "attention": "none"})


def test_choices_that_do_not_go_together_are_refused():
    """A rule between two fields is checked against every pair of choices and the run's own recipe; `when` keeps
    pairs apart."""
    found = problem_of({CORRECTION: [0, 0.7], DEVICES: [0, 0.5]})
    assert f"space.{CORRECTION}: 0.7 conflicts with {DEVICES} 0.5: an example gets the response of one device" in found
    assert "remove one of them, or add a condition `when`" in found
    tied = {CORRECTION: [0, 0.7], DEVICES: {"choices": [0, 0.5], "when": {CORRECTION: [0]}}}
    assert parse_config(RunConfig, {"space": tied}, "run.yaml").space.knobs[DEVICES].when == {CORRECTION: (0.0,)}
    rates = {"train.learning_rate": {"low": 0.001, "high": 0.3, "log": True}}
    assert "min_learning_rate must not exceed learning_rate: 0.01 > 0.001" in problem_of(
        rates, {"min_learning_rate": 0.01}
    )
    assert parse_config(RunConfig, {"space": rates}, "run.yaml").space.knobs["train.learning_rate"].is_range


def test_every_problem_of_a_space_is_told_at_once():
    """Two wrong knobs give two lines, each with its key."""
    found = problem_of({"kernel_size": [4], "train.mixup_alpha": [-1]})
    assert [line.split(":")[0] for line in found.splitlines()] == ["space.kernel_size.0", "space.train.mixup_alpha.0"]


def test_choices_are_ordered_for_the_sampler():
    """Numeric choices are sorted, so that neighbours for the sampler are neighbours in fact; a step makes choices."""
    knobs = SpaceConfig.model_validate(
        {
            "base_filters": [48, 16, 32], "stem_stride": [[2, 2], 1, [1, 2]], "dropout": [0, 1 / 4],
            "stem_filters": {"low": 8, "high": 35, "step": 8}, "n_blocks": {"low": 3, "high": 5},
            "train.mixup_alpha": {"low": 0, "high": 0.3, "step": 0.1}, "attention": ["spatial", "none"],
        }
    ).knobs  # fmt: skip
    assert knobs["base_filters"].choices == (16, 32, 48)
    assert knobs["stem_stride"].choices == (1, (1, 2), (2, 2))
    assert knobs["stem_filters"].choices == (8, 16, 24, 32)
    assert knobs["n_blocks"].choices == (3, 4, 5)
    assert knobs["train.mixup_alpha"].choices == (0.0, 0.1, 0.2, 0.3)
    assert knobs["attention"].choices == ("spatial", "none")
    assert all(isinstance(choice, float) for choice in knobs["dropout"].choices)


def test_a_section_may_stand_for_its_keys():
    """`train: {mixup_alpha: …}` and `model: {stages: {0: …}}` are their dotted paths, and --set finds both forms."""
    nested = {"train": {"mixup_alpha": [0.2, 0.4]}, "model": {"stages": {0: {"filters": [16, 24]}}, "head": "max"}}
    flat = {"train.mixup_alpha": [0.2, 0.4], "stages.0.filters": [16, 24], "model.head": ["max"]}
    assert SpaceConfig.model_validate(nested) == SpaceConfig.model_validate(flat)
    settings = ["space.train.mixup_alpha=[0.2, 0.4]", "space.train.mixup_alpha=0.3", "space.reduction_ratio=8"]
    space = read_run_config("demo", settings).space
    assert space.knobs["train.mixup_alpha"].choices == (0.3,)
    assert space.knobs["reduction_ratio"].when == {"attention": ("channel", "casam")}


def test_a_space_is_written_as_it_is_read(tmp_path):
    """What a run directory keeps of a space gives the same space again, conditions, ranges and lists included."""
    path = tmp_path / "run.yaml"
    path.write_text(
        "space:\n"
        "  n_blocks: [3, 4]\n"
        "  base_filters: {low: 16, high: 32, step: 8}\n"
        "  attention: [none, casam]\n"
        "  reduction_ratio: {choices: [4, 8], when: {n_blocks: 4}}\n"
        "  train.learning_rate: {low: 0.03, high: 0.3, log: true}\n"
        "  train.momentum: {low: 0.8, high: 0.99, when: {model.attention: none}}\n"
        "  mode: [int8_weights, int4_int8_weights]\n"
        "  monotone: [[n_blocks, base_filters]]\n"
    )
    config = read_run_config(str(path))
    written = yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    assert parse_config(RunConfig, written, "again").space == config.space
    assert config.space.knobs["reduction_ratio"].when == {"n_blocks": (4,), "attention": ("casam",)}
    assert written["space"]["mode"] == ["int8_weights", "int4_int8_weights"]
    assert config.updated(fold=2).space == config.space


def test_a_knob_that_never_has_an_effect_is_left_out():
    """With attention fixed to none there is no reduction ratio to search; fixed to casam it needs no condition."""
    assert "reduction_ratio" not in SpaceConfig(attention="none").knobs
    assert SpaceConfig(attention="casam").knobs["reduction_ratio"].when == {}
    mixing = {"train.freq_mixstyle_p": [0, 0.3], "train.freq_mixstyle_alpha": [0.1, 0.3]}
    assert SpaceConfig.model_validate(mixing).knobs["train.freq_mixstyle_alpha"].when == {
        "train.freq_mixstyle_p": (0.3,)
    }


def test_settings_of_an_augmentation_have_no_effect_while_it_is_off():
    """A setting of an augmentation with one switch depends on it; one that two switches share depends on neither."""
    n_switches = set()
    for entry in WHILE_TRAINING:
        n_switches |= {len(entry.switches) for _ in entry.settings}
        switches = {f"train.{knob}": [entry.off, ON[knob]] for knob in entry.switches}
        for setting in entry.settings:
            knobs = SpaceConfig(**switches, **{f"train.{setting}": [other_value(setting, OFF)]}).knobs
            expected = {name: (values[1],) for name, values in switches.items()} if len(switches) == 1 else {}
            assert knobs[f"train.{setting}"].when == expected
    assert n_switches == {1, 2}


def test_defaults_fill_what_is_not_named():
    """A space that names one knob keeps the others' choices; one with stages of its own has none of their shape."""
    default, named = SpaceConfig(), SpaceConfig(kernel_size=3)
    assert Space(default).size == 2 * Space(named).size == 55_296
    assert not {"n_blocks", "growth"} & set(SpaceConfig.model_validate({"stages.0.filters": [16, 24]}).knobs)


def test_settings_of_the_reader_are_knobs():
    """As a section or as dotted keys; windows under the condition that their scaling allows them."""
    windows = {"choices": [1.0, 2.0], "when": {"reader.scaling": ["none"]}}
    dotted = {"reader.scaling": ["minmax", "none"], "reader.deltas": [0, 2], "reader.window_seconds": windows}
    config = parse_config(RunConfig, {"space": dotted}, "run.yaml")
    section = {name.removeprefix("reader."): spec for name, spec in dotted.items()}
    assert parse_config(RunConfig, {"space": {"reader": section}}, "run.yaml") == config
    points = [Space(config.space).draw(np.random.default_rng(seed)) for seed in range(20)]
    assert {("reader.window_seconds" in point, point["reader.scaling"]) for point in points} == {
        (True, "none"),
        (False, "minmax"),
    }
