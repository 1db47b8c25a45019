"""Calibration: a balanced sample of training clips, and the range of every activation on them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.quantization.drift import preserving_interpreter
from data_prep.reader.reader import FeatureSet

CALIBRATION_CLIPS = 256
"""Number of calibration clips. On ESC-10, half as many increase the error of the logits by a tenth."""

MAX_ACTIVATION = 1e9
"""Networks with activations of this size count as diverged."""

Ranges = dict[str, dict[str, npt.NDArray[np.float32]]]
"""{tensor: {"min", "max"}}, the format of ai-edge-quantizer."""


def draw_calibration(train: FeatureSet, n_clips: int = CALIBRATION_CLIPS, *, seed: int = 0) -> FeatureSet:
    """Return clips of the training split, balanced over scenes, and over devices within each scene.

    Scenes are drawn in turn, and each scene's devices in turn, so that a device with few clips counts as much as the
    main device until it has none left. Augmented copies are excluded, since the file will not be applied to them.

    Args:
        train: the training split; any other split would leak test data into the export.
        n_clips: number of clips; all clips are returned if there are fewer.
        seed: random seed; the same seed draws the same clips.
    """
    rng = np.random.default_rng(seed)
    groups: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    devices = train.clips["device"].astype(str).to_numpy()
    is_recording = (train.clips["augmentation"] == "none").to_numpy()
    for index in rng.permutation(np.flatnonzero(is_recording)):
        groups[int(train.labels[index])][devices[index]].append(int(index))
    turns = [_around(list(by_device.values())) for _, by_device in sorted(groups.items())]
    return train.take(np.array(sorted(_around(turns)[:n_clips]), np.int64))


def _around(queues: list[list[int]]) -> list[int]:
    """Return the elements of several queues, taken in turn from each."""
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def tensor_ranges(content: bytes, clips: FeatureSet) -> Ranges:
    """Return the minimum and maximum of every activation of a float32 file over `clips`.

    The quantizer's own calibration uses a moving average of them, which covers about half the true range.

    Raises:
        ExportError: if an activation is not finite or larger than `MAX_ACTIVATION`.
    """
    graph = TfliteFile(content, "the float32 file").graph
    tensors = sorted(
        {
            tensor
            for operator in graph.operators
            for tensor in (*operator.inputs, *operator.outputs)
            if tensor >= 0 and graph.data(tensor) is None and graph.type_name(tensor) == "FLOAT32"
        }
    )
    interpreter = preserving_interpreter(content)
    entry = interpreter.get_input_details()[0]["index"]
    low, high = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    for index in range(clips.n_clips):
        interpreter.set_tensor(entry, clips.inputs(np.array([index])))
        interpreter.invoke()
        for position, tensor in enumerate(tensors):
            values = interpreter.get_tensor(tensor)
            low[position] = np.minimum(low[position], values.min())  # unlike min, propagates NaN
            high[position] = np.maximum(high[position], values.max())
    for position, tensor in enumerate(tensors):
        if not max(abs(low[position]), abs(high[position])) < MAX_ACTIVATION:  # also true for NaN
            raise ExportError(
                f"the network's activation {graph.name(tensor)!r} reaches {low[position]:g} to {high[position]:g} on "
                "the calibration clips: it has diverged; train it again at a lower train.learning_rate"
            )
    return {
        graph.name(tensor): {"min": _cell(low[position]), "max": _cell(high[position])}
        for position, tensor in enumerate(tensors)
    }


def _cell(value: float) -> npt.NDArray[np.float32]:
    return np.array([[value]], np.float32)
