"""The small installation: `asc predict` with the packages of the dependency group `predict` and no others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

import numpy as np
import pytest
import soundfile
from candidate_support import write_candidate
from cli_support import asc
from packaging.requirements import Requirement
from process_support import ROOT

pytestmark = pytest.mark.system

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUP = PROJECT["dependency-groups"]["predict"]
BLOCKED = """
import json, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    names = set(json.loads(sys.argv.pop(1)))
    def find_spec(self, fullname, path, target=None):
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

sys.meta_path.insert(0, Missing())
from search.cli.main import main
main()
"""


def named(text):
    return re.sub(r"[-_.]+", "-", text).lower()


def with_dependencies(requirements):
    """Return the names of the packages that an installation of `requirements` has."""
    found, left = set(), [Requirement(text) for text in requirements]
    while left:
        name = named(left.pop().name)
        if name in found:
            continue
        found.add(name)
        try:
            needed = map(Requirement, distribution(name).requires or ())
        except PackageNotFoundError:  # of another Python version
            continue
        left += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def missing():
    """The modules that are installed here, and not in the small installation."""
    kept = with_dependencies(GROUP) | {"asc-search"}
    return sorted(name for name, of in packages_distributions().items() if not kept & set(map(named, of)))


def run_small(missing, *arguments):
    command = [sys.executable, "-c", BLOCKED, json.dumps(missing), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_group_is_part_of_the_dependencies():
    """With the same versions, so that there is one place to change them."""
    assert set(GROUP) < set(PROJECT["project"]["dependencies"])


def test_predict_gives_the_same_answers(missing, tmp_path):
    """Without TensorFlow, Keras, Ray, pandas and Arrow: on the screen, as JSON, and in the table."""
    assert {"tensorflow", "keras", "ray", "pandas", "pyarrow", "optuna", "matplotlib"} <= set(missing)
    candidate = write_candidate(tmp_path / "t0000-s0", "int8_weights")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 50_000), 22_050)
    arguments = ("predict", candidate, tmp_path / "a.wav", "--windows", "--json", "--csv")
    done = run_small(missing, *arguments, tmp_path / "small.csv")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(asc(*arguments, tmp_path / "whole.csv").stdout)
    assert (tmp_path / "small.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_other_commands_name_what_they_lack(missing, tmp_path):
    """One sentence with the way out, no traceback."""
    done = run_small(missing, "inspect", tmp_path)
    assert done.returncode == 1
    assert "is not installed, which this command needs. Install all dependencies" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
