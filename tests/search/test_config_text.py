"""A configuration in words: YAML with meanings, the schema for editors, the reference page."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from process_support import ROOT
from typer.testing import CliRunner

from data_prep.errors import ConfigError
from data_prep.files.yaml_file import parse_yaml
from data_prep.schema import Config, parse_config
from search.cli.main import app
from search.config import RunConfig, read_run_config, shipped_configs
from search.config_text import commented_yaml, configs_in, json_schema, reference
from search.space.point import known_knobs

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
WITH_EVERYTHING = (
    "space={attention: [none, casam], expansion: {choices: [2, 4], when: {attention: [casam]}}, "
    "spatial_kernel_size: [3, 7], "
    "train.learning_rate: {low: 0.01, high: 0.1, log: true}, stages: [[{filters: 8}], [{filters: 16}]], "
    "stages.0.filters: [8, 16], monotone: [[expansion, spatial_kernel_size]]}",
    "retrain.systems=[{name: one, model: {family: inverted_residual, stages: [{filters: 8}, {filters: 16}]}}, "
    "{name: two, preset: cp-mobile}]",
)


def sections(cls: type[Config] = RunConfig) -> set[type[Config]]:
    """Return every class of a run's configuration."""
    inner = {found for field in cls.model_fields.values() for found, _ in configs_in(field.annotation)}
    return {cls}.union(*map(sections, inner))


def test_every_key_has_its_meaning():
    """No field of any section is without a docstring."""
    assert len(sections()) > 20
    fields = [(cls.__name__, name, field) for cls in sections() for name, field in cls.model_fields.items()]
    assert [(cls, name) for cls, name, field in fields if not field.description] == []


@pytest.mark.parametrize(
    ("name", "overrides"), [*((name, ()) for name in shipped_configs()), ("default", WITH_EVERYTHING)]
)
def test_what_is_shown_reads_back_as_the_same(name, overrides):
    """The YAML with its comments is the configuration again, valid for editors, and each key stands under a comment."""
    config = read_run_config(name, overrides)
    text = commented_yaml(config)
    data = parse_yaml(text, name)
    assert parse_config(RunConfig, data, name) == config
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []
    lines = [line.strip().removeprefix("- ") for line in text.splitlines() if line]
    assert lines[0].startswith("# ")
    assert [line for above, line in pairwise(lines) if not above.startswith("#") and not line.startswith("#")] == []


def test_the_schema_is_a_schema():
    """It is valid by its own dialect, which it names."""
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_configuration_is_valid_for_editors(name):
    """The schema refuses nothing that is shipped."""
    assert [error.message for error in VALIDATOR.iter_errors(parse_yaml(shipped_configs()[name], name))] == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "space: {family: cp_mobile, base_channels: [8, 16]}",
        "space: {model: {expansion: 2}, train: {mixup_alpha: [0.1, 0.2]}}",
        "space: {stem_stride: [[2, 1], 2], mode: [int8, float16]}",
        "space: {reduction_ratio: {choices: [4, 8], when: {attention: channel}}}",
        "space: {base_filters: {low: 8, high: 32, step: 8}, train.learning_rate: {low: 0.01, high: 0.1, log: true}}",
        "prepare: {features: cpmobile2023}",
        "prepare: {features: {preset: cpmobile2023, n_mels: 128}}",
        "retrain: {systems: [{name: a, model: {family: inverted_residual, blocks: [{filters: 8, stride: 2}]}}]}",
        "search: null\nretrain: {systems: [{name: a, preset: cp-mobile}]}",
    ],
)
def test_what_asc_takes_editors_take(text):
    """Each way to write a section is valid for the schema as it is for `asc`."""
    data = parse_yaml(text, "test")
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []
    parse_config(RunConfig, data, "test")


@pytest.mark.parametrize(
    "text",
    [
        "fold: 0",
        "folds: 1",
        "train: {epoch: 1}",
        "space: {stem_filter: [8]}",
        "space: {family: cp_mobile, stem_filters: [8]}",
        "space: {kernel_size: [4]}",
        "space: {expansion: {low: 1}}",
        "space: {train: {epochs: [4]}}",
        "space: {family: resnet}",
        "prepare: {features: nope}",
        "rules: {limits: {bytes: 1}}",
    ],
)
def test_what_asc_refuses_editors_mark(text):
    """A misspelt key, a value out of range, a knob of another family: the schema refuses what `asc` refuses."""
    data = parse_yaml(text, "test")
    assert not VALIDATOR.is_valid(data)
    with pytest.raises(ConfigError):
        parse_config(RunConfig, data, "test")


@pytest.mark.parametrize("family", ["inverted_residual", "dcase_baseline", "cp_mobile", "tan2025"])
def test_every_knob_is_in_the_schema(family):
    """An editor offers every knob of a family, each with its meaning."""
    space = json_schema()["$defs"]["SpaceConfig"]
    (own,) = [part["then"] for part in space["allOf"] if part["if"]["properties"]["family"]["const"] == family]
    offered = {**own["properties"], **space["properties"]}
    assert [name for name in known_knobs(family) if not offered[name].get("description")] == []


def test_the_reference_page_is_what_is_generated():
    """search/configuration.md is the output of `asc config show --markdown`; whoever changes a key renews it."""
    page = Path(ROOT / "search" / "configuration.md").read_text(encoding="utf-8")
    assert page == reference()
    shown = CliRunner().invoke(app, ["config", "show", "--markdown"])
    assert shown.stdout == page


def test_the_command_shows_what_is_set():
    """`asc config show` applies --set, and `asc config schema` prints the schema as JSON."""
    shown = CliRunner().invoke(app, ["config", "show", "demo", "--set", "search.n_trials=7"])
    assert parse_yaml(shown.stdout, "shown")["search"]["n_trials"] == 7
    assert "  # Candidates that are trained;" in shown.stdout
    assert json.loads(CliRunner().invoke(app, ["config", "schema"]).stdout) == json_schema()
