"""Worst devices of systems, and means of device groups."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from results_support import CONFIG, add_candidate, make_run

from data_prep.files.files import read_json, write_json
from results.candidates.candidates import read_metrics
from results.report.data import read_run_data
from results.report.tables.devices import MIN_CLIPS, device_table, worst_devices


def test_a_row_is_a_system_averaged_over_its_seeds(tmp_path: Path) -> None:
    """Two seeds of one candidate are one row per split; worst device and group means are those of metrics.json."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    prepare: dict[str, Any] = {**CONFIG["prepare"], "validation": {"holdout_devices": ["s6"]}}
    run.config_path.write_text(yaml.safe_dump({**CONFIG, "prepare": prepare}))
    for seed in (0, 1):
        add_candidate(run, "one", size=20_000, skill=1.3, seed=seed)
    table = device_table(read_run_data(run))
    assert [(row.system, row.split) for row in table.rows] == [("one", "test"), ("one", "validation")]
    read = [read_metrics(files.metrics_path).splits["test"]["by_device"] for files in run.candidates()]
    losses = {name: statistics.fmean(one[name]["log_loss"] for one in read) for name in read[0]}
    large = {name: loss for name, loss in losses.items() if read[0][name]["n_clips"] >= MIN_CLIPS}
    row = table.rows[0]
    assert row.worst == max(large, key=lambda name: large[name])
    assert row.of_worst("log_loss") == pytest.approx(max(large.values()))
    for group, devices in {"real": "abc", "seen": ("s1", "s2", "s3", "s4", "s5"), "unseen": ("s6",)}.items():
        expected = statistics.fmean(one[name]["macro_accuracy"] for one in read for name in devices)
        assert row.mean(group) == pytest.approx(expected)


def test_a_device_without_validation_clips_is_unseen(tmp_path: Path) -> None:
    """Validation is a part of the training side, so what it lacks, training lacks."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    (files,) = run.candidates()
    metrics = read_json(files.metrics_path)
    for device in ("s4", "s5", "s6"):
        del metrics["validation"]["by_device"][device]
    write_json(files.metrics_path, metrics)
    test, _ = device_table(read_run_data(run)).rows
    assert {name for name, group in test.group_of.items() if group == "unseen"} == {"s4", "s5", "s6"}


def test_one_device_has_no_table(tmp_path: Path) -> None:
    """Nothing is worse than the only device."""
    assert worst_devices(read_run_data(make_run(tmp_path / "run", n_candidates=0, search=False))) is None
