"""YAML is read in one place, and written so that it is read back alike."""

import ast
from pathlib import Path

import pytest

from data_prep.errors import ConfigError
from data_prep.yaml_file import read_yaml, to_yaml

REPOSITORY = Path(__file__).parents[2]
FOREIGN = "results/submission/validate.py"
"""Reads descriptions of systems, which other tools may have written."""


def test_one_module_knows_the_yaml_library():
    """Every configuration goes through data_prep.yaml_file: no other module imports a YAML library."""
    importing = set()
    for package in ("data_prep", "asc_models", "results", "search"):
        for path in (REPOSITORY / package).rglob("*.py"):
            imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
            if any(name.name.partition(".")[0] == "yaml" for node in imports for name in node.names):
                importing.add(path.relative_to(REPOSITORY).as_posix())
    assert importing == {"data_prep/yaml_file.py", FOREIGN}


def test_what_is_written_is_read_back(tmp_path: Path):
    """Mappings come back equal and in their order; an empty file is an empty mapping."""
    path = tmp_path / "config.yaml"
    value = {"b": [1, 2.5, None], "a": {"scene": "métro", "on": True}}
    path.write_text(to_yaml(value), encoding="utf-8")
    assert read_yaml(path) == value
    assert list(read_yaml(path)) == ["b", "a"]
    path.write_text("")
    assert read_yaml(path) == {}


@pytest.mark.parametrize(("content", "reason"), [(b"a: \xff", "no UTF-8 text, from byte 3"), (None, "cannot be read")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, reason: str):
    """A missing file and one that is no text are errors that name the file and the reason."""
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as error:
        read_yaml(path)
    assert str(error.value).startswith(str(path))
