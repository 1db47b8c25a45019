"""`asc compare`: what it prints and writes of runs that are there."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from cli_support import asc
from page_support import PageReader
from results_support import add_candidate, add_search

from data_prep.files.files import write_text
from data_prep.files.yaml_file import to_yaml
from results.rundir import RunDirectory
from search.config import RunConfig
from search.run_config import open_run

pytestmark = pytest.mark.system


def made(root: Path, seed: int, **settings: object) -> RunDirectory:
    """Return a run with a search of its own seed and a candidate."""
    run = RunDirectory(root)
    open_run(run, RunConfig(**settings))
    data = {"name": "corpus", "manifest_hash": "0123456789ab"}
    write_text(run.config_path, to_yaml({**run.read_config(), "data": data}))
    add_search(run, n_trials=12, seed=seed)
    add_candidate(run, "t00", size=50_000, skill=2.0 + seed)
    return run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on fold 1 with different recipes, and one on fold 2."""
    root = tmp_path_factory.mktemp("runs")
    made(root / "plain", 0)
    made(root / "smooth", 1, train={"label_smoothing": 0.1})
    made(root / "fold2", 2, fold=2)
    return root


def test_the_terminal_shows_what_is_compared_and_why_not(root):
    """Two groups: hypervolumes, selected candidates, their difference, the key that differs; the reason for fold 2."""
    said = asc("compare", "plain", "smooth", "fold2", folder=root).stdout
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert max(map(len, said.splitlines())) <= 80
    assert "run trials finished epochs volume acc volume loss" in lines
    assert "train.label_smoothing 0.0 0.1" in lines
    assert any(line.startswith("smooth plain ") for line in lines)
    assert "fold2: not compared with plain, smooth; the fold is 2, not 1." in lines


@pytest.fixture(scope="module")
def written(root: Path) -> tuple[Path, str]:
    """The folder that a comparison was written to, which had a file already, and what it printed as JSON."""
    write_text(root / "out" / "tables" / "mine.csv", "kept")
    return root / "out", asc("compare", "plain", "smooth", "fold2", "--json", "--out", "out", folder=root).stdout


def test_json_has_the_values_of_the_tables(written):
    """Standard output is JSON alone, with the rows of runs.csv by group."""
    folder, printed = written
    compared, alone = json.loads(printed)["groups"]
    table = pd.read_csv(folder / "tables" / "runs.csv").head(2)
    for name in ("hypervolume_log_loss", "weight_bytes", "test_macro_accuracy"):
        assert [run[name] for run in compared["runs"]] == pytest.approx(table[name].tolist(), rel=1e-5)
    assert compared["reference"]["weight_bytes"] == 128_000
    assert compared["settings"] == {"train.label_smoothing": {"plain": 0.0, "smooth": 0.1}}
    assert (alone["fold"], alone["reference"], alone["settings"]) == (2, None, {})


def test_the_same_runs_give_the_same_bytes(root, written, tmp_path):
    """Page, tables and figures; the page is valid and loads nothing; other files of the folder are kept."""
    asc("compare", "plain", "smooth", "fold2", "--out", tmp_path, folder=root)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "compare.html",
        *(f"tables/{name}.csv" for name in ("runs", "fronts", "differences", "settings")),
        *(f"figures/fronts_{score}_1.{end}" for score in ("macro_accuracy", "log_loss") for end in ("png", "svg")),
    }
    assert all((tmp_path / path).read_bytes() == (written[0] / path).read_bytes() for path in files)
    assert (written[0] / "tables" / "mine.csv").read_text() == "kept"
    page = PageReader((tmp_path / "compare.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    assert len(page.ids) == len(set(page.ids))
    assert len(page.alts) == 2


def test_what_is_no_run_is_refused(root, tmp_path):
    """One message, and nothing is written."""
    said = asc("compare", "plain", tmp_path, "--out", tmp_path / "out", folder=root, code=1)
    assert "not a run directory" in said.stderr
    assert "two different runs" in asc("compare", "plain", folder=root, code=1).stderr
    assert not (tmp_path / "out").exists()
