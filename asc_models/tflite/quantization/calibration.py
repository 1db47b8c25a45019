"""What activations are like: training clips drawn evenly, and the range of every tensor on them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.quantization.drift import preserving_interpreter
from data_prep.reader.reader import FeatureSet

CALIBRATION_CLIPS = 256
"""Clips that ranges are taken from. On ESC-10, half as many leave a tenth more error in the logits."""

MAX_ACTIVATION = 1e9
"""What no activation of a sound network comes near."""

Ranges = dict[str, dict[str, npt.NDArray[np.float32]]]
"""{tensor: {"min", "max"}}, as ai-edge-quantizer takes them."""


def draw_calibration(train: FeatureSet, n_clips: int = CALIBRATION_CLIPS, *, seed: int = 0) -> FeatureSet:
    """Return clips of the training split, as evenly over the scenes, and within each over its devices, as they go.

    Scenes take turns; a scene's turns go round its devices. So a device with few clips is heard as often as the main
    one, until it has none left. Recordings only: augmented copies are not what the file will hear.

    Args:
        train: the training split: never another, or the export would know what it is tested on.
        n_clips: how many; all there are where they are fewer.
        seed: of the draw. The same seed draws the same clips.
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
    """Return the elements of several queues, one of each in turn."""
    longest = max(map(len, queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def tensor_ranges(content: bytes, clips: FeatureSet) -> Ranges:
    """Return the least and the greatest value of every activation of a float32 file over `clips`.

    The quantizer's own calibration is a moving average of them, about half the true range.

    Raises:
        ExportError: if an activation is no number, or beyond all measure.
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
        for place, tensor in enumerate(tensors):
            values = interpreter.get_tensor(tensor)
            low[place] = np.minimum(low[place], values.min())  # unlike min, keeps what is no number
            high[place] = np.maximum(high[place], values.max())
    for place, tensor in enumerate(tensors):
        if not max(abs(low[place]), abs(high[place])) < MAX_ACTIVATION:  # no number is not less either
            raise ExportError(
                f"the network's activation {graph.name(tensor)!r} reaches {low[place]:g} to {high[place]:g} on the "
                "calibration clips: it has diverged; train it again at a lower train.learning_rate"
            )
    return {
        graph.name(tensor): {"min": _cell(low[place]), "max": _cell(high[place])}
        for place, tensor in enumerate(tensors)
    }


def _cell(value: float) -> npt.NDArray[np.float32]:
    return np.array([[value]], np.float32)
