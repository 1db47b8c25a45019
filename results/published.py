"""Published results on TAU Urban Acoustic Scenes 2020 Mobile (development set, fold 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_prep.corpora.corpus import TAU_SCENES

CAO_2021 = "Cao, Li, Huang: technical report, DCASE 2021 Challenge, Task 1A"
"""The paper: Acoustic scene classification using lightweight ResNet with attention."""

BASELINE_2021 = "DCASE 2021 Challenge, Task 1A, baseline system (organisers' page, mean of 10 runs)"


@dataclass(frozen=True)
class PublishedSystem:
    """Results of one system as reported by its authors."""

    name: str
    macro_accuracy: float
    """In percent."""
    log_loss: float | None
    """None if not published."""
    size: str | None
    """Size with its unit, as published; None if not published."""
    source: str
    """Where the numbers were published."""


SYSTEMS = (
    PublishedSystem("DCASE 2021 baseline", 47.7, 1.473, "90.8 KB", BASELINE_2021),
    PublishedSystem("Cao 2021, system 1", 71.6, None, None, CAO_2021),
    PublishedSystem("Cao 2021, system 2", 69.6, None, None, CAO_2021),
    PublishedSystem("Cao 2021, system 3", 71.7, None, None, CAO_2021),
    PublishedSystem("Cao 2021, system 4", 72.4, None, "102.9 KB", CAO_2021),
    PublishedSystem("same authors, 2023", 71.6, 1.038, "110.3 KB", "the authors' follow-up of 2023, abstract"),
    PublishedSystem("Kim (Qualcomm), winner of 2021", 76.3, None, None, "technical report, abstract"),
    PublishedSystem("Kim (Qualcomm), small", 75.3, None, "61.0 KB", "technical report, abstract"),
    PublishedSystem("Puy (Valeo)", 66.7, 0.95, "122.0 KB", "the authors' code repository, README"),
    PublishedSystem(
        "Puy (Valeo), 30× test-time augmentation", 68.3, 0.88, "122.0 KB", "the authors' code repository, README"
    ),
)

COLUMNS = ("Baseline", "Sys 1", "Sys 2", "Sys 3", "Sys 4")
"""Columns of both tables; for the baseline only class-wise numbers were published."""

_CLASS_WISE = (
    (40.5, 51.7, 58.8, 55.1, 49.3),
    (47.1, 80.8, 81.1, 82.5, 82.2),
    (51.9, 67.7, 67.3, 67.0, 68.7),
    (28.3, 63.6, 70.0, 72.7, 75.1),
    (69.0, 83.8, 86.2, 83.5, 87.5),
    (25.3, 61.6, 52.9, 56.6, 62.0),
    (61.3, 86.2, 66.7, 79.1, 79.1),
    (38.7, 56.6, 45.5, 55.6, 55.2),
    (62.0, 86.5, 90.6, 85.2, 84.5),
    (53.0, 77.7, 77.4, 79.7, 80.4),
)
CLASS_WISE: dict[str, dict[str, float]] = {
    scene: dict(zip(COLUMNS, row, strict=True)) for scene, row in zip(TAU_SCENES, _CLASS_WISE, strict=True)
}
"""Table 1 of CAO_2021: {scene: {system: accuracy in percent}}."""

CLASS_WISE_AVERAGE = dict(zip(COLUMNS, (47.7, 71.6, 69.6, 71.7, 72.4), strict=True))
"""Last row of that table, in percent."""

_DEVICE_WISE = {
    "a": (80.9, 84.8, 83.6, 82.1),
    "b": (73.9, 69.9, 72.3, 76.3),
    "c": (75.1, 76.6, 77.5, 73.6),
    "s1": (68.2, 66.7, 72.4, 71.5),
    "s2": (66.7, 67.3, 64.8, 67.3),
    "s3": (72.4, 73.0, 73.0, 73.6),
    "s4": (68.8, 66.7, 68.2, 70.0),
    "s5": (72.1, 63.9, 69.7, 72.1),
    "s6": (66.7, 57.9, 63.6, 65.2),
}
DEVICE_WISE: dict[str, dict[str, float]] = {
    device: dict(zip(COLUMNS[1:], row, strict=True)) for device, row in _DEVICE_WISE.items()
}
"""Table 2 of CAO_2021: {device: {system: accuracy in percent}}."""


def has_published(classes: Sequence[str]) -> bool:
    """Return whether `classes` are TAU's ten scenes in TAU's order, so that published numbers are comparable."""
    return tuple(classes) == TAU_SCENES
