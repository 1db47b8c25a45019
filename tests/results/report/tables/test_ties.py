"""What the report says of systems that validation does not tell apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_support import add_candidate, make_run

from asc_models.ensemble import temper
from results.candidates.predictions import Predictions, read_predictions, write_predictions
from results.report.data import read_run_data
from results.report.tables.ties import difference_matrix, ties, validation_differences
from results.rundir import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    for name, skill in (("one", 1.3), ("two", 1.2), ("weak", 0.1)):
        add_candidate(run, name, size=20_000, skill=skill)
    return run


def test_the_sentence_and_the_table_agree(run: RunDirectory) -> None:
    """Two good candidates are one group, the weak one is another."""
    content = ties(read_run_data(run))
    assert content is not None
    assert content["text"].endswith(" by log loss; 1 system is significantly worse.")
    cells = [row["cells"] for row in content["table"]["rows"]]
    assert [row[0] for row in cells] == ["1", "1", "2"]
    assert {row[1] for row in cells[:2]} == {"one-s0", "two-s0"}
    assert cells[2][1] == "weak-s0"


def test_a_candidate_is_not_worse_for_its_temperature(run: RunDirectory) -> None:
    """A candidate whose probabilities are the first one's, far too sharp, cannot be distinguished from it."""
    first, second = run.candidate("one", 0), run.candidate("two", 0)
    given = read_predictions(first.predictions_path("validation"))
    sharp = Predictions(given.clips, temper(given.probabilities, 0.25).astype("float32"), given.classes)
    write_predictions(second.predictions_path("validation"), sharp)
    content = ties(read_run_data(run))
    assert content is not None
    assert [row["cells"][0] for row in content["table"]["rows"]] == ["1", "1", "2"]


def test_one_candidate_has_no_differences(tmp_path: Path) -> None:
    """There is nothing to compare it with."""
    assert ties(read_run_data(make_run(tmp_path / "run", n_candidates=1, search=False))) is None


def test_the_matrix_has_every_pair_from_both_sides(run: RunDirectory) -> None:
    """Three systems: six cells, each the negative of its mirror; what is in one group is marked as equal."""
    data = read_run_data(run)
    content = difference_matrix(data)
    assert content is not None
    names = [column["name"] for column in content["columns"]][1:]
    assert names == [row["cells"][0] for row in content["rows"]] == list(data.compared)
    cells = [row["cells"][1:] for row in content["rows"]]
    for i in range(3):
        assert cells[i][i] == "–"
        for j in range(i):
            number, mirror = (float(cell.removeprefix("= ").split()[0]) for cell in (cells[i][j], cells[j][i]))
            assert number == -mirror >= 0
    assert cells[1][0].startswith("= ")
    assert not cells[2][0].startswith("= ")
    losses = {name: data.calibrations[name].log_loss for name in names}
    for one in validation_differences(data):
        assert one.loss == pytest.approx(losses[one.system] - losses[one.reference], abs=1e-6)
