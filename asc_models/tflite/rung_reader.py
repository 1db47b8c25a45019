"""A network's score at a rung: its exported file's answers on validation, in a fraction of an export's time."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from asc_models.config import ExportMode
from asc_models.networks.topology import Shape
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import convert, exported
from asc_models.tflite.measure import Measured, measure
from asc_models.tflite.template import Template, file_constants, find_template
from asc_models.training.voting import answering
from data_prep.config import Windows
from data_prep.reader.reader import FeatureSet

TEMPLATES_KEPT = 32
"""Converted files that a process keeps, some 200 KB each: a trial that is paused and promoted finds its own again."""


_Key = tuple[str, Windows | None, Shape, ExportMode]
"""The network's hash, the windows by which it votes, the input's shape, the conversion."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an exported file answers and holds."""

    probabilities: npt.NDArray[np.float32]
    """Of the clips, (n_clips, n_classes)."""
    sizes: Measured


class RungReader:
    """Exports networks again and again, converting each but once (asc_models.tflite.template), and runs the files.

    Args:
        n_threads: threads of the interpreter.
    """

    def __init__(self, n_threads: int = 1) -> None:
        self._n_threads = n_threads
        self._templates: OrderedDict[_Key, Template] = OrderedDict()

    def read(
        self,
        model: keras.Model,
        network: str,
        features: FeatureSet,
        mode: ExportMode,
        calibration: FeatureSet | None = None,
        *,
        anew: bool = False,
    ) -> Reading:
        """Return the exported file's answers on `features`, and its sizes.

        Args:
            model: the network as it is trained now.
            network: the description's hash: networks of one hash differ in their weights alone.
            features: the clips.
            mode: of the export.
            calibration: clips of the training split, for modes that need some.
            anew: convert, whatever is kept.

        Raises:
            ExportError: as `asc_models.tflite.export.export`.
        """
        shape, windows = features.input_shape, features.windows

        def converted(conversion: ExportMode) -> bytes:
            """Return the network converted, by its template where there is one."""
            return self._converted(model, (network, windows, shape, conversion), anew=anew)

        with tempfile.TemporaryDirectory(prefix="asc-reading-") as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(exported(converted, mode, calibration))
            return Reading(Artifact(path, self._n_threads).predict(features), measure(path))

    def _converted(self, model: keras.Model, key: _Key, *, anew: bool) -> bytes:
        """Return the network converted: its template filled, or a conversion that leaves one where it can."""
        constants = file_constants(model)
        template = None if anew else self._templates.get(key)
        content = None if template is None else template.filled(constants)
        if content is None:
            _, windows, shape, conversion = key
            content = convert(answering(model, windows), shape, conversion)
            template = find_template(content, constants)
        if template is not None:
            self._templates[key] = template
            self._templates.move_to_end(key)
            if len(self._templates) > TEMPLATES_KEPT:
                self._templates.popitem(last=False)
        return content
