"""Energy comes from the processor's counters, or from an estimate that says so, or not at all."""

import pytest

from asc_models.errors import ExportError
from asc_models.tflite import energy
from asc_models.tflite.energy import CODECARBON, RAPL, energy_source, metered


def zone(powercap, name, *, kind="package-0", microjoules=0):
    folder = powercap / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "max_energy_range_uj").write_text("1000000000\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def test_the_counters_of_all_processors_are_added(tmp_path):
    """Two packages, one of which wraps; parts of a package and other domains are not counted twice."""
    first = zone(tmp_path, "intel-rapl:0", microjoules=5_000_000)
    second = zone(tmp_path, "intel-rapl:1", kind="package-1", microjoules=999_000_000)
    for name, kind in (("intel-rapl:0:0", "core"), ("intel-rapl:2", "psys")):
        zone(tmp_path, name, kind=kind)
    with metered(tmp_path) as joules:
        first.write_text("7500000")
        second.write_text("500000")
    assert joules() == pytest.approx(2.5 + 1.5)
    assert energy_source(tmp_path) == RAPL


def test_without_counters_and_codecarbon_the_ways_out_are_told(tmp_path, monkeypatch):
    """The message names the files, how to make them readable, and what else to install."""
    monkeypatch.setattr(energy, "find_spec", lambda name: None)
    zone(tmp_path, "intel-rapl:0").unlink()
    with pytest.raises(ExportError, match=r"intel-rapl.*chmod a\+r.*asc-search\[energy\]"):
        energy_source(tmp_path)


@pytest.mark.system
def test_codecarbon_estimates_a_busy_second(tmp_path):
    """A process that computes takes a plausible energy; the source says that it is an estimate."""
    pytest.importorskip("codecarbon", reason="codecarbon is not installed")
    assert energy_source(tmp_path) == CODECARBON
    with metered(tmp_path) as joules:
        sum(i * i for i in range(20_000_000))
    assert 0.1 < joules() < 10_000
