"""Predictions of a network's exported file at a rung, faster than a full export."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from asc_models.config import ExportMode
from asc_models.networks.topology import Shape
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import convert, exported
from asc_models.tflite.measure import FileSizes, measure
from asc_models.tflite.template import Template, file_constants, find_template
from asc_models.training.voting import answering
from data_prep.config import Windows
from data_prep.files.scratch import scratch_folder
from data_prep.reader.reader import FeatureSet

TEMPLATES_KEPT = 32
"""Converted files cached per process, about 200 KB each, so that a promoted trial reuses its own."""


_Key = tuple[str, Windows | None, Shape, ExportMode]
"""Hash of the network, windows, input shape, conversion."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Predictions and sizes of an exported file."""

    probabilities: npt.NDArray[np.float32]
    """Class probabilities, shape (n_clips, n_classes)."""
    sizes: FileSizes


class RungReader:
    """Exports networks repeatedly, converting each only once (asc_models.tflite.template), and runs the files.

    Args:
        n_threads: number of interpreter threads.
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
        reconvert: bool = False,
    ) -> Reading:
        """Return the predictions of the exported file on `features`, and its sizes.

        Args:
            model: the network with its current weights.
            network: hash of the description; networks with equal hashes differ only in their weights.
            features: clips to predict.
            mode: export mode.
            calibration: clips of the training split, for modes that need them.
            reconvert: convert even if a converted file is cached.

        Raises:
            ExportError: as in `asc_models.tflite.export.export`.
        """
        shape, windows = features.input_shape, features.windows

        def converted(conversion: ExportMode) -> bytes:
            """Return the converted network, from its template if there is one."""
            return self._converted(model, (network, windows, shape, conversion), reconvert=reconvert)

        with scratch_folder("asc-reading-") as folder:
            path = folder / "model.tflite"
            path.write_bytes(exported(converted, mode, calibration))
            return Reading(Artifact(path, self._n_threads).predict(features), measure(path))

    def _converted(self, model: keras.Model, key: _Key, *, reconvert: bool) -> bytes:
        """Return the converted network: its template filled, or a new conversion, cached as a template if possible."""
        constants = file_constants(model)
        template = None if reconvert else self._templates.get(key)
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
