"""Export of a Keras model to a `.tflite` file in one of the export modes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from asc_models.config import ExportMode
from asc_models.errors import ExportError
from asc_models.networks.topology import Shape
from asc_models.rules import Quantity
from asc_models.tflite.compact import compact
from asc_models.tflite.quantization.quantize import quantize
from asc_models.tflite.quiet import quiet
from asc_models.training.frozen import frozen
from asc_models.training.tracing import traced
from asc_models.training.voting import Voting
from data_prep.files.files import written_whole
from data_prep.reader.reader import FeatureSet

CONVERSIONS: tuple[ExportMode, ...] = ("float32", "float16", "dynamic_range")
"""Export modes that the converter supports directly."""


def export(
    model: keras.Model | Voting,
    input_shape: Shape,
    path: Path,
    mode: ExportMode,
    calibration: FeatureSet | None = None,
    int4_limits: Mapping[Quantity, int] | None = None,
) -> None:
    """Write `model` atomically as a TFLite file whose input is one clip of `input_shape`.

    Args:
        model: the trained network, or its mean over windows (asc_models.training.voting).
        input_shape: (n_mels, n_frames, n_channels) of a clip.
        path: path of the file.
        mode: export mode (asc_models.tflite.quantization).
        calibration: clips of the training split, for modes that need them (asc_models.config.CALIBRATED_MODES).
        int4_limits: {byte quantity: limit} within which `int4_int8_weights` keeps large kernels in int8; without any,
            all of them are int4.

    Raises:
        ExportError: if the converter or the quantizer fails, `mode` needs calibration clips and none are given, or the
            file is over `int4_limits` with all large kernels in int4.
    """
    content = exported(lambda conversion: convert(model, input_shape, conversion), mode, calibration, int4_limits)
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def exported(
    converted: Callable[[ExportMode], bytes],
    mode: ExportMode,
    calibration: FeatureSet | None = None,
    int4_limits: Mapping[Quantity, int] | None = None,
) -> bytes:
    """Return the content of a network's file in one mode (`asc_models.tflite.compact`).

    Args:
        converted: maps one of `CONVERSIONS` to the network's converted file, as returned by `convert`.
        mode: export mode.
        calibration: clips of the training split, for modes that need them.
        int4_limits: as in `export`.

    Raises:
        ExportError: as in `export`.
    """
    if mode in CONVERSIONS:
        return compact(converted(mode))
    return compact(quantize(converted("float32"), mode, calibration, int4_limits))


def convert(model: keras.Model | Voting, input_shape: Shape, conversion: ExportMode = "float32") -> bytes:
    """Return `model` as a TFLite file: float32, float16, or quantized by the converter (`dynamic_range`).

    Raises:
        ExportError: if the converter fails.
    """
    signature = tf.TensorSpec((1, *input_shape), tf.float32, name="log_mel")
    # Converting a concrete function takes less than a second, `from_keras_model` three to five.
    concrete = traced(frozen(model)).get_concrete_function(signature)
    converter: Any = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if conversion != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if conversion == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        with quiet():
            content: bytes = converter.convert()
    except Exception as error:  # the converter has no exception class of its own
        raise ExportError(f"the TFLite converter refused the model: {error}") from error
    return content
