"""A converted file that takes other weights of its network: a conversion in milliseconds.

A search scores a network again at every rung, and converting takes most of a second. But a file's structure follows
from the network alone; the weights only fill its buffers. So the first file of a network is kept, and later ones are
made by writing what now follows from the Keras model (`file_constants`) in place of what was there.

Nothing is taken on trust. Where a constant belongs is found by its value: each must be in the file bit for bit, batch
norm folded in as the converter does it, and each weight that the file's arithmetic reads must be one of them. Else
there is no template, and the network is converted every time. What comes out is, byte for byte, the converter's own
file (the tests compare them over all families, blocks and kinds of attention). Weights rounded in Keras would be
another network, whose answers had to be argued for, mode by mode, and it takes several times as long to run.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from asc_models.tflite.flatbuffer import TfliteFile, buffer_views
from asc_models.tflite.measure import weight_tensors

Floats = npt.NDArray[np.float32]
Constants = dict[str, Floats]
"""{layer/part: values in the file's order, in one row}."""

Float = np.dtype[Any]
DTYPES: dict[str, Float] = {"FLOAT32": np.dtype(np.float32), "FLOAT16": np.dtype(np.float16)}


@dataclass(frozen=True, slots=True)
class Template:
    """A converted file and what each of its buffers holds."""

    content: bytes
    """The file, as it was converted."""
    places: dict[int, tuple[str, Float]]
    """{buffer: (constant, its type in the file)}."""
    fixed: Constants
    """Constants that can't be told from others, or were left out: equal ones, and zeros, such as dead units' bias. The
    template holds while they stay as they are."""

    def filled(self, constants: Constants) -> bytes | None:
        """Return the file with other weights of the same network; None where the template does not hold for them."""
        if not all(np.array_equal(constants[key], values) for key, values in self.fixed.items()):
            return None
        content = bytearray(self.content)
        views = buffer_views(content)
        for number, (key, dtype) in self.places.items():
            views[number][:] = np.frombuffer(_stored(constants[key], dtype), np.uint8)
        return bytes(content)


def find_template(content: bytes, constants: Constants) -> Template | None:
    """Return the template that a converted file makes, or None where it can't be told what each buffer holds.

    Args:
        content: the file.
        constants: `file_constants` of the model that it was converted from.
    """
    keys = defaultdict(list)
    for key, values in constants.items():
        for dtype in DTYPES.values():
            keys[dtype, _stored(values, dtype)].append(key)
    places: dict[int, tuple[str, Float]] = {}
    fixed: Constants = {}
    for number, (dtype, stored, is_weight) in _float_buffers(content).items():
        matching = keys[dtype, stored]
        is_zero = not np.frombuffer(stored, dtype).any()
        if len(matching) == 1 and not is_zero:
            places[number] = (matching[0], dtype)
        elif matching or is_zero:
            fixed |= {key: constants[key] for key in matching}
        elif is_weight:
            return None
    absent = constants.keys() - {key for key, _ in places.values()} - fixed.keys()
    if any(constants[key].any() for key in absent):
        return None
    return Template(content, places, fixed | {key: constants[key] for key in absent})  # zeros, which it left out


def file_constants(model: keras.Model) -> Constants:
    """Return the constants that the converter makes of a model's weights, in its layout and bit for bit.

    A batch norm called `NAME_norm` goes into the convolution or dense layer NAME, as
    `asc_models.training.builder` names them: kernel · m and β − μ · m + bias · m, where m = γ / √(σ² + ε). Any other
    becomes the two vectors. Weights of a layer of ours are taken as they stand.
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    norms = {
        name.removesuffix("_norm"): _scale_and_shift(layer)
        for name, layer in layers.items()
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    constants: dict[str, Floats] = {}
    for name, layer in layers.items():
        host = name.removesuffix("_norm")
        if isinstance(layer, keras.layers.BatchNormalization):
            if host == name or host not in layers:
                constants |= dict(zip((f"{name}/scale", f"{name}/shift"), norms[host], strict=True))
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)):
            constants |= {f"{name}/{part}": values for part, values in _folded(layer, norms.get(name)).items()}
        else:
            constants |= {f"{name}/{weight.name}": weight.numpy() for weight in layer.weights}
    return {key: np.ascontiguousarray(values, np.float32).reshape(-1) for key, values in constants.items()}


def _folded(layer: keras.layers.Layer, norm: tuple[Floats, Floats] | None) -> dict[str, Floats]:
    """Return a layer's kernel in the file's order, and its bias where it has one."""
    kernel = layer.kernel.numpy()
    bias = None if layer.bias is None else layer.bias.numpy()
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    if is_depthwise:
        kernel = kernel[..., 0]  # (height, width, channels), the last of which the file has last too
    if norm is not None:
        scale, shift = norm
        kernel = kernel * scale
        bias = shift if bias is None else bias * scale + shift
    if not is_depthwise:
        kernel = np.moveaxis(kernel, -1, 0)  # outputs first
    return {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}


def _scale_and_shift(norm: keras.layers.BatchNormalization) -> tuple[Floats, Floats]:
    """Return what a batch norm multiplies by and adds, computed as the converter computes it.

    It takes TensorFlow's reciprocal square root, which on some processors is not 1 / √x to the last bit.
    """
    gamma, beta, mean = norm.gamma.numpy(), norm.beta.numpy(), norm.moving_mean.numpy()
    scale = gamma * tf.math.rsqrt(norm.moving_variance.value + norm.epsilon).numpy()
    return scale, beta - mean * scale


def _float_buffers(content: bytes) -> dict[int, tuple[Float, bytes, bool]]:
    """Return {buffer: (type, bytes, whether an arithmetic operator reads it)} of a file's floats."""
    buffers = {}
    for graph in TfliteFile(content, "the converted file").graphs:
        weights = {graph.buffer(tensor) for tensor in weight_tensors(graph)}
        for tensor in range(graph.n_tensors):
            data, number = graph.data(tensor), graph.buffer(tensor)
            if data is not None and graph.type_name(tensor) in DTYPES:
                buffers[number] = (DTYPES[graph.type_name(tensor)], data.tobytes(), number in weights)
    return buffers


def _stored(values: Floats, dtype: Float) -> bytes:
    with np.errstate(over="ignore"):  # what float16 can't hold is infinite in the converter's file too
        return values.astype(dtype).tobytes()
