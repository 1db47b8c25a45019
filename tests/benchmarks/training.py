"""Training speed against stock Keras: `model.fit` and our trainer side by side, on the same network, clips and batch.

    python tests/benchmarks/training.py [--preset cao2021-system4] [--rounds 5] [--steps 10]

On two processors: one training on two threads, and two trainings on one thread each (a sweep), stock and ours. Every
process is started and warmed up first; then they take turns, round by round, so that whatever else the machine does
hits all alike. Printed is each set-up's median rate in clips per second (of both trainings together, where there are
two) and its ratio to stock `fit` on two threads, with the least and the largest of the rounds.

The first lines say whether TensorFlow's oneDNN operators are on, for stock and ours alike, and the processor's vector
instructions: ratios hold for those. The stock network has Keras' own BatchNormalization; both train on inputs of
128 × 400 × 3 in batches of 16 without augmentation. `recipe` is ours with the paper's mixup and random crops, whose
batches are then made on the way. Last come the machine's own limit (a large float32 matrix product) and the share of it
that training reaches, counting three times the forward pass's multiply–accumulates for a step. `MB each` is a process's
peak memory with its 160 clips; a full data set adds what its float16 log-mels take (1.54 GB for the 13,962 training
clips of TAU 2020 Mobile).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asc_models.networks.estimate import estimate
from asc_models.networks.presets import preset
from asc_models.processor import instruction_set

N_CLIPS = 160
BATCH = 16
SHAPE = (128, 400, 3)
N_CLASSES = 10
SETUPS = {
    "stock fit, 1 × 2 threads": ("stock", 2, 1),
    "ours, 1 × 2 threads": ("ours", 2, 1),
    "ours with the recipe, 1 × 2 threads": ("recipe", 2, 1),
    "stock fit, 2 × 1 thread": ("stock", 1, 2),
    "ours, 2 × 1 thread": ("ours", 1, 2),
    "ours with the recipe, 2 × 1 thread": ("recipe", 1, 2),
}


def stock(name: str) -> Callable[[int], None]:
    """Return a function that trains some steps with `model.fit` on the network with Keras' own layers."""
    import keras

    from asc_models.training.builder import build
    from asc_models.training.layers import FusedBatchNormalization

    def plain(layer: Any) -> Any:
        """Return the layer, or Keras' own batch norm in its place."""
        if isinstance(layer, FusedBatchNormalization):
            return keras.layers.BatchNormalization(momentum=layer.momentum, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    model = keras.models.clone_model(build(preset(name), SHAPE, N_CLASSES), clone_function=plain)
    model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), loss="categorical_crossentropy")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N_CLIPS, *SHAPE)).astype(np.float32)
    y = np.eye(N_CLASSES, dtype=np.float32)[rng.integers(N_CLASSES, size=N_CLIPS)]
    return lambda n_steps: model.fit(x[: n_steps * BATCH], y[: n_steps * BATCH], batch_size=BATCH, verbose=0)


def ours(name: str, *, recipe: bool) -> Callable[[int], None]:
    """Return a function that trains some steps with our trainer."""
    import pandas as pd

    from asc_models.config import TrainConfig
    from asc_models.training.trainer import Trainer
    from data_prep.config import ReaderSpec
    from data_prep.reader.reader import FeatureSet

    rng = np.random.default_rng(0)
    n_frames = SHAPE[1] + 8 + (23 if recipe else 0)  # two orders of deltas cost 8; the recipe crops 400 of 423

    def trainer(n_clips: int) -> Trainer:
        """Return a trainer whose epoch has `n_clips` examples."""
        log_mel = rng.standard_normal((n_clips, SHAPE[0], n_frames)).astype(np.float16)
        labels = rng.integers(N_CLASSES, size=n_clips)
        classes = tuple(f"scene{i}" for i in range(N_CLASSES))
        clips = FeatureSet(log_mel, labels, pd.DataFrame(), classes, ReaderSpec(scaling="none"))
        augmentation = {} if recipe else {"mixup_alpha": 0.0, "crop_fraction": 1.0}
        return Trainer(preset(name), TrainConfig(learning_rate=0.01, **augmentation), clips, seed=0)

    trainers: dict[int, Trainer] = {}

    def train(n_steps: int) -> None:
        """Train an epoch of `n_steps` steps."""
        one = trainers.setdefault(n_steps, trainer(n_steps * BATCH) if n_steps not in trainers else trainers[n_steps])
        one.train_to(one.epoch + 1)

    return train


def worker(kind: str, name: str, n_threads: int, n_steps: int) -> None:
    """Train a round at every line of standard input; print the seconds it took."""
    from asc_models.process import start_tensorflow

    start_tensorflow(n_threads)
    train = stock(name) if kind == "stock" else ours(name, recipe=kind == "recipe")
    train(n_steps)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        train(n_steps)
        print(time.perf_counter() - start, flush=True)


def start(kind: str, name: str, n_threads: int, n_steps: int) -> subprocess.Popen[str]:
    """Return a worker process that is ready."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--worker", kind, "--preset", name]
    command += ["--threads", str(n_threads), "--steps", str(n_steps)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    answer(process)
    return process


def answer(process: subprocess.Popen[str]) -> str:
    """Return the worker's next line.

    Raises:
        SystemExit: if it has died.
    """
    line = process.stdout.readline().strip() if process.stdout is not None else ""
    if not line:
        sys.exit("a worker ended before its time; run it alone to see why: --worker stock, ours or recipe")
    return line


def one_round(processes: list[subprocess.Popen[str]], n_steps: int) -> float:
    """Return the clips per second of the processes together, all at once."""
    for process in processes:
        if process.stdin is not None:
            process.stdin.write("go\n")
            process.stdin.flush()
    return sum(n_steps * BATCH / float(answer(process)) for process in processes)


def peak_mb(pid: int) -> float:
    """Return the peak resident memory of a process in MB, as the kernel tells it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1000


def peak_gflops() -> float:
    """Return the machine's float32 rate in a large matrix product, in 10⁹ operations a second."""
    a = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    a @ a
    best = min(_seconds(lambda: a @ a) for _ in range(5))
    return 2 * 2048**3 / best / 1e9


def _seconds(function: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cao2021-system4")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--worker", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.preset, options.threads, options.steps)
        return
    cost = estimate(preset(options.preset), SHAPE, N_CLASSES)
    print(f"{options.preset}: {cost.n_params:,} parameters, {cost.macs / 1e6:.1f} M MACs a clip, batch {BATCH}")
    flag = os.environ["TF_ENABLE_ONEDNN_OPTS"]
    print(f"TF_ENABLE_ONEDNN_OPTS={flag} for all of them, stock too; instruction set {instruction_set()}")
    groups = {
        name: [start(kind, options.preset, n_threads, options.steps) for _ in range(n_processes)]
        for name, (kind, n_threads, n_processes) in SETUPS.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in SETUPS}
    try:
        for _ in range(options.rounds):
            for name, processes in groups.items():
                rates[name].append(one_round(processes, options.steps))
        peaks = {name: max(peak_mb(process.pid) for process in processes) for name, processes in groups.items()}
    finally:
        for process in (one for processes in groups.values() for one in processes):
            process.kill()
    reference = rates[next(iter(SETUPS))]
    peak = peak_gflops()
    print(f"{'':<38}{'clips/s':>8} {'ratio':>6}  {'least–most':<12}{'GFLOP/s':>8} {'of peak':>8} {'MB each':>8}")
    for name, values in rates.items():
        ratios = [value / other for value, other in zip(values, reference, strict=True)]
        gflops = statistics.median(values) * cost.macs * 2 * 3 / 1e9
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        print(
            f"{name:<38}{statistics.median(values):>8.1f} {statistics.median(ratios):>6.2f}  {spread:<12}"
            f"{gflops:>8.1f} {gflops / peak:>8.1%} {peaks[name]:>8.0f}"
        )
    print(f"peak: {peak:.0f} GFLOP/s in a matrix product of 2,048 × 2,048 float32")


if __name__ == "__main__":
    main()
