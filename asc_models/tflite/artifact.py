"""Running an exported file with the TFLite interpreter."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError
from asc_models.networks.topology import Shape
from asc_models.tflite.quiet import silenced
from data_prep.reader.clips import ReadableClips
from data_prep.wording import shortened


class Artifact:
    """A `.tflite` file loaded into an interpreter.

    Args:
        path: path of the file.
        n_threads: number of interpreter threads.

    Raises:
        ExportError: if the interpreter cannot load the file, or it is not that of a classifier.
    """

    def __init__(self, path: Path, n_threads: int = 1) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from ai_edge_litert.interpreter import Interpreter

        try:
            with silenced():
                self._interpreter = Interpreter(model_path=str(path), num_threads=n_threads)
                self._interpreter.allocate_tensors()
                inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (OSError, ValueError, RuntimeError) as error:
            raise ExportError(f"{path}: the TFLite interpreter refuses the file: {_words(error)}") from error
        ends = [(len(one["shape"]), one["dtype"]) for one in (*inputs, *outputs)]
        if len(inputs) != 1 or ends != [(4, np.float32), (2, np.float32)]:
            raise ExportError(
                f"{path}: is not the file of a classifier, which has one input of 4 dimensions and one output of 2, "
                "both float32. Export it again."
            )
        self.path = path
        (self._input,), (self._output,) = inputs, outputs

    @property
    def input_shape(self) -> Shape:
        """(n_mels, n_frames, n_channels) of one clip."""
        _, n_mels, n_frames, n_channels = (int(size) for size in self._input["shape"])
        return n_mels, n_frames, n_channels

    @property
    def n_classes(self) -> int:
        """Number of scenes."""
        return int(self._output["shape"][-1])

    def predict(self, features: ReadableClips) -> npt.NDArray[np.float32]:
        """Return the probabilities of every clip, shape (n_clips, n_classes).

        Raises:
            ExportError: if the shape or the number of classes of the features differs from the file's, or the file
                cannot be run.
        """
        if features.input_shape != self.input_shape or len(features.classes) != self.n_classes:
            raise ExportError(
                f"{self.path}: takes inputs of shape {self.input_shape} and has {self.n_classes} scenes, but the "
                f"features have shape {features.input_shape} and {len(features.classes)} scenes. Use the shards that "
                "it was trained on."
            )
        return np.concatenate([self._run(x) for x in features.batches()])

    def ms_per_clip(self, n_clips: int) -> float:
        """Return the median time in ms that the file takes for one of `n_clips` random clips, after a first one.

        Raises:
            ExportError: if the file cannot be run.
        """
        clips = np.random.default_rng(0).random((1 + n_clips, *self.input_shape), dtype=np.float32)
        ends = [time.perf_counter()]
        for clip in clips:
            self._run(clip[np.newaxis])
            ends.append(time.perf_counter())
        return 1e3 * float(np.median(np.diff(ends)[1:]))

    def _run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        outputs: list[Any] = []
        try:
            for clip in inputs:
                self._interpreter.set_tensor(self._input["index"], clip[np.newaxis])
                self._interpreter.invoke()
                outputs.append(self._interpreter.get_tensor(self._output["index"])[0])
        except (ValueError, RuntimeError, IndexError) as error:
            raise ExportError(f"{self.path}: the TFLite interpreter cannot run the file: {_words(error)}") from error
        return np.asarray(outputs, np.float32)


def _words(error: Exception) -> str:
    """Return an interpreter's message in one line; where memory is short, it has none."""
    return shortened(" ".join(str(error).split()), 300) or f"{type(error).__name__} without a message"
