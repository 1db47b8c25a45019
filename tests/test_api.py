"""The names that the packages offer to Python, each imported when it is first used."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch

import pytest
from process_support import ROOT

PUBLIC = {
    "data_prep": "PrepareConfig FeatureSpec ReaderSpec read_corpus check_data prepare_shards synthesize read_manifest "
    "read_split extract_files FeatureSet LogMel",
    "asc_models": "preset estimate RulesConfig build TrainConfig Trainer fit export measure Artifact Classifier",
    "results": "open_run Run score_submission validate_submission pareto_front",
    "search": "read_config run search survey Space SpaceConfig",
}
"""Whoever offers another name enters it here."""
HEAVY = (
    "tensorflow",
    "keras",
    "ai_edge_litert",
    "ray",
    "optuna",
    "matplotlib",
    "librosa",
    "pandas",
    "numpy",
    "pydantic",
)
NAMES = [(package, name) for package, names in PUBLIC.items() for name in names.split()]


@pytest.mark.parametrize("package", PUBLIC)
def test_what_is_offered_is_what_is_listed(package):
    """`__all__` and `dir` of a package are the listed names, none of which is a submodule's."""
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(PUBLIC[package].split())
    assert dir(module) == sorted(module.__all__)
    assert not set(module.__all__) & {found.name for found in pkgutil.iter_modules(module.__path__)}


@pytest.mark.system
@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_name_is_there_and_documented(package, name):
    """A public name is a class or a function of its package, and its docstring says more than its name."""
    found = getattr(importlib.import_module(package), name)
    assert inspect.isclass(found) or inspect.isfunction(found)
    assert found.__module__.split(".")[0] == package
    assert len(inspect.getdoc(found) or "") > 20


FIRST = {"data_prep.home", "asc_models.extras"}
"""Modules that set what libraries read when they are imported."""


@pytest.mark.system
@pytest.mark.parametrize("package", PUBLIC)
def test_to_import_a_package_loads_nothing_heavy(package):
    """Until a name is used, a package has loaded neither a framework nor NumPy, and of its own modules only those that
    prepare the environment for libraries."""
    script = (
        f"import sys, {package}\n"
        f"own = {{name for name in sys.modules if name.startswith('{package}.')}} - {FIRST!r}\n"
        f"print([name for name in sys.modules if name in {HEAVY!r}] + sorted(own))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.system
def test_sizes_are_estimated_without_a_framework():
    """What only describes and counts networks (configurations, presets, the space) loads no framework when used."""
    script = (
        "import sys, asc_models, search\n"
        "asc_models.estimate(asc_models.preset('cp-mobile'), (256, 64, 1), 10), search.Space(search.SpaceConfig())\n"
        "print([name for name in ('tensorflow', 'keras', 'ray', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_stubs_are_installed_with_the_packages():
    """Without its stub a package can't be imported, so each is among the package data."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["*"]
    for package in PUBLIC:
        stub = ROOT / package / "__init__.pyi"
        assert stub.is_file()
        assert any(fnmatch(stub.name, pattern) for pattern in patterns)
