"""Where a training step's time goes, by kind of operator, against what the machine can do.

    python tests/benchmarks/operator_profile.py [--preset cao2021-system4] [--steps 10]

One thread, batches of 16 inputs of 128 × 400 × 3. TensorFlow's profile of a step (forward, backward and update as
they are in training) gives each operator's time. On one thread operators run one after the other, so that their times
add up to the step's, which is measured apart, without a profile. For every kind: milliseconds a step, GFLOP/s of its
convolutions and products (two operations a multiply–accumulate), and GB/s of what it must read and write at least (each
operator's operands and results once). Beside them stands what the machine reaches in a large float32 matrix product and
in copying arrays too large for its caches: a kind near the latter and far from the former is bound by memory.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asc_models.networks.presets import PRESETS, preset
from data_prep.config import ReaderSpec
from data_prep.reader.reader import FeatureSet

BATCH = 16
SHAPE = (128, 400, 3)
N_CLASSES = 10
NUMBERED = re.compile(r"_\d+$")
KINDS = (
    ("attention", "attention"),
    ("_norm$", "batch norm"),
    ("_(relu|relu6|leaky_relu|hard_swish)$", "activation"),
    ("^stem", "stem convolution"),
    ("_expand$", "expansion 1 × 1"),
    ("_depthwise$", "depthwise convolution"),
    ("_project$", "projection 1 × 1"),
)
"""(pattern of a layer's name, its kind); what fits none is the rest: pooling, classifier, loss, update."""


@dataclass(slots=True)
class Share:
    """What the operators of one kind took and did in one step."""

    forward_s: float = 0.0
    backward_s: float = 0.0
    n_operations: float = 0.0
    n_bytes: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of both directions."""
        return self.forward_s + self.backward_s


def prepared(name: str) -> tuple[Callable[[], None], Any, set[str]]:
    """Return a function that trains a step, the step's graph, and the names of the network's layers."""
    import tensorflow as tf

    from asc_models.config import TrainConfig
    from asc_models.training.trainer import Trainer

    rng = np.random.default_rng(0)
    log_mel = rng.standard_normal((BATCH, SHAPE[0], SHAPE[1] + 8)).astype(np.float16)  # two orders of deltas cost 8
    labels, classes = rng.integers(N_CLASSES, size=BATCH), tuple(f"scene{i}" for i in range(N_CLASSES))
    clips = FeatureSet(log_mel, labels, pd.DataFrame(), classes, ReaderSpec(scaling="none"))
    trainer = Trainer(preset(name), TrainConfig(mixup_alpha=0.0, crop_fraction=1.0), clips, seed=0)
    x, y = next(iter(trainer._batches.epoch(0)))
    arguments = (tf.constant(x), tf.constant(y), tf.constant(0.01))
    layers = {layer.name for layer in trainer.model.layers}
    return lambda: float(trainer._step(*arguments)), trainer._step.get_concrete_function().graph, layers


def recorded(step: Callable[[], None], n_steps: int) -> dict[str, float]:
    """Return {operator: its seconds in a step}, the mean of `n_steps` as TensorFlow's profiler recorded them."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    spent: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(n_steps):
            step()
        tf.profiler.experimental.stop()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    for plane in space.planes:
        for line in (line for line in plane.lines if line.name.startswith("tf_Compute")):
            for event in line.events:
                name, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if not kind.endswith("PartitionedCall"):  # which lasts as long as all it calls
                    spent[name] += event.duration_ps / 1e12 / n_steps
    return spent


def kind_of(operator: str, layers: set[str]) -> str:
    """Return the kind of the layer that an operator of the graph belongs to."""
    parts = (NUMBERED.sub("", part) for part in operator.split("/"))
    layer = next((part for part in parts if part in layers), "")
    return next((kind for pattern, kind in KINDS if re.search(pattern, layer)), "rest")


def operations_of(operator: Any) -> float:
    """Return the additions and multiplications of a convolution, a matrix product, or a gradient of them; else 0."""
    kind = operator.type
    if kind == "MatMul":
        rows, columns = operator.inputs[0].shape
        return 2.0 * math.prod(operator.outputs[0].shape) * (rows if operator.get_attr("transpose_a") else columns)
    if "Conv2" not in kind or kind.startswith("Resource"):
        return 0.0
    # The map at the output's end; for a gradient that is the last operand.
    result = operator.inputs[2] if "Backprop" in kind else operator.outputs[0]
    kernel = operator.outputs[0] if kind.endswith("Filter") else operator.inputs[1]
    n_kernel = math.prod(kernel.shape[:2]) * (1 if kind.startswith("Depthwise") else int(kernel.shape[2]))
    return 2.0 * math.prod(result.shape) * n_kernel


def bytes_of(operator: Any) -> float:
    """Return the bytes of an operator's float operands and results."""
    tensors = [*operator.inputs, *operator.outputs]
    known = (tensor for tensor in tensors if tensor.dtype.is_floating and tensor.shape.is_fully_defined())
    return float(sum(tensor.dtype.size * math.prod(tensor.shape) for tensor in known))


def shares_of(spent: dict[str, float], graph: Any, layers: set[str]) -> dict[str, Share]:
    """Return {kind: its share of a step} out of {operator: its seconds}."""
    operators = {operator.name: operator for operator in graph.get_operations()}
    shares: dict[str, Share] = {}
    for name, seconds in spent.items():
        kind = kind_of(name, layers)
        if kind == "rest" and name not in operators:  # the call of the whole step
            continue
        share = shares.setdefault(kind, Share())
        if "gradient_tape" in name:
            share.backward_s += seconds
        else:
            share.forward_s += seconds
        if name in operators:
            share.n_operations += operations_of(operators[name])
            share.n_bytes += bytes_of(operators[name])
    return shares


def best_seconds(call: Callable[[], object], n_times: int = 5) -> float:
    """Return the least seconds of a call."""
    seconds = []
    for _ in range(n_times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def machine() -> tuple[float, float]:
    """Return this machine's GFLOP/s in a matrix product and GB/s in copying, on one thread."""
    import tensorflow as tf

    size, n_values = 2048, 2**26
    square = tf.random.normal((size, size))
    product = best_seconds(lambda: tf.linalg.matmul(square, square).numpy())
    source, target = np.ones(n_values, np.float32), np.zeros(n_values, np.float32)
    copy = best_seconds(lambda: np.copyto(target, source))
    return 2 * size**3 / product / 1e9, 2 * source.nbytes / copy / 1e9


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [name for name in PRESETS if name.startswith("cao2021")]
    parser.add_argument("--preset", default="cao2021-system4", choices=names)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    from asc_models.process import start_tensorflow

    start_tensorflow(1)
    step, graph, layers = prepared(options.preset)
    step()
    step()
    whole = statistics.median(best_seconds(step, 1) for _ in range(options.steps))
    shares = shares_of(recorded(step, options.steps), graph, layers)
    peak, bandwidth = machine()
    total = sum(share.seconds for share in shares.values())
    print(f"{options.preset}, one thread, a batch of {BATCH} × {' × '.join(map(str, SHAPE))}; milliseconds a step")
    columns = [("forward", 9), ("backward", 10), ("both", 8), ("share", 7), ("GFLOP/s", 9), ("of peak", 9)]
    columns += [("GB/s", 7), ("of copy", 9)]
    print(f"{'':<24}" + "".join(f"{name:>{width}}" for name, width in columns))
    for kind, share in sorted(shares.items(), key=lambda entry: -entry[1].seconds):
        gflops, gigabytes = (n / share.seconds / 1e9 for n in (share.n_operations, share.n_bytes))
        times = f"{1e3 * share.forward_s:>9.1f}{1e3 * share.backward_s:>10.1f}{1e3 * share.seconds:>8.1f}"
        rates = f"{gflops:>9.1f}{gflops / peak:>9.1%}{gigabytes:>7.1f}{gigabytes / bandwidth:>9.1%}"
        print(f"{kind:<24}{times}{share.seconds / total:>7.1%}{rates}")
    print(f"{'sum':<43}{1e3 * total:>8.1f}")
    print(f"{'whole step, unprofiled':<43}{1e3 * whole:>8.1f}{total / whole:>7.1%} of it are in the sum")
    print(f"machine: {peak:.0f} GFLOP/s in a product of 2,048 × 2,048, {bandwidth:.1f} GB/s copied")


if __name__ == "__main__":
    main()
