"""Energy that a machine takes: the processor's own counters (RAPL) if they are readable, else codecarbon's estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from asc_models.errors import ExportError

POWERCAP = Path("/sys/class/powercap")
PACKAGES = "intel-rapl:[0-9]*"
"""Zones of whole processors; AMD's have the same name. Those below them (`intel-rapl:0:1`) are parts of them."""
RAPL = "RAPL counters of the processor, whole machine"
CODECARBON = "codecarbon, estimate from the processor's TDP and load"
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class _Counter:
    energy: Path
    """File with the energy so far in µJ."""
    wraps_at: int
    """Value in µJ after which it starts at 0 again."""


def energy_source(powercap: Path = POWERCAP) -> str:
    """Return how energy is measured on this machine: `RAPL` or `CODECARBON`.

    Raises:
        ExportError: if it cannot be measured.
    """
    if _counters(powercap):
        return RAPL
    if find_spec("codecarbon") is not None:
        return CODECARBON
    raise ExportError(
        f"no energy can be measured: no {powercap}/{PACKAGES}/energy_uj is readable and codecarbon is not installed; "
        f"make the counters readable (sudo chmod a+r {powercap}/intel-rapl:*/energy_uj), or install an estimate with: "
        "pip install 'asc-search[energy]'"
    )


@contextmanager
def metered(powercap: Path = POWERCAP) -> Iterator[Callable[[], float]]:
    """Yield a function that returns, after the block, the joules taken within it.

    RAPL counts all processes and the idle machine, but not memory on every processor; codecarbon counts this process
    and models the memory.

    Raises:
        ExportError: if no energy can be measured.
    """
    if energy_source(powercap) == RAPL:
        with _by_counters(_counters(powercap)) as joules:
            yield joules
    else:
        with _by_codecarbon() as joules:
            yield joules


@contextmanager
def _by_counters(counters: list[_Counter]) -> Iterator[Callable[[], float]]:
    before = [_microjoules(counter) for counter in counters]
    taken: list[int] = []
    yield lambda: sum(taken) / 1e6
    for counter, start in zip(counters, before, strict=True):
        difference = _microjoules(counter) - start
        taken.append(difference + counter.wraps_at if difference < 0 else difference)


@contextmanager
def _by_codecarbon() -> Iterator[Callable[[], float]]:
    from codecarbon import OfflineEmissionsTracker

    # The country matters for emissions only, which are not reported.
    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA",
        tracking_mode="process",
        measure_power_secs=1,
        output_methods=[],
        log_level="error",
        allow_multiple_runs=True,
    )
    tracker.start()
    try:
        yield lambda: JOULES_PER_KWH * float(_require_measured(tracker).energy_consumed)
    finally:
        tracker.stop()


def _require_measured(tracker: Any) -> Any:
    """Return what codecarbon has measured; it logs its own failures and raises none."""
    measured = getattr(tracker, "final_emissions_data", None)
    if measured is None:
        raise ExportError("codecarbon measured no energy; its log on standard error has the reason")
    return measured


def _counters(powercap: Path) -> list[_Counter]:
    """Return the readable counters of whole processors."""
    found = []
    for zone in sorted(powercap.glob(PACKAGES)):
        try:
            if zone.name.count(":") == 1 and (zone / "name").read_text().startswith("package"):
                counter = _Counter(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
                _microjoules(counter)
                found.append(counter)
        except OSError:
            continue
    return found


def _microjoules(counter: _Counter) -> int:
    return int(counter.energy.read_text())
