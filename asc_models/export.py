"""Keras model → `.tflite` file in one of the export modes, in about a second."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from asc_models.config import ExportMode
from asc_models.errors import ExportError
from asc_models.topology import Shape
from data_prep.files import written_whole


def export(model: keras.Model, input_shape: Shape, path: Path, mode: ExportMode) -> None:
    """Write `model` as a TFLite file that takes one clip of `input_shape`, whole or not at all.

    `float16` is the converter's own. `int8_weights` quantizes every kernel by channel and leaves biases and
    activations in float32: ai-edge-quantizer's weight-only recipe on the float32 file.

    Raises:
        ExportError: if the converter or the quantizer refuses the model.
    """
    content = convert(model, input_shape, half=mode == "float16")
    if mode == "int8_weights":
        content = quantize_weights(content)
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def convert(model: keras.Model, input_shape: Shape, *, half: bool = False) -> bytes:
    """Return `model` as a float32 TFLite file, or with float16 constants where `half` is set.

    Raises:
        ExportError: if the converter refuses the model.
    """
    function = tf.function(lambda log_mel: model(log_mel, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, *input_shape), tf.float32, name="log_mel"))
    # The converter leaves a Keras 3 model's variables unfrozen. Doing it here and going by way of the concrete
    # function, not of a saved model, takes a second where `from_keras_model` takes three to five.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(concrete)])
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    try:
        with _quiet():
            content: bytes = converter.convert()
    except Exception as error:  # the converter has no class of its own for its refusals
        raise ExportError(f"the TFLite converter refused the model: {error}") from error
    return content


def quantize_weights(content: bytes) -> bytes:
    """Return a float32 TFLite file with every kernel in int8, by channel.

    Raises:
        ExportError: if the quantizer refuses the file.
    """
    from ai_edge_quantizer import quantizer, recipe

    try:
        with _quiet():
            tool = quantizer.Quantizer(content)
            tool.load_quantization_recipe(recipe.weight_only_wi8_afp32())
            return bytes(tool.quantize().quantized_model)
    except Exception as error:  # likewise
        raise ExportError(f"the quantizer refused the file: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tools' chatter (a deprecation warning, a table of sizes) out of the user's terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
