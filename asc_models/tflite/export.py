"""Keras model → `.tflite` file in one of the export modes, in about a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from asc_models.config import ExportMode
from asc_models.errors import ExportError
from asc_models.networks.topology import Shape
from asc_models.tflite.quantization.recipes import quantize
from asc_models.tflite.quiet import quiet
from asc_models.training.voting import Voting
from data_prep.files import written_whole
from data_prep.reader.reader import FeatureSet

CONVERSIONS: tuple[ExportMode, ...] = ("float32", "float16", "dynamic_range")
"""What the converter does by itself."""


def export(
    model: keras.Model | Voting, input_shape: Shape, path: Path, mode: ExportMode, calibration: FeatureSet | None = None
) -> None:
    """Write `model` as a TFLite file that takes one clip of `input_shape`, whole or not at all.

    Args:
        model: the trained network, or what votes by it over windows (asc_models.training.voting).
        input_shape: (n_mels, n_frames, n_channels) of a clip.
        path: takes the file.
        mode: how it stores and computes (asc_models.tflite.quantization).
        calibration: clips of the training split, for modes that need some (asc_models.config.CALIBRATED_MODES).

    Raises:
        ExportError: if the converter or the quantizer refuses the model, or a mode that needs calibration has no clips.
    """
    content = exported(lambda conversion: convert(model, input_shape, conversion), mode, calibration)
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def exported(
    converted: Callable[[ExportMode], bytes], mode: ExportMode, calibration: FeatureSet | None = None
) -> bytes:
    """Return a network's file in one mode.

    Args:
        converted: from one of `CONVERSIONS` to the network's file as `convert` makes it.
        mode: how the file stores and computes.
        calibration: clips of the training split, for modes that need some.

    Raises:
        ExportError: as `export`.
    """
    return converted(mode) if mode in CONVERSIONS else quantize(converted("float32"), mode, calibration)


def convert(model: keras.Model | Voting, input_shape: Shape, conversion: ExportMode = "float32") -> bytes:
    """Return `model` as a TFLite file: as it is, with float16 constants, or with the converter's dynamic range.

    Raises:
        ExportError: if the converter refuses the model.
    """
    weights = [(weight, weight.numpy()) for weight in model.weights]

    def function(log_mel: Any) -> Any:
        """Return the answers of the network with its weights as constants: the converter has none to freeze."""
        with keras.StatelessScope([(weight, tf.constant(values)) for weight, values in weights]):
            return model(log_mel, training=False)

    signature = tf.TensorSpec((1, *input_shape), tf.float32, name="log_mel")
    # By way of a concrete function, not of a saved model, this takes under a second, `from_keras_model` three to five.
    concrete = tf.function(function).get_concrete_function(signature)
    converter: Any = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
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
