"""A trained candidate's file: exported, run in a process of its own, held against the network, or refused."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asc_models.config import ExportMode

if TYPE_CHECKING:
    from asc_models.training.trainer import Trainer
    from data_prep.reader.reader import FeatureSet

N_PROBE_CLIPS = 4
"""Clips on which a file is tried in a process of its own."""
N_DRIFT_CLIPS = 16
"""Clips on which layers are compared where a file is refused."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What the export came to."""

    agreement: float
    """Share of validation clips on which the file chooses the scene that the network chooses."""
    agreement_beyond_chance: float
    """Cohen's κ over validation and calibration clips, near-ties left out."""
    seconds: float
    """What the export took, calibration included, the checks behind it not."""


def export_candidate(
    trainer: Trainer, train: FeatureSet, validation: FeatureSet, path: Path, mode: ExportMode, *, seed: int
) -> Exported:
    """Export a trained network and let the file through only where it runs and answers as the network does.

    Args:
        trainer: holds the network.
        train: the training split; calibration clips are drawn from it.
        validation: the validation split.
        path: takes the file. Nothing is left there where it is refused.
        mode: of the export.
        seed: of the calibration's draw.

    Raises:
        ExportError: if the file can't be made or run, or chooses other scenes than the network.
    """
    from asc_models.errors import ExportError
    from asc_models.tflite.artifact import Artifact
    from asc_models.tflite.export import convert, export
    from asc_models.tflite.quantization.agreement import require_agreement
    from asc_models.tflite.quantization.calibration import draw_calibration
    from asc_models.tflite.quantization.drift import layer_drift
    from asc_models.tflite.quantization.probe import require_running
    from asc_models.training.voting import answering

    calibration = draw_calibration(train, seed=seed)
    answer = answering(trainer.model, train.windows)
    started = time.monotonic()
    export(answer, train.input_shape, path, mode, calibration)
    seconds = time.monotonic() - started
    try:
        require_running(path, calibration.inputs(slice(0, N_PROBE_CLIPS)))
        artifact = Artifact(path)
        theirs = [trainer.predict(clips) for clips in (validation, calibration)]
        ours = [artifact.predict(clips) for clips in (validation, calibration)]
        found = require_agreement(
            np.concatenate(theirs),
            np.concatenate(ours),
            path,
            mode,
            lambda: layer_drift(convert(answer, train.input_shape), path, calibration.inputs(slice(0, N_DRIFT_CLIPS))),
        )
    except ExportError:
        path.unlink(missing_ok=True)
        raise
    on_validation = float((theirs[0].argmax(axis=1) == ours[0].argmax(axis=1)).mean())
    return Exported(on_validation, found.beyond_chance, seconds)
