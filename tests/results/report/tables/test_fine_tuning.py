"""What networks of single devices give, per device."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from results_support import make_run

from data_prep.files.files import read_json, write_json
from results.report.data import read_run_data
from results.report.tables.candidates import candidate_table
from results.report.tables.fine_tuning import fine_tuning, fine_tuning_table


def test_a_row_is_a_device_with_a_network(tmp_path: Path) -> None:
    """Devices without a network have no row; all clips have one. Candidates without such networks have none."""
    run = make_run(tmp_path / "run", n_candidates=2, search=False)
    assert fine_tuning(read_run_data(run)) is None
    files = run.candidates()[0]
    metrics = read_json(files.metrics_path)
    general = copy.deepcopy(metrics["test"])
    general["macro_accuracy"] -= 0.1
    general["by_device"]["b"]["macro_accuracy"] -= 0.25
    write_json(files.metrics_path, {**metrics, "general": {"test": general}, "devices": {"a": {}, "b": {}}})
    data = read_run_data(run)
    table = fine_tuning_table(data).frame()
    assert table[["candidate", "split", "device"]].to_numpy().tolist() == [
        [files.name, "test", device] for device in ("a", "b", "all")
    ]
    assert table["macro_accuracy_gain"].tolist() == pytest.approx([0.0, 0.25, 0.1])
    assert fine_tuning(data) is not None
    candidates = candidate_table(data).frame().set_index("candidate")
    assert candidates.loc[files.name, "devices"] == "a b"
    assert candidates.loc[files.name, "general_test_macro_accuracy"] == pytest.approx(general["macro_accuracy"])
