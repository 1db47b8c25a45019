"""The gradient of a depthwise convolution: TensorFlow's own and ours, side by side.

    python tests/benchmarks/depthwise.py [--rounds 15]

Maps of 64 windows of 1.5 s as in the second half of an ESC-10 network's first block, on one thread. Runs alternate;
printed are medians in milliseconds of the forward pass and of the gradients of input and kernel. The limit is twice the
forward pass: each gradient takes as many multiplications as that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from asc_models.process import start_tensorflow
from asc_models.training.depthwise import depthwise_convolution

SHAPE = (64, 64, 32, 64)
"""Batch, bands, frames, channels."""
CASES = [
    ("float32", 3, 1),
    ("float32", 3, 2),
    ("float32", 5, 1),
    ("float32", 5, 2),
    ("float32", 7, 1),
    ("bfloat16", 3, 2),
    ("bfloat16", 5, 1),
    ("bfloat16", 5, 2),
]
"""Type, kernel size and stride."""


def passes(dtype: str, kernel_size: int, stride: int) -> dict[str, Callable[[], object]]:
    """Return the forward pass, TensorFlow's gradients and ours as compiled functions."""
    import tensorflow as tf

    x = tf.cast(tf.random.stateless_normal(SHAPE, (0, 0)), dtype)
    kernel = tf.cast(tf.random.stateless_normal((kernel_size, kernel_size, SHAPE[-1], 1), (0, 1)), dtype)
    n_out = [-(-n // stride) for n in SHAPE[1:3]]
    upstream = tf.cast(tf.random.stateless_normal((SHAPE[0], *n_out, SHAPE[-1]), (0, 2)), dtype)
    strides = (1, stride, stride, 1)

    def gradients(convolution: Callable[..., Any]) -> Callable[[], object]:
        def computed() -> object:
            with tf.GradientTape() as tape:
                tape.watch((x, kernel))
                outputs = convolution(x, kernel)
            return tape.gradient(outputs, (x, kernel), upstream)

        return tf.function(computed)

    def stock(inputs: Any, weights: Any) -> Any:
        return tf.nn.depthwise_conv2d(inputs, weights, strides, "SAME")

    def ours(inputs: Any, weights: Any) -> Any:
        return depthwise_convolution(inputs, weights, (stride, stride))

    return {"forward": tf.function(lambda: stock(x, kernel)), "stock": gradients(stock), "ours": gradients(ours)}


def seconds(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    start_tensorflow(1)
    print(f"maps of {' × '.join(map(str, SHAPE))}; ms     forward  stock   ours  stock / ours  of the limit")
    for dtype, kernel_size, stride in CASES:
        functions = passes(dtype, kernel_size, stride)
        times: dict[str, list[float]] = {name: [] for name in functions}
        for function in functions.values():
            function()
        for _ in range(options.rounds):
            for name, function in functions.items():
                times[name].append(1e3 * seconds(function))
        forward, stock, ours = (statistics.median(times[name]) for name in ("forward", "stock", "ours"))
        what = f"{dtype}, {kernel_size} × {kernel_size}, stride {stride}"
        print(f"{what:32s} {forward:8.1f} {stock:7.1f} {ours:6.1f} {stock / ours:13.2f} {2 * forward / ours:12.0%}")


if __name__ == "__main__":
    main()
