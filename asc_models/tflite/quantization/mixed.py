"""Mixed precision: large kernels in int8 where the bytes allow it, in int4 where that changes the answers least.

With all large kernels in int4 a network may be far below the limit. Here each is measured alone: how much the answers
on calibration clips change if it is int4 instead of int8, and how many bytes that saves. In int4 are those with the
least sum of changes that save enough; Hubara et al. (arXiv 2006.10518) allocate bits by such sums, too, which hold for
small, independent errors. The minimum over all sets is exact (knapsack.py).

The bytes lie between those of all large kernels in int4, which the estimate of `int4_int8_weights` is, and the smaller
of the limit and those of `int8_weights`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asc_models.errors import ExportError
from asc_models.rules import BYTES, Check, Quantity
from asc_models.tflite.compact import compact
from asc_models.tflite.flatbuffer import TfliteFile
from asc_models.tflite.measure import sizes_of
from asc_models.tflite.quantization.correction import logits_of, with_corrected_bias
from asc_models.tflite.quantization.drift import layer_name
from asc_models.tflite.quantization.knapsack import cheapest
from asc_models.tflite.quantization.recipes import apply, large_kernels, mixed_weights
from data_prep.reader.reader import FeatureSet


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a large kernel costs and saves in int4, the other kernels being int8."""

    buffer: int
    """Its buffer in the float32 file."""
    name: str
    """Name of a layer that reads it."""
    divergence: float
    """Mean Kullback–Leibler divergence, in nats, of the answers with it in int8 from those with it in int4, on
    calibration clips; without the part that the correction of the classifier's bias removes."""
    saved: Mapping[str, int]
    """{quantity: bytes that int4 saves}."""


def mixed_within(content: bytes, clips: FeatureSet, limits: Mapping[Quantity, int]) -> bytes:
    """Return a float32 file with int8 kernels, as many large ones in int4 as `limits` require, the least sensitive.

    Args:
        content: the float32 file.
        clips: calibration clips from the training split.
        limits: {byte quantity: limit}. Kernels are chosen by the first quantity of `BYTES` that is limited; if the
            file is over another limit then, more of them.

    Raises:
        ExportError: if the quantizer fails, the network's answers are not finite, or the file is over a limit with all
            large kernels in int4.
    """
    every = tuple(large_kernels(TfliteFile(content, "the float32 file").graph))
    file = _quantized(content, clips, ())
    if not _excess(file, limits):
        return file
    smallest = _quantized(content, clips, every)
    if over := [check for check in _checks(smallest, limits) if not check.feasible]:
        raise ExportError(
            f"with all {len(every)} large kernels in int4: {'; '.join(check.reason for check in over)}. Narrow the "
            "network, or raise the limit (retrain.int4_limit_bytes)"
        )
    return _within(content, clips, sensitivities(content, clips), limits, _sizes(file))


def sensitivities(content: bytes, clips: FeatureSet) -> list[Kernel]:
    """Return what each large kernel of a float32 file costs and saves in int4; arguments and errors as above."""
    graph = TfliteFile(content, "the float32 file").graph
    int8 = compact(apply(content, mixed_weights(content, kernels=())))
    sizes, answers = _sizes(int8), logits_of(int8, clips)
    if not np.isfinite(answers).all():
        raise ExportError(
            "the network's answers on the calibration clips are not finite: it has diverged; train it again at a lower "
            "train.learning_rate"
        )
    kernels = []
    for buffer, operators in large_kernels(graph).items():
        one = compact(apply(content, mixed_weights(content, kernels=(buffer,))))
        left = _sizes(one)
        saved = {quantity: n_bytes - left[quantity] for quantity, n_bytes in sizes.items()}
        name = layer_name(graph.name(operators[0].outputs[0]))
        kernels.append(Kernel(buffer, name, divergence(answers, logits_of(one, clips)), saved))
    return kernels


def divergence(reference: npt.NDArray[np.float64], logits: npt.NDArray[np.float64]) -> float:
    """Return the mean Kullback–Leibler divergence in nats between two files' answers, without their mean shift.

    Args:
        reference: logits of the first, shape (n, n_classes), up to an additive constant.
        logits: logits of the second.
    """
    shift = (logits - reference).mean(axis=0)
    ours, theirs = _log_softmax(reference), _log_softmax(logits - shift)
    return max(float((np.exp(ours) * (ours - theirs)).sum(axis=1).mean()), 0.0)


def _within(
    content: bytes, clips: FeatureSet, kernels: Sequence[Kernel], limits: Mapping[Quantity, int], sizes: dict[str, int]
) -> bytes:
    """Return the file within the limits that has the cheapest of `kernels` in int4; `sizes` are those with none."""
    quantity = next(name for name in BYTES if name in limits)
    saved = [kernel.saved[quantity] for kernel in kernels]
    need = max(sizes[quantity] - limits[quantity], 0)
    while True:
        need = min(need, sum(saved))
        chosen = cheapest([kernel.divergence for kernel in kernels], saved, need)
        file = _quantized(content, clips, [kernels[index].buffer for index in chosen])
        excess = _excess(file, limits)
        if not excess or need == sum(saved):
            return file
        need += excess


def _quantized(content: bytes, clips: FeatureSet, kernels: Collection[int]) -> bytes:
    """Return the file with these large kernels in int4, as it is written."""
    return compact(
        with_corrected_bias(content, clips, lambda floats: apply(floats, mixed_weights(floats, kernels=kernels)))
    )


def _sizes(file: bytes) -> dict[str, int]:
    return sizes_of(TfliteFile(file, "the quantized file")).quantities()


def _checks(file: bytes, limits: Mapping[Quantity, int]) -> list[Check]:
    sizes = _sizes(file)
    return [Check(quantity, sizes[quantity], limit) for quantity, limit in limits.items()]


def _excess(file: bytes, limits: Mapping[Quantity, int]) -> int:
    """Return the most bytes by which a file is over a limit; 0 if it is within all."""
    return max(max(check.value - check.limit, 0) for check in _checks(file, limits))


def _log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
