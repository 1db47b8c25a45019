"""The report's tables say what the predictions say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from results_support import add_candidate, make_run

from asc_models.metrics import macro_accuracy
from data_prep.corpora.corpus import TAU_SCENES
from results.published import CLASS_WISE, CLASS_WISE_AVERAGE
from results.report.data import RunData, read_run_data
from results.report.tables.all import all_tables, confusion_table, write_tables
from results.report.tables.candidates import candidate_table
from results.report.tables.groups import group_table
from results.report.tables.published import system_table


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return read_run_data(make_run(tmp_path_factory.mktemp("tables") / "run"))


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    """Texts and headings that a spreadsheet would compute have an apostrophe in front; numbers stay numbers."""
    texts = ["=cmd|' /C calc'!A0", "+1", "-x", "@sum"]
    harmless = ["a=b", "'", "–", 'a"b', "a,b", "two\nlines", "\t=1", "\r=1"]
    table = pd.DataFrame({"=1+1": [*texts, *harmless], "value": -1.5, "n": -3, "none": None})
    write_tables({"made": table}, tmp_path)
    written = pd.read_csv(tmp_path / "made.csv")
    assert list(written.columns) == ["'=1+1", "value", "n", "none"]
    shown = [*harmless[:-3], "two\\nlines", "\\t=1", "\\r=1"]
    assert written["'=1+1"].tolist() == [*(f"'{text}" for text in texts), *shown]
    assert (written["value"] == -1.5).all()
    assert (written["n"] == -3).all()
    assert written["none"].isna().all()


def test_candidates_come_with_intervals_and_one_is_selected(data: RunData) -> None:
    """The first row is the selected one, and each test accuracy lies in its interval."""
    table = candidate_table(data).frame()
    assert table["selected"].tolist() == [True, False, False]
    assert table["validation_calibrated_log_loss"].is_monotonic_increasing
    assert (table["test_low"] <= table["test_macro_accuracy"]).all()
    assert (table["test_macro_accuracy"] <= table["test_high"]).all()


def test_a_candidate_over_any_limit_is_not_selected(tmp_path: Path) -> None:
    """Within 2023's bytes, but over its 30 million operations: marked so, and the next one is selected."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    run.config_path.write_text(yaml.safe_dump({**run.read_config(), "rules": {"name": "dcase2023"}}))
    add_candidate(run, "busy", size=20_000, skill=3.0, macs=31_000_000)
    add_candidate(run, "light", size=20_000, skill=2.0, macs=29_000_000)
    table = candidate_table(read_run_data(run)).frame().set_index("candidate")
    assert table["within_limit"].to_dict() == {"busy-s0": False, "light-s0": True}
    assert table["selected"].to_dict() == {"busy-s0": False, "light-s0": True}


def test_groups_add_up_to_the_whole(data: RunData) -> None:
    """Scene accuracies average to the macro accuracy; devices' clips sum to the split's."""
    assert data.selected is not None
    scenes, devices = group_table(data, "scene"), group_table(data, "device")
    assert scenes["scene"].tolist() == list(TAU_SCENES)
    assert scenes["macro_accuracy"].mean() == pytest.approx(data.selected.metrics.value("test", "macro_accuracy"))
    assert devices["n_clips"].sum() == 240
    assert (scenes["low"] <= scenes["high"]).all()
    last = all_tables(data)["by_scene"].iloc[-1]
    assert (last["scene"], last["n_clips"]) == ("average", 240)
    assert last["macro_accuracy"] == pytest.approx(scenes["macro_accuracy"].mean())
    assert last["published: Sys 4"] == round(CLASS_WISE_AVERAGE["Sys 4"] / 100, 4)
    assert (last["low"], last["high"]) == data.interval(data.selected.name)
    assert scenes["published: Sys 4"].tolist() == [round(CLASS_WISE[s]["Sys 4"] / 100, 4) for s in TAU_SCENES]


def test_the_confusion_matrix_counts_every_clip_once(data: RunData) -> None:
    """Its sum is the number of clips and its diagonal gives the macro accuracy."""
    assert data.selected is not None
    test = data.test[data.selected.name]
    counts = confusion_table(test).to_numpy()
    assert counts.sum() == 240
    assert (np.diag(counts) / counts.sum(axis=1)).mean() == pytest.approx(
        macro_accuracy(test.labels, test.probabilities)
    )


def test_published_numbers_stand_beside_tau_only(tmp_path: Path) -> None:
    """Another class list, and the synthesized corpus with TAU's classes, get no published numbers."""
    other = read_run_data(make_run(tmp_path / "a", n_candidates=1, search=False, classes=("dog", "rain")))
    run = make_run(tmp_path / "b", n_candidates=1, search=False)
    run.config_path.write_text(yaml.safe_dump({**run.read_config(), "synth": {"seed": 0}}))
    for data in (other, read_run_data(run)):
        assert system_table(data).frame().empty
        assert not [column for column in group_table(data, "scene") if column.startswith("published")]


def test_written_tables_read_back(data: RunData, tmp_path: Path) -> None:
    """Every table that has rows is one CSV file with the same rows and columns."""
    tables = all_tables(data)
    by_part = {
        "by_scene",
        "by_device",
        "confusion",
        "calibration",
        "ties",
        "differences",
        "worst_devices",
        "knobs",
        "clips",
    }
    assert set(tables) == {"candidates", "trials", "rungs", "published"} | by_part
    write_tables(tables, tmp_path)
    for name, table in tables.items():
        read = pd.read_csv(tmp_path / f"{name}.csv")
        assert read.columns.tolist() == table.columns.tolist()
        assert len(read) == len(table)


def test_clips_are_counted_by_split_device_and_scene(data: RunData) -> None:
    """Without shards, those of validation and test, from predictions: parts add up to all."""
    table = all_tables(data)["clips"].set_index("group")
    for split in ("validation", "test"):
        total = table.loc["all", f"{split}_clips"]
        assert total == data.candidates[0].metrics.splits[split]["n_clips"]
        for group in ("device", "scene"):
            assert table.loc[group, f"{split}_clips"].sum() == total
            assert (table.loc[group, f"{split}_locations"] <= table.loc["all", f"{split}_locations"]).all()
