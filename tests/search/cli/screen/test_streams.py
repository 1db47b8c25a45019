"""Streams that aren't UTF-8: every command writes to them, nothing ends in an error over a letter."""

from __future__ import annotations

import io
import json

import pytest
from cli_support import asc

from search.cli.main import app
from search.observers.json_log import JsonLog

COMMANDS = [command.callback.__name__ for command in app.registered_commands] + [
    f"{group.name} {command.callback.__name__}"
    for group in app.registered_groups
    for command in group.typer_instance.registered_commands
]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_results_and_errors_are_written_in_any_encoding(tmp_path, encoding):
    """Tables, notes and messages with dashes and signs, and names of any script."""
    said = asc("describe", "cao2021-system4", encoding=encoding).stdout
    assert " x 423 x 3" in said if encoding == "ascii" else "423" in said
    assert "Nächte–" not in asc("status", tmp_path / "Nächte–夜", code=1, encoding=encoding).stderr
    few = "space={n_blocks: 2, kernel_size: 3, growth: 1.0}"  # points, all of which are looked at
    assert asc("search", "default", "--dry-run", "--set", few, encoding=encoding).stdout


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_is_written_in_ascii(words):
    """The help of every command, with its boxes and dashes."""
    said = asc(*words.split(), "--help", encoding="ascii").stdout
    assert said.isascii()
    assert "Usage:" in said


def test_what_programs_read_keeps_its_values(tmp_path):
    """JSON escapes what the stream cannot hold; a configuration is UTF-8, as files are read."""
    name = "prepare.corpus.table=Hörlabor–夜"
    shown = asc("config", "show", "--set", name, encoding="latin-1").stdout
    assert "table: Hörlabor–夜" in shown
    (tmp_path / "config.yaml").write_text(shown, encoding="utf-8")
    assert "table: Hörlabor–夜" in asc("config", "show", tmp_path / "config.yaml").stdout
    described = asc("config", "schema", encoding="ascii").stdout
    assert described.isascii()
    assert json.loads(described) == json.loads(asc("config", "schema").stdout)


def test_events_for_programs_keep_their_values():
    """A line of the JSON log is valid JSON with the same values in any encoding."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    JsonLog(stream).on_event({"event": "note", "text": "Hörlabor–夜"})
    assert json.loads(written.getvalue()) == {"event": "note", "text": "Hörlabor–夜"}
