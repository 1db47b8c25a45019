"""Every table's views are views of one list of columns."""

import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from results_support import make_run

from asc_models.rules import QUANTITY_TITLES, Quantity, RulesConfig
from results.candidates.limits import Limits
from results.config import EnsembleConfig
from results.ensembles.ensemble import build_ensemble
from results.report.data import RunData, read_run_data
from results.report.tables.baselines import _of_ensemble
from results.report.tables.calibration import calibration_table
from results.report.tables.candidates import candidate_table, ensemble_values
from results.report.tables.ensembles import member_table, method_table
from results.report.tables.groups import score_table
from results.report.tables.packed import packed_table
from results.report.tables.published import system_table
from results.report.tables.seeds import seed_table
from results.report.tables.table import Table
from results.report.tables.trials import trial_table
from results.rundir import RunDirectory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    made = make_run(tmp_path_factory.mktemp("columns") / "run")
    build_ensemble(made, EnsembleConfig(), Limits())
    return made


@pytest.fixture(scope="module")
def data(run: RunDirectory) -> RunData:
    return read_run_data(run)


def all_of(data: RunData) -> list[Table[Any]]:
    tables = [candidate_table(data), member_table(data, data.ensembles), seed_table(data), system_table(data)]
    tables += [calibration_table(data), trial_table(data.trials)]
    return [*tables, score_table(data, "scene"), score_table(data, "device")]


def test_every_view_is_of_the_columns_that_are_there(data: RunData) -> None:
    """Names are unique in a table; page, terminal and totals name no other columns; the page has a cell for each."""
    for table in all_of(data):
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names))
        assert {*table.page, *table.terminal, *table.total} <= set(names)
        assert table.frame().columns.tolist() == [column.name for column in table.columns if column.in_csv]
        content = table.content()
        assert [column["name"] for column in content["columns"]] == [c.title for c in table.named(table.page)]
        assert {len(row["cells"]) for row in content["rows"]} <= {len(content["columns"])}
        assert len(content["rows"]) == len(table.all_rows) + bool(table.total)


@pytest.mark.parametrize("quantity", get_args(Quantity))
def test_the_limited_quantity_stands_once(quantity: Quantity, tmp_path: Path) -> None:
    """Whichever quantity is limited has one column on the page and on the terminal, and marks what is over."""
    copy = make_run(tmp_path / "run", n_candidates=1, search=False)
    rules = {"name": "custom", "limits": {quantity: 10}}
    copy.config_path.write_text(yaml.safe_dump({**copy.read_config(), "rules": rules}))
    table = candidate_table(read_run_data(copy))
    content = table.content()
    titles = [column["name"] for column in content["columns"]]
    heading = "M MACs" if quantity == "macs" else QUANTITY_TITLES[quantity]
    assert titles.count(heading) == 1
    assert content["rows"][0]["cells"][titles.index(heading)].endswith(" (over)")
    assert [column.name for column in table.named(table.terminal)].count(quantity) == 1


def test_an_ensemble_has_values_of_the_candidates_columns(data: RunData) -> None:
    """Name, size and scores of an ensemble stand under the candidates' headings."""
    (ensemble,) = data.ensembles
    alone = dataclasses.replace(ensemble, members={data.candidates[0].name: 1.0}, temperature=0.6)
    assert ensemble_values(data, alone)["candidate"] == f"{data.candidates[0].name} with T 0.60"
    values = ensemble_values(data, ensemble)
    assert set(values) <= {column.name for column in candidate_table(data).columns}
    assert values["nonzero_weight_bytes"] == ensemble.total_bytes
    assert values["test_log_loss"] == ensemble.metrics["test"]["log_loss"]


def test_bytes_of_a_joint_ensemble_are_those_of_all_members(data: RunData) -> None:
    """The stated bytes of an outside member count next to those of the run's candidates."""
    (ensemble,) = data.ensembles
    joint = dataclasses.replace(ensemble, members={**ensemble.members, "kim": 0.1}, outside={"kim": 20_000})
    assert _of_ensemble(data, joint).weight_bytes == _of_ensemble(data, ensemble).weight_bytes + 20_000


def test_of_peak_activations_the_largest_counts(data: RunData) -> None:
    """Members run one after another: their bytes add up in the packed table, their peaks do not."""
    members = [candidate.name for candidate in data.candidates[:2]]
    rows = [{"label": "x_1", "system": "x", "members": members, "validation_log_loss": 1.0, "temperature": 1.0}]
    for quantity, expected in (("peak_activation_bytes", max), ("macs", sum)):
        limits = Limits(RulesConfig(name="custom", limits={quantity: 10**9}))
        frame = packed_table(dataclasses.replace(data, limits=limits), rows).frame()
        values = [getattr(candidate.metrics, quantity) for candidate in data.candidates[:2]]
        assert frame[quantity].tolist() == [expected(values)]


def test_the_methods_of_an_ensemble_have_their_held_out_losses(data: RunData) -> None:
    """Each method has one row; the chosen one has the lowest loss, and alone has members, size and gain."""
    (ensemble,) = data.ensembles
    table = method_table([ensemble], "nonzero_weight_bytes").frame()
    assert sorted(table["held_out_log_loss"]) == sorted(ensemble.held_out.values())
    chosen = table[table["n_members"].notna()]
    assert chosen["held_out_log_loss"].tolist() == [min(ensemble.held_out.values())]
    assert chosen["nonzero_weight_bytes"].tolist() == [ensemble.total_bytes]
