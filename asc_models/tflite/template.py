"""Templates: converted files whose weights can be replaced in milliseconds, instead of converting again.

A search scores a network again at every rung, and a conversion takes most of a second. The structure of the file
depends only on the network; the weights only fill its buffers. The first file of a network is therefore cached, and
later files are created by writing the current constants of the Keras model (`file_constants`) into its buffers.

The buffer of each constant is found by its value: each constant must be in the file bit for bit, with batch norm folded
in as the converter does, and each weight that arithmetic operators read must be one of them. Otherwise there is no
template, and the network is converted every time. The result is byte-identical to the converter's file (the tests
compare them for all families, blocks and attention types). The alternative, rounding weights in Keras, would only
approximate the exported file and takes several times as long.
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
from asc_models.training.branches import BranchedDepthwise
from asc_models.training.layers import GatedRecurrence, ResidualNormalization

Floats = npt.NDArray[np.float32]
Constants = dict[str, Floats]
"""{layer/part: values in the file's order, flattened}."""

Float = np.dtype[Any]
KERNELS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense, GatedRecurrence)
"""Layers with a kernel, whose axes are in another order in the file."""
DTYPES: dict[str, Float] = {"FLOAT32": np.dtype(np.float32), "FLOAT16": np.dtype(np.float16)}


@dataclass(frozen=True, slots=True)
class Template:
    """A converted file and the constants in its buffers."""

    content: bytes
    """Content of the converted file."""
    slots: dict[int, tuple[str, Float]]
    """{buffer index: (constant, its type in the file)}."""
    fixed: Constants
    """Constants whose buffer cannot be identified: equal ones and zeros, such as the biases of dead units. The template
    is valid as long as they do not change."""

    def filled(self, constants: Constants) -> bytes | None:
        """Return the file with other weights of the same network; None if the template is not valid for them."""
        if not all(np.array_equal(constants[key], values) for key, values in self.fixed.items()):
            return None
        content = bytearray(self.content)
        views = buffer_views(content)
        for number, (key, dtype) in self.slots.items():
            views[number][:] = np.frombuffer(_stored(constants[key], dtype), np.uint8)
        return bytes(content)


def find_template(content: bytes, constants: Constants) -> Template | None:
    """Return the template of a converted file; None if the contents of its buffers cannot be identified.

    Args:
        content: content of the file.
        constants: `file_constants` of the converted model.
    """
    keys = defaultdict(list)
    for key, values in constants.items():
        for dtype in DTYPES.values():
            keys[dtype, _stored(values, dtype)].append(key)
    slots: dict[int, tuple[str, Float]] = {}
    fixed: Constants = {}
    for number, (dtype, stored, is_weight) in _float_buffers(content).items():
        matching = keys[dtype, stored]
        is_zero = not np.frombuffer(stored, dtype).any()
        if len(matching) == 1 and not is_zero:
            slots[number] = (matching[0], dtype)
        elif matching or is_zero:
            fixed |= {key: constants[key] for key in matching}
        elif is_weight:
            return None
    absent = constants.keys() - {key for key, _ in slots.values()} - fixed.keys()
    if any(constants[key].any() for key in absent):
        return None
    return Template(content, slots, fixed | {key: constants[key] for key in absent})  # zeros omitted by the converter


def file_constants(model: keras.Model) -> Constants:
    """Return the constants that the converter derives from a model's weights, in its layout and bit for bit.

    A batch norm named `NAME_norm` is folded into the convolution or dense layer NAME, as named by
    `asc_models.training.builder`: kernel · m and β − μ · m + bias · m, where m = γ / √(σ² + ε). Any other batch norm
    becomes two vectors. The branches of a depthwise convolution are one kernel and one bias. Weights of the other
    custom layers are unchanged, λ of a residual normalization among them.
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
        elif isinstance(layer, BranchedDepthwise):
            constants |= dict(zip((f"{name}/kernel", f"{name}/bias"), layer.folded(), strict=True))
        elif isinstance(layer, KERNELS):
            constants |= {f"{name}/{part}": values for part, values in _folded(layer, norms.get(name)).items()}
        else:
            constants |= {f"{name}/{weight.name}": weight.numpy() for weight in layer.weights}
    for layer in model.layers:
        if isinstance(layer, ResidualNormalization):
            constants[f"{layer.name}/weight"] = np.array([layer.weight])
    return {key: np.ascontiguousarray(values, np.float32).reshape(-1) for key, values in constants.items()}


def _folded(layer: keras.layers.Layer, norm: tuple[Floats, Floats] | None) -> dict[str, Floats]:
    """Return a layer's kernel in the file's order, and its bias, if any."""
    kernel = layer.kernel.numpy()
    bias = None if layer.bias is None else layer.bias.numpy()
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    if is_depthwise:
        kernel = kernel.reshape(*kernel.shape[:2], -1)  # (height, width, channels · multiplier), as in the file
    if norm is not None:
        scale, shift = norm
        kernel = kernel * scale
        bias = shift if bias is None else bias * scale + shift
    if not is_depthwise:
        kernel = np.moveaxis(kernel, -1, 0)  # outputs first
    return {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}


def _scale_and_shift(norm: keras.layers.BatchNormalization) -> tuple[Floats, Floats]:
    """Return the factor and the offset of a batch norm, computed as in the converter.

    The converter uses TensorFlow's reciprocal square root, which on some processors differs from 1 / √x in the last
    bit.
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
    with np.errstate(over="ignore"):  # overflow becomes infinite, as in the converter's file
        return values.astype(dtype).tobytes()
