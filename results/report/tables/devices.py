"""Report content about devices: the worst one of every system, and the means of real, seen and unseen ones."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from results.candidates.seeds import seed_groups
from results.report.data import RunData
from results.report.tables.table import Column, Table
from results.report.text import Content

MIN_CLIPS = 10
"""A device with fewer clips of a split is not the worst one."""
GROUPS = ("real", "seen", "unseen")
"""Recording devices; simulated ones that training had; devices that training did not have, as DCASE groups them."""
_SIMULATED = re.compile(r"s\d+")


@dataclass(frozen=True)
class DeviceScores:
    """Scores of one system by device on one split, averaged over its seeds."""

    system: str
    split: str
    by_device: Mapping[str, Mapping[str, float]]
    """{device: {macro_accuracy, log_loss, n_clips}}."""
    group_of: Mapping[str, str]
    """{device: one of `GROUPS`}."""

    @property
    def worst(self) -> str | None:
        """The device with the highest log loss of those with at least `MIN_CLIPS` clips, None of fewer than two."""
        known = [name for name, scores in self.by_device.items() if scores["n_clips"] >= MIN_CLIPS]
        return max(known, key=lambda name: (self.by_device[name]["log_loss"], name)) if len(known) > 1 else None

    def of_worst(self, score: str) -> float | None:
        """Return a score of the worst device."""
        return None if self.worst is None else self.by_device[self.worst][score]

    def mean(self, group: str) -> float | None:
        """Return the mean macro accuracy of a group's devices, None if the split has none of them."""
        values = [one["macro_accuracy"] for name, one in self.by_device.items() if self.group_of[name] == group]
        return statistics.fmean(values) if values else None


def device_table(data: RunData) -> Table[DeviceScores]:
    """Return one row per system and split that has several devices with enough clips, lowest worst log loss first."""
    rows = [row for row in _rows(data) if row.worst is not None]
    ranked = sorted(rows, key=lambda row: (row.split != "test", row.of_worst("log_loss") or 0.0, row.system))
    return Table(
        ranked,
        (
            Column("system", lambda row: row.system, kind="text"),
            Column("split", lambda row: row.split, kind="text"),
            Column("worst_device", lambda row: row.worst, kind="text", format=lambda row: row.worst or "–"),
            Column("worst_clips", lambda row: row.of_worst("n_clips"), "count", "clips"),
            Column("worst_log_loss", lambda row: row.of_worst("log_loss"), "nats", "its log loss"),
            Column("worst_macro_accuracy", lambda row: row.of_worst("macro_accuracy"), "share", "its accuracy"),
            *(_mean_column(group) for group in GROUPS if any(row.mean(group) is not None for row in rows)),
        ),
        page=(
            *("system", "split", "worst_device", "worst_clips", "worst_log_loss", "worst_macro_accuracy"),
            *(f"{group}_macro_accuracy" for group in GROUPS if any(row.mean(group) is not None for row in rows)),
        ),
    )


def worst_devices(data: RunData) -> Content | None:
    """Return the table of worst devices and group means, None if no split has several devices."""
    table = device_table(data)
    return table.content() if table.rows else None


def _mean_column(group: str) -> Column[DeviceScores]:
    return Column(
        f"{group}_macro_accuracy",
        lambda row: row.mean(group),
        "share",
        f"mean accuracy, {group} devices" if group != "seen" else "mean accuracy, seen simulated devices",
    )


def _rows(data: RunData) -> list[DeviceScores]:
    rows = []
    named = {group.name: [member.name for member in group.members] for group in seed_groups(data.candidates)}
    named |= {one.name: [one.name] for one in data.ensembles if not one.is_single}
    scores = {one: _by_device(data, one) for members in named.values() for one in members}
    for split in ("test", "validation"):
        systems = {name: [scores[one].get(split) for one in members] for name, members in named.items()}
        found = {name: [one for one in seeds if one] for name, seeds in systems.items()}
        names = {device for seeds in found.values() for one in seeds for device in one}
        groups = {device: _group(device, data) for device in names}
        rows += [DeviceScores(name, split, _mean_of(seeds), groups) for name, seeds in found.items() if seeds]
    return rows


def _by_device(data: RunData, name: str) -> dict[str, dict[str, Any]]:
    """Return {split: scores by device} of a system as it is ranked and packed."""
    return {split: predictions.summarize()["by_device"] for split, predictions in data.calibrated(name).items()}


def _group(device: str, data: RunData) -> str:
    """Return the group of a device; a device of which validation has no clip was in no training clip, either."""
    held_out = ((data.config.get("prepare") or {}).get("validation") or {}).get("holdout_devices") or ()
    known = {
        name
        for candidate in data.candidates
        for name in candidate.metrics.splits.get("validation", {}).get("by_device", {})
    }
    if device in held_out or (known and device not in known):
        return "unseen"
    return "seen" if _SIMULATED.fullmatch(device) else "real"


def _mean_of(seeds: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the means over seeds of the scores of each device."""
    return {
        device: {score: statistics.fmean(one[device][score] for one in seeds if device in one) for score in scores}
        for device, scores in seeds[0].items()
    }
