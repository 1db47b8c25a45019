"""`asc doctor` on this machine: what is well is shown, what isn't is told with what to do, and counts."""

import json
import os
import re
import subprocess
import sys

import pytest
from process_support import ROOT
from typer.testing import CliRunner

from asc_models.processor import instruction_set
from data_prep.errors import RunError
from data_prep.shards.manifest import read_manifest
from search.cli.main import app
from search.cluster.doctor import look

pytestmark = pytest.mark.system


def asked(*arguments):
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch, ray_here):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_a_sound_machine_passes(shards, tmp_path):
    """Versions, processors, a storage that was written to and read, and the shards' identity; nothing left behind."""
    result = asked("--storage", tmp_path / "shared", "--shards", shards, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)["nodes"]["this machine"]
    assert facts["manifest_hash"] == read_manifest(shards).hash()
    assert facts["storage_problem"] is None
    assert None not in facts["versions"].values()
    assert facts["n_threads"] >= 1
    assert 0 < facts["memory_available_bytes"] <= facts["memory_bytes"]
    assert facts["temporary_free_bytes"] > 0
    assert facts["training"] == {
        "instruction_set": instruction_set(),
        "onednn": os.environ["TF_ENABLE_ONEDNN_OPTS"],
        "keras_backend": "tensorflow",
    }
    assert [path for path in (tmp_path / "shared").rglob("*") if path.is_file()] == []
    said = asked("--storage", tmp_path / "shared", "--shards", shards).stdout
    assert "1 of 1 ready" in said
    assert f"{facts['memory_bytes'] / 1e9:.1f}" in said


def test_what_training_computes_with_is_shown_and_a_slow_setting_told(monkeypatch):
    """Flag, instruction set and Keras' backend stand in a table; oneDNN switched off is a remark and no problem."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    said = asked()
    row = next(line for line in said.output.splitlines() if instruction_set() in line)
    assert row.split()[-3:] == [instruction_set(), "1", "tensorflow"]
    assert "three times slower" not in said.output
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    said = asked("--json")
    assert said.exit_code == 0
    assert any("three times slower" in remark for remark in json.loads(said.stdout)["remarks"])


def test_what_is_wrong_is_told_with_its_way_out(tmp_path):
    """A storage that can't be written and shards that aren't there: two problems, each with what to do, exit 1."""
    (tmp_path / "file").write_text("")
    result = asked("--storage", tmp_path / "file" / "below", "--shards", tmp_path / "nothing")
    assert isinstance(result.exception, RunError)
    said = str(result.exception)
    assert said.startswith("2 problems to fix:")
    assert "this machine: storage: " in said
    assert "`asc prepare`" in said


def test_a_storage_that_a_node_does_not_share_is_told(tmp_path):
    """A node that doesn't see what the driver wrote has another folder of the same name."""
    facts = look(str(tmp_path), "0123456789abcdef", None)
    assert "another storage, such as a folder that is not shared" in facts["storage_problem"]


def test_a_cluster_that_is_not_there_is_told_quickly():
    """A wrong address ends in one message that names token authentication, not in minutes of retries."""
    asc = [
        sys.executable,
        "-m",
        "search.cli.main",
        "doctor",
        "--address",
        "127.0.0.1:9",
    ]  # in a process without Ray yet
    done = subprocess.run(asc, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 1
    assert re.search(r"cannot connect to a Ray cluster at 127\.0\.0\.1:9: .*RAY_AUTH_MODE=token", done.stderr)
