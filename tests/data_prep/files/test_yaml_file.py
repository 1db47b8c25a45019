"""YAML is read in one place, and written so that it is read back alike."""

import ast
from pathlib import Path

import pytest
import yaml
from process_support import ROOT
from source_support import modules, parsed

from data_prep.config import PrepareConfig
from data_prep.errors import ConfigError
from data_prep.files.yaml_file import load_yaml, read_yaml, to_yaml
from data_prep.schema import parse_config
from search.config import read_run_config

FOREIGN = "results/submission/validate.py"
"""Reads descriptions of systems, which other tools may have written."""


@pytest.mark.system
def test_one_module_knows_the_yaml_library():
    """Every configuration goes through data_prep.files.yaml_file: no other module imports a YAML library."""
    importing = set()
    for path in modules():
        imports = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Import)]
        if any(name.name.partition(".")[0] == "yaml" for node in imports for name in node.names):
            importing.add(path.relative_to(ROOT).as_posix())
    assert importing == {"data_prep/files/yaml_file.py", FOREIGN}


def test_what_is_written_is_read_back(tmp_path: Path):
    """Mappings come back equal and in their order; an empty file is an empty mapping."""
    path = tmp_path / "config.yaml"
    value = {"b": [1, 2.5, None], "a": {"scene": "métro", "on": True}}
    path.write_text(to_yaml(value), encoding="utf-8")
    assert read_yaml(path) == value
    assert list(read_yaml(path)) == ["b", "a"]
    path.write_text("")
    assert read_yaml(path) == {}


@pytest.mark.parametrize(("content", "reason"), [(b"a: \xff", "not UTF-8 text at byte 3"), (None, "cannot be read")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, reason: str):
    """A missing file and one that is no text are errors that name the file and the reason."""
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as error:
        read_yaml(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("text", ["1e-3", "-1E5", "+2e10", "1.e-3", ".5e3", "1.5e-08", "2.5e+3"])
def test_numbers_with_exponents_are_numbers_wherever_they_stand(text):
    """With or without point and sign, alone, in a list, in a mapping: the number that Python reads."""
    assert load_yaml(f"{{low: {text}, high: [{text}]}}", "x") == {"low": float(text), "high": [float(text)]}
    assert isinstance(load_yaml(text, "x"), float)


@pytest.mark.parametrize("text", ["'1e-3'", "e5", "1e", "1e5x", "1e-", "0x1e5z", "1_e3", "1e3 4"])
def test_text_that_only_looks_like_a_number_stays_text(text):
    """Quoted, or with anything missing or more: text, as plain YAML reads it."""
    assert load_yaml(text, "x") == yaml.safe_load(text)
    assert isinstance(load_yaml(text, "x"), str)


@pytest.mark.parametrize(
    "value", ["1e3", "1e-3", 1e-3, 1e-8, 1e300, "-.5e3", "1.5e-3", 0.1, 10**20, "no", ["1e3", 1e3]]
)
def test_what_is_written_is_read_again(value):
    """Texts that look like numbers come back as texts, numbers as numbers."""
    back = load_yaml(to_yaml({"value": value}), "x")["value"]
    assert (back, type(back)) == (value, type(value))


def test_exponents_are_taken_by_every_section(tmp_path):
    """In the data's settings, in a knob's range, in a list of choices, by --set: the same number as written out."""
    parsed = parse_config(PrepareConfig, load_yaml("{features: {log_offset: 1e-6}}", "x"), "x")
    assert parsed.features.log_offset == 0.000001
    found = []
    for low, rate, decay in (("1e-4", "1e-2", "1e-3"), ("0.0001", "0.01", "0.001")):
        path = tmp_path / f"{low}.yaml"
        path.write_text(
            f"space: {{train.learning_rate: {{low: {low}, high: {rate}, log: true}}, base_filters: [8, 16]}}\n"
            f"train: {{min_learning_rate: {low}}}\n"
        )
        found.append(read_run_config(str(path), [f"train.weight_decay={decay}"]))
    assert found[0] == found[1]


def bomb(levels: int = 9, join: str = "[{}]") -> str:
    lines = ["x0: &a0 " + join.format(", ".join("x" * 10))]
    lines += [f"x{i}: &a{i} " + join.format(", ".join([f"*a{i - 1}"] * 10)) for i in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb() + "fold: *a8", "values, counting aliases"),
        (
            "a0: &a0 {x: 1}\n"
            + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 9)),
            "aliases",
        ),
        ("fold: &a [*a]", "counting aliases"),
        ("fold: &a {x: *a}", "counting aliases"),
        ("fold: " + "9" * 5000, "line 1: a number or date of 5,000 characters"),
        ("fold: " + ":".join(["1"] * 10_000), "a number or date of"),
        ("fold: 2021-99-99", "month must be in 1..12"),
        ("fold: " + "[" * 500 + "]" * 500, "nested too deeply"),
        ("fold: " + "{x: " * 500 + "}" * 500, "nested too deeply"),
        ("a: " + "b " * 600_000, "more than 1,000,000 bytes"),
        ("a: \x00", "not YAML"),
        ("? [1]\n: 2", "not YAML"),
    ],
)
def test_yaml_that_would_run_wild_is_refused(tmp_path: Path, text: str, reason: str):
    """Bombs of aliases, of merged keys and of size, endless lists, absurd numbers: one sentence, at once, from a file
    and from `--set`."""
    path = tmp_path / "config.yaml"
    path.write_text(text)
    for read in (lambda: read_yaml(path), lambda: load_yaml(text, "--set")):
        with pytest.raises(ConfigError, match=reason) as error:
            read()
        assert len(str(error.value)) < 500


def test_a_large_file_is_not_read_whole(tmp_path: Path):
    """Of a device without an end only as much is read as may be there; a character may lie across the limit."""
    with pytest.raises(ConfigError, match="more than 1,000,000 bytes"):
        read_yaml(Path("/dev/zero"))
    (tmp_path / "config.yaml").write_text("a: " + "é" * 600_000, encoding="utf-8")
    with pytest.raises(ConfigError, match="more than 1,000,000 bytes"):
        read_yaml(tmp_path / "config.yaml")


def test_aliases_and_merged_keys_are_read():
    """Where they don't multiply, they stand for what they name."""
    text = "a: &a {x: 1, y: [1, 2]}\nb: *a\nc: {<<: *a, x: 3}"
    assert load_yaml(text, "x")["c"] == {"x": 3, "y": [1, 2]}
    assert load_yaml(text, "x")["b"] == load_yaml(text, "x")["a"]


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize("key", ["features.log_offset", "features.fmin_hz", "features.clip_seconds"])
def test_a_number_of_a_configuration_is_finite(key: str, number: str):
    """Infinity and NaN are refused by key, in every section: they can be neither hashed nor stored as JSON."""
    section, name = key.split(".")
    with pytest.raises(ConfigError, match=rf"{key}: .*finite number"):
        parse_config(PrepareConfig, load_yaml(f"{section}: {{{name}: {number}}}", "x"), "x")


def test_a_message_stays_short_whatever_was_written():
    """Thousands of unknown keys, a key and a value of half a megabyte: counted and cut."""
    data = {**{f"key{i}": 1 for i in range(5000)}, "x" * 500_000: 1, "features": "y" * 500_000}
    with pytest.raises(ConfigError, match=r"5,002 problems[\s\S]*and 4,952 more") as error:
        parse_config(PrepareConfig, data, "x")
    assert len(str(error.value)) < 30_000
