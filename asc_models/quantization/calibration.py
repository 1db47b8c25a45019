"""What activations are like: training clips drawn evenly, and the range of every tensor on them."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError
from asc_models.flatbuffer import TfliteFile
from data_prep.reader import FeatureSet

CALIBRATION_CLIPS = 256
"""Clips that ranges are taken from. On ESC-10, half as many leave a tenth more error in the logits."""

Ranges = dict[str, dict[str, npt.NDArray[np.float32]]]
"""{tensor: {"min", "max"}}, as ai-edge-quantizer takes them."""


def draw_calibration(train: FeatureSet, n_clips: int = CALIBRATION_CLIPS, *, seed: int = 0) -> FeatureSet:
    """Return clips of the training split, as evenly over the scenes, and within each over its devices, as they go.

    Scenes take turns; a scene's turns go round its devices. So a device with few clips is heard as often as the main
    one, until it has none left.

    Args:
        train: the training split: never another, or the export would know what it is tested on.
        n_clips: how many; all there are where they are fewer.
        seed: of the draw. The same seed draws the same clips.
    """
    rng = np.random.default_rng(seed)
    groups: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    devices = train.clips["device"].astype(str).to_numpy()
    for index in rng.permutation(train.n_clips):
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
        ExportError: if an activation is not finite.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from asc_models.artifact import silenced

    graph = TfliteFile(content, "the float32 file").graph
    tensors = sorted(
        {
            tensor
            for operator in graph.operators
            for tensor in (*operator.inputs, *operator.outputs)
            if tensor >= 0 and graph.data(tensor) is None and graph.type_name(tensor) == "FLOAT32"
        }
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that to preserve all tensors is for debugging: here it is the purpose
        interpreter = Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    low, high = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    for index in range(clips.n_clips):
        interpreter.set_tensor(entry, clips.inputs(np.array([index])))
        interpreter.invoke()
        for place, tensor in enumerate(tensors):
            values = interpreter.get_tensor(tensor)
            low[place] = min(low[place], values.min())
            high[place] = max(high[place], values.max())
    for place, tensor in enumerate(tensors):
        if not np.isfinite(low[place] + high[place]):
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
