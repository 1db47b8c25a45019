from __future__ import annotations

import re

import pytest

from asc_models.config import FineTuning
from data_prep.errors import ConfigError
from data_prep.schema import parse_config
from search.config import RunConfig, read_run_config, shipped_configs
from search.retrain.teaching import teachers_config
from search.study.config import SearchConfig


def test_every_shipped_configuration_is_valid():
    """Each shipped file parses, and is found by its name with and without suffix."""
    assert {"default", "demo", "esc10-fold1", "tau2020-cao2021"} <= set(shipped_configs())
    for name in shipped_configs():
        assert read_run_config(name) == read_run_config(f"{name}.yaml")


def test_the_defaults_are_the_seeds():
    """Features, training and input shape without a word in the file are the paper's."""
    config = read_run_config("default")
    assert config.reader.input_shape(config.prepare.features) == (128, 423, 3)
    assert (config.train.epochs, config.train.batch_size, config.train.learning_rate) == (600, 16, 0.1)
    assert config.train.mixup_alpha == 0.4
    assert config.rules.in_force() == {"nonzero_weight_bytes": 128_000}


def test_a_gain_goes_with_no_scaling_that_undoes_it():
    """`train.gain_db` with min–max scaling is an error before anything starts, also as a knob; with none it is fine."""
    gain = {"train": {"gain_db": 6.0, "mixup_alpha": 0.0, "class_mix_p": 1.0}}
    with pytest.raises(ConfigError, match=r"train.gain_db 6 has no effect with reader.scaling minmax"):
        parse_config(RunConfig, gain, "test")
    with pytest.raises(ConfigError, match=r"space.train.gain_db: 6.0 breaks a rule: train.gain_db 6 has no effect"):
        parse_config(RunConfig, {"space": {"train.gain_db": [0.0, 6.0]}}, "test")
    assert parse_config(RunConfig, {**gain, "reader": {"scaling": "none"}}, "test").train.gain_db == 6.0


def test_the_demos_configuration_has_the_hash_of_the_first_release():
    """A finished run is known by it, computed by version 0.1.0: fields added since do not make it unfinished."""
    assert read_run_config("demo").hash() == "f48700365299"


def test_the_reports_configuration_is_the_report():
    """Systems 1–4 with 600, 800, 600, 600 epochs, float16, the best checkpoint, four offline augmentations."""
    config = read_run_config("tau2020-cao2021")
    systems = config.retrain.systems
    assert [system.epochs or config.train.epochs for system in systems] == [600, 800, 600, 600]
    assert [system.network.kernel_size for system in systems] == [5, 5, 3, 3]
    assert config.retrain.mode == "float16"
    assert config.search is None
    assert len(config.prepare.augmentations) == 4


@pytest.mark.parametrize("key", ["search.mode", "retrain.mode"])
def test_an_export_that_the_rules_refuse_is_refused_when_it_is_read(key):
    """2022's rule takes int8 parameters alone: another mode is told before anything is trained, with those it takes."""
    with pytest.raises(ConfigError, match=rf"{key}: export as float16 .*; dcase2022 allows int8_weights, "):
        read_run_config("default", ["rules.name=dcase2022", f"{key}=float16"])
    assert read_run_config("default", ["rules.name=dcase2022", f"{key}=int8"])
    assert read_run_config("default", ["rules.name=dcase2022", "search.mode=float16", "space.mode=[int8, float16]"])


@pytest.mark.parametrize("name", ["dcase2021", "dcase2022", "dcase2023", "dcase2024"])
def test_networks_of_devices_need_rules_that_give_the_device(name):
    """Under the rules until 2024 a system does not know the device: fine-tuning is refused, with the way out."""
    asked = ["retrain.fine_tuning={}", "search.mode=int8", "retrain.mode=int8"]
    why = rf"retrain.fine_tuning: .* not allowed under {name}, .*Set fine_tuning: null, or rules.name: dcase2025 or "
    with pytest.raises(ConfigError, match=why):
        read_run_config("default", [*asked, f"rules.name={name}"])
    for allowed in (["rules.name=dcase2025"], ["rules.name=custom", "rules.limits.weight_bytes=64000"]):
        assert read_run_config("default", [*asked, *allowed]).retrain.fine_tuning.epochs == 50


def test_the_recipe_of_a_devices_network_is_the_general_one_but_for_its_keys():
    """A tenth of the rate and one cosine, unless set; never the response of another device."""
    config = read_run_config("dcase2025")
    recipe = config.full_recipe.updated(device_offset_p=0.5, epoch_examples=1000)
    changed = recipe.updated(**FineTuning(train={"schedule": "step"}).changes(recipe))
    assert (changed.epochs, changed.schedule) == (50, "step")
    assert changed.learning_rate == pytest.approx(recipe.learning_rate / 10)
    assert (changed.device_offset_p, changed.epoch_examples) == (0.0, None)
    assert changed.frequency_mask == recipe.frequency_mask == 48
    assert config.retrain.fine_tuning.changes(recipe)["freq_mixstyle_p"] == 0.0
    for wrong, why in (
        ("{train: {rate: 1}}", "retrain.fine_tuning: unknown keys rate"),
        ("{train: {epochs: 3}}", r"train.epochs: set the key epochs of fine_tuning itself"),
        ("{train: {min_learning_rate: 1.0}}", "retrain.fine_tuning: .*min_learning_rate must not exceed"),
    ):
        with pytest.raises(ConfigError, match=why):
            read_run_config("dcase2025", [f"retrain.fine_tuning={wrong}"])
    assert read_run_config("dcase2025", ["rules.name=dcase2024", "retrain.fine_tuning=null"])


def test_the_limit_of_int4_is_checked_and_counted_as_the_rules_count():
    """It must have an effect and be within the rules; other byte limits are kept, and other modes have none."""
    ours = ["retrain.mode=int4_int8_weights", "retrain.int4_limit_bytes=100_000"]
    files = ["rules.name=custom", "rules.limits={file_bytes: 120_000, weight_bytes: 110_000}"]
    for overrides, limits in (
        (ours, {"nonzero_weight_bytes": 100_000}),
        ([*ours, "rules.name=dcase2022"], {"weight_bytes": 100_000}),
        ([*ours, *files], {"file_bytes": 120_000, "weight_bytes": 100_000}),
        (ours[:1], {}),
    ):
        config = read_run_config("default", overrides)
        assert config.int4_limits("int4_int8_weights") == limits
        assert config.int4_limits("int8_weights") == {}
    with pytest.raises(ConfigError, match=r"int4_limit_bytes 100,000 has no effect with retrain.mode int8_weights"):
        read_run_config("default", ours[1:])
    assert read_run_config("default", [ours[1], "space.mode=[int8_weights, int4_int8_weights]"])
    with pytest.raises(ConfigError, match=r"100,000 is over the limit of 90,000 bytes of non-zero weights: set it to"):
        read_run_config("default", [*ours, "rules.limits={nonzero_weight_bytes: 90_000}"])


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            ["train.int4_share=0.2"],
            r"train: int4_share 0\.2 has no effect, as nothing is exported as int4_int8_weights ",
        ),
        (["retrain.train={int4_share: 0.3}"], r"retrain\.train: int4_share 0\.3 .*retrain.mode int8_weights; search"),
        (
            ["space.train.int4_share=[0.0, 0.4]"],
            r"space\.train\.int4_share: int4_share 0\.4 .*search.mode int8_weights\): set",
        ),
        (
            ["train.int4_share=0.2", "retrain.mode=int4_int8_weights", "retrain.int4_limit_bytes=100_000"],
            r"int4_share 0\.2 trains all large kernels for int4, of which retrain.int4_limit_bytes 100,000 would leave",
        ),
        (
            [
                "retrain.mode=int4_int8_weights",
                "retrain.distillation={teachers: [{name: big, preset: cao2021-system4, train: {int4_share: 0.5}}]}",
            ],
            r"teachers, big: int4_share 0\.5 rounds a network that is not submitted",
        ),
    ],
    ids=["search", "retraining", "knob", "mixed", "teacher"],
)
def test_training_for_int4_needs_files_in_int4(overrides, problem):
    """Without any, with a choice of widths after the training, or for a teacher it is refused, with where it stands."""
    with pytest.raises(ConfigError, match=problem):
        read_run_config("default", overrides)


def test_students_of_plain_teachers_may_be_trained_for_int4():
    teacher = "{teachers: [{name: big, preset: cao2021-system4}]}"
    ours = ["train.int4_share=0.2", "retrain.mode=int4_int8_weights", f"retrain.distillation={teacher}"]
    config = read_run_config("default", ours)
    assert config.full_recipe.int4_share == 0.2
    assert teachers_config(config).full_recipe.int4_share == 0.0
    assert read_run_config("default", ["train.int4_share=0.2", "space.mode=[int8_weights, int4_int8_weights]"])


def test_overrides_win_and_are_checked():
    """--set reaches any depth, its value is YAML, and what it sets is checked like the file."""
    config = read_run_config("demo", ["search.n_trials=3", "train.min_learning_rate=1.0e-4", "space.kernel_size=[5]"])
    assert (config.search.n_trials, config.train.min_learning_rate) == (3, 1e-4)
    assert config.space.knobs["kernel_size"].choices == (5,)
    with pytest.raises(ConfigError, match=r"search\.n_trails: unknown key; did you mean 'n_trials'\?"):
        read_run_config("demo", ["search.n_trails=3"])
    with pytest.raises(ConfigError, match=r"must be key\.path=value"):
        read_run_config("demo", ["search"])
    with pytest.raises(ConfigError, match="fold is not a section"):
        read_run_config("esc10-fold1", ["fold.x=1"])


def test_a_file_with_several_mistakes_names_them_all(tmp_path):
    """Every problem of a file is told at once, each with its key path."""
    path = tmp_path / "mine.yaml"
    path.write_text("serch: {}\ntrain:\n  epochs: 0\n  momentun: 0.9\nretrain:\n  systems: [{name: x, preset: cao}]\n")
    with pytest.raises(ConfigError) as error:
        read_run_config(str(path))
    message = str(error.value)
    assert "mine.yaml: 4 problems" in message
    assert "serch: unknown key; did you mean 'search'?" in message
    assert "train.momentun: unknown key; did you mean 'momentum'?" in message
    assert "train.epochs" in message
    assert "retrain.systems.0.preset: unknown network; presets: cao2021-system1" in message


def test_trials_in_a_single_part_are_refused():
    """It would leave nothing to train on."""
    with pytest.raises(ConfigError, match=r"search\.inner_folds: must be 0 or at least 2: a single part.*\(got 1\)"):
        read_run_config("demo", ["search.inner_folds=1"])
    assert SearchConfig().hash() == SearchConfig(inner_folds=0).hash() != SearchConfig(inner_folds=2).hash()
    assert "inner_folds" not in SearchConfig().canonical()


def test_files_that_are_no_configuration_are_named(tmp_path):
    """A missing file, YAML that doesn't parse, a list instead of sections, a Python object: errors, nothing run."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file or shipped configuration; shipped: "):
        read_run_config("nowhere.yaml")
    for text, message in (
        ("a: [", "not YAML"),
        ("- a", "must be a mapping"),
        ("fold: !!python/object/apply:os.getpid []", "not YAML"),
    ):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_run_config(str(tmp_path / "bad.yaml"))


def test_a_key_given_twice_is_refused_with_its_line(tmp_path):
    """YAML's silent "the last one wins" would drop half of a section: the second key is named with its line."""
    (tmp_path / "c.yaml").write_text("search: {n_trials: 3}\nfold: 1\nsearch: {seed: 4}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml, line 3, column 1: not YAML: the key 'search' is given twice"):
        read_run_config(str(tmp_path / "c.yaml"))


def test_a_configuration_that_is_no_utf8_is_named(tmp_path):
    """A file in another encoding is told with the byte at which it stops being UTF-8."""
    (tmp_path / "c.yaml").write_bytes(b"fold: 1 # \xe9")
    with pytest.raises(ConfigError, match=r"c\.yaml: not UTF-8 text at byte 10"):
        read_run_config(str(tmp_path / "c.yaml"))


def test_a_key_one_section_too_high_is_sent_to_its_section():
    """A key under the parent of its section is pointed to its place, not to a neighbour that sounds alike."""
    with pytest.raises(ConfigError, match=r"did you mean 'features\.clip_seconds'\?"):
        read_run_config("default", ["prepare.clip_seconds=1"])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"family": "cp_mobile", "expansion_rate": 0}, "model.cp_mobile.expansion_rate: Input should be greater than"),
        ({"family": "tan2025", "base_channels": 30}, "model.tan2025: base_channels must be a multiple of 4, got 30"),
        ({"family": "tan2025", "gru_unit": 8}, "unknown key; did you mean 'gru_units'?"),
        ({"family": "cp_mobile", "base_chanels": 8}, "unknown key; did you mean 'base_channels'?"),
        (
            {"family": "cpm"},
            "model: must name its family, one of inverted_residual, dcase_baseline, cp_mobile, bc_resnet, tan2025 "
            "(got 'cpm')",
        ),
        (
            {"stem_filters": 8},
            "model: must name its family, one of inverted_residual, dcase_baseline, cp_mobile, bc_resnet, tan2025, "
            "but it is missing",
        ),
    ],
)
def test_a_system_may_be_of_any_family(network, message):
    """retrain.systems takes every registered family, and a mistake in one is told with its key path."""
    section = {"systems": [{"name": "one", "model": {"family": "cp_mobile", "base_channels": 8}}]}
    assert parse_config(RunConfig, {"retrain": section}, "run.yaml").retrain.systems[0].network.base_channels == 8
    with pytest.raises(ConfigError) as error:
        parse_config(RunConfig, {"retrain": {"systems": [{"name": "one", "model": network}]}}, "run.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("retrain", "message"),
    [
        ({"seeds": [0, 1, 0]}, "seeds must differ, got 0, 1, 0"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
        *[
            ({"systems": [{"name": name, "preset": "cp-mobile"}]}, "name is reserved for trials")
            for name in ("t0001", "a-s0", "b-full")
        ],
    ],
)
def test_candidates_cant_share_a_folder(retrain, message):
    """Seeds are distinct and not negative; no system is called as a trial's or a variant's candidate is."""
    with pytest.raises(ValueError, match=message):
        RunConfig.model_validate({"retrain": retrain})


def test_overrides_may_be_python_values():
    """{key path: value} overrides as `key.path=value` does, without a way through YAML."""
    values = {
        "search.n_trials": 3,
        "train.min_learning_rate": 1e-5,
        "space.kernel_size": [5],
        "search.objectives": None,
    }
    text = ["search.n_trials=3", "train.min_learning_rate=1.0e-5", "space.kernel_size=[5]", "search.objectives=null"]
    assert read_run_config("demo", values) == read_run_config("demo", text)
    with pytest.raises(ConfigError, match="n_trails: unknown key"):
        read_run_config("demo", {"search.n_trails": 3})


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"shedule": "cosine"}, "retrain.train: unknown keys shedule; keys: epochs, schedule"),
        ({"swa_share": 2}, "retrain.train: swa_share: Input should be less than or equal to 1"),
        ({"gain_db": 6}, "retrain.train: train.gain_db 6 has no effect with reader.scaling minmax"),
    ],
)
def test_keys_of_another_recipe_at_full_length_are_checked(keys, problem):
    """Unknown ones, wrong values and what does not go with the reader, before anything starts."""
    with pytest.raises(ConfigError, match=re.escape(problem)):
        parse_config(RunConfig, {"recipe": "paper", "retrain": {"train": keys}}, "run.yaml")


@pytest.mark.parametrize(
    ("system", "problem"),
    [
        ({"reader": {"windows": 3}}, "retrain.systems, a: reader: unknown keys windows; keys: scaling, deltas"),
        ({"reader": {"deltas": 3}}, "retrain.systems, a: reader: deltas: Input should be 0, 1 or 2"),
        (
            {"reader": {"window_seconds": 1.5}},
            "retrain.systems, a: reader: window_seconds 1.5 cannot be combined with scaling minmax",
        ),
        (
            {"train": {"gain_db": 6}, "reader": {"scaling": "center"}},
            "retrain.systems, a: train: train.gain_db 6 has no effect with reader.scaling center",
        ),
    ],
)
def test_a_systems_own_reader_is_checked(system, problem):
    """Alone, and against the system's recipe, before anything starts."""
    systems = [{"name": "a", "preset": "cp-mobile", **system}]
    with pytest.raises(ConfigError, match=re.escape(problem)):
        parse_config(RunConfig, {"recipe": "paper", "retrain": {"systems": systems}}, "run.yaml")


def test_a_systems_own_reader_may_allow_what_the_runs_does_not():
    """Gain needs a scaling that keeps levels; the reader of the run scales every clip."""
    system = {"name": "a", "preset": "cp-mobile", "train": {"gain_db": 6}, "reader": {"scaling": "none", "deltas": 0}}
    config = parse_config(RunConfig, {"recipe": "paper", "retrain": {"systems": [system]}}, "run.yaml")
    reader = config.retrain.systems[0].input(config.reader)
    assert (reader.scaling, reader.deltas, reader.edges) == ("none", 0, config.reader.edges)


def test_a_teacher_reads_what_its_students_read():
    """Its probabilities are of the same input."""
    teachers = [{"name": "big", "preset": "cp-mobile", "reader": {"deltas": 0}}]
    with pytest.raises(ConfigError, match="big: a teacher answers the input of the candidates"):
        parse_config(RunConfig, {"recipe": "paper", "retrain": {"distillation": {"teachers": teachers}}}, "run.yaml")


def test_a_key_of_a_section_that_is_off_turns_it_on(tmp_path):
    """The configuration in a run directory has null for sections that are off."""
    path = tmp_path / "run.yaml"
    path.write_text("recipe: paper\nretrain: {distillation: null}\n")
    found = read_run_config(str(path), ["retrain.distillation.candidates=[t0001-s0]"]).retrain.distillation
    assert found is not None
    assert found.candidates == ("t0001-s0",)
