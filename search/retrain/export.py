"""Export of a trained candidate, with checks that the file runs and agrees with the network."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asc_models.config import ExportMode
from asc_models.rules import Quantity
from data_prep.files.files import written_whole

if TYPE_CHECKING:
    from asc_models.training.trainer import Trainer
    from data_prep.reader.reader import FeatureSet

N_PROBE_CLIPS = 4
"""Number of clips on which a file is tried in a separate process."""
N_DRIFT_CLIPS = 16
"""Number of clips on which layers are compared after a file is rejected."""


@dataclass(frozen=True, slots=True)
class Exported:
    """Result of an export."""

    agreement: float
    """Share of validation clips on which the file and the network predict the same scene."""
    agreement_beyond_chance: float
    """Cohen's κ over validation and calibration clips, excluding near-ties."""
    seconds: float
    """Duration of the export in seconds, including calibration but not the checks."""


def write_network(trainer: Trainer, path: Path) -> None:
    """Write a trained network in Keras's format."""
    with written_whole(path) as temporary:
        keras_file = temporary.with_suffix(".keras")  # Keras requires this suffix
        trainer.model.save(keras_file)
        keras_file.replace(temporary)


def export_candidate(
    trainer: Trainer,
    train: FeatureSet,
    validation: FeatureSet,
    path: Path,
    mode: ExportMode,
    *,
    seed: int,
    int4_limits: Mapping[Quantity, int] | None = None,
    float_path: Path | None = None,
) -> Exported:
    """Export a trained network and accept the file only if it runs and agrees with the network.

    Args:
        trainer: trainer of the network.
        train: training split; calibration clips are drawn from it.
        validation: validation split.
        path: path of the file; it is deleted if the file is rejected.
        mode: export mode.
        seed: seed for drawing the calibration clips.
        int4_limits: limits within which `int4_int8_weights` keeps large kernels in int8.
        float_path: path for the network as a float32 file, to compare with; None writes none.

    Raises:
        ExportError: if the file cannot be created or run, or its predictions differ too much from the network's.
    """
    from asc_models.errors import ExportError
    from asc_models.tflite.artifact import Artifact
    from asc_models.tflite.export import convert, exported
    from asc_models.tflite.quantization.agreement import require_agreement
    from asc_models.tflite.quantization.calibration import draw_calibration
    from asc_models.tflite.quantization.drift import layer_drift
    from asc_models.tflite.quantization.probe import require_running
    from asc_models.training.voting import answering

    calibration = draw_calibration(train, seed=seed)
    answer = answering(trainer.model, train.windows)
    started = time.monotonic()
    converted = functools.cache(partial(convert, answer, train.input_shape))
    _write(path, exported(converted, mode, calibration, int4_limits))
    seconds = time.monotonic() - started
    if float_path is not None:
        _write(float_path, exported(converted, "float32"))
    try:
        require_running(path, calibration.inputs(slice(0, N_PROBE_CLIPS)))
        artifact = Artifact(path)
        network = [trainer.predict(clips) for clips in (validation, calibration)]
        file = [artifact.predict(clips) for clips in (validation, calibration)]
        found = require_agreement(
            np.concatenate(network),
            np.concatenate(file),
            path,
            mode,
            lambda: layer_drift(converted("float32"), path, calibration.inputs(slice(0, N_DRIFT_CLIPS))),
        )
    except ExportError:
        path.unlink(missing_ok=True)
        raise
    on_validation = float((network[0].argmax(axis=1) == file[0].argmax(axis=1)).mean())
    return Exported(on_validation, found.beyond_chance, seconds)


def _write(path: Path, content: bytes) -> None:
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
