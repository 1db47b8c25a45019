"""Keras model → `.tflite` file in one of the export modes, in about a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from asc_models.config import ExportMode
from asc_models.errors import ExportError
from asc_models.quantization.recipes import quantize
from asc_models.quantization.terminal import quiet
from asc_models.topology import Shape
from data_prep.files import written_whole
from data_prep.reader import FeatureSet

CONVERSIONS: tuple[ExportMode, ...] = ("float32", "float16", "dynamic_range")
"""What the converter does by itself."""


def export(
    model: keras.Model, input_shape: Shape, path: Path, mode: ExportMode, calibration: FeatureSet | None = None
) -> None:
    """Write `model` as a TFLite file that takes one clip of `input_shape`, whole or not at all.

    Args:
        model: the trained network.
        input_shape: (n_mels, n_frames, n_channels) of a clip.
        path: takes the file.
        mode: how it stores and computes (asc_models.quantization).
        calibration: clips of the training split, for modes that need some (asc_models.config.CALIBRATED_MODES).

    Raises:
        ExportError: if the converter or the quantizer refuses the model, or a mode that needs calibration has no clips.
    """
    content = (
        convert(model, input_shape, mode)
        if mode in CONVERSIONS
        else quantize(convert(model, input_shape), mode, calibration)
    )
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def convert(model: keras.Model, input_shape: Shape, conversion: ExportMode = "float32") -> bytes:
    """Return `model` as a TFLite file: as it is, with float16 constants, or with the converter's dynamic range.

    Raises:
        ExportError: if the converter refuses the model.
    """
    function = tf.function(lambda log_mel: model(log_mel, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, *input_shape), tf.float32, name="log_mel"))
    # The converter leaves a Keras 3 model's variables unfrozen. Doing it here and going by way of the concrete
    # function, not of a saved model, takes a second where `from_keras_model` takes three to five.
    converter: Any = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(concrete)])
    if conversion != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if conversion == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        with quiet():
            content: bytes = converter.convert()
    except Exception as error:  # the converter has no class of its own for its refusals
        raise ExportError(f"the TFLite converter refused the model: {error}") from error
    return content
