"""Reports of running trials reach a reader whole, seldom enough, or not at all; nothing of them is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from results.ledger.running import RunningReports, RunningTrial

TRIAL = RunningTrial("t0001", "node1", 1, "starting", 2, 6, None, 1_000.0)


def test_reports_are_read_as_written_until_they_are_removed(tmp_path: Path) -> None:
    """Two trials' reports come back; a removed one is gone; clearing leaves checkpoints only."""
    writer, other = RunningReports(tmp_path), replace(TRIAL, trial_id="t0002", loss=float("1e-9"), phase="scoring")
    for name in ("t0001.npz", ".t0003.json.17.tmp"):
        (tmp_path / name).touch()
    for trial in (TRIAL, other):
        writer.write(trial)
    assert RunningReports(tmp_path).read() == (TRIAL, other)
    writer.remove("t0001")
    assert RunningReports(tmp_path).read() == (other,)
    writer.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["t0001.npz"]


def test_epochs_in_quick_succession_are_not_all_written(tmp_path: Path) -> None:
    """An epoch right after another report is left out; another phase is written whenever it comes."""
    writer = RunningReports(tmp_path)
    writer.write(TRIAL)
    writer.write(replace(TRIAL, phase="training", epoch=3))
    assert RunningReports(tmp_path).read() == (TRIAL,)
    scoring = replace(TRIAL, phase="scoring", epoch=6)
    writer.write(scoring)
    reader = RunningReports(tmp_path)
    assert reader.read() == (scoring,)
    writer.remove("t0001")
    assert reader.read() == (scoring,), "not even looked at so soon"


def test_what_cannot_be_read_or_written_is_left_out(tmp_path: Path) -> None:
    """No folder yet, damaged reports, or a file in place of the folder: no report, and no error."""
    assert RunningReports(tmp_path / "none").read() == ()
    for name, content in (("a", b"\xff"), ("b", b"{}"), ("c", b'{"trial_id": "c", "epoch": "many"}')):
        (tmp_path / f"{name}.json").write_bytes(content)
    RunningReports(tmp_path).write(TRIAL)
    assert RunningReports(tmp_path).read() == (TRIAL,)
    blocked = RunningReports(tmp_path / "a.json")
    blocked.write(TRIAL)
    blocked.remove("t0001")
    blocked.clear()
    assert blocked.read() == ()
    assert RunningReports("s4://nowhere").read() == ()
