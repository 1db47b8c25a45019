"""What it costs to read a rung: exporting again against filling a template, on the same weights, in one process.

    python tests/benchmarks/rung_reading.py [--shards FOLDER] [--clips 50] [--rounds 5] [--mode int8_weights] [--cpu]

For each of the paper's systems, on one thread: seconds of the parts (median of the rounds; the weights change from
round to round), of a reading that converts (`reconvert`: a network's first and its last) and of others (`template`),
both with writing, measuring and running the file. Predictions take their time by the clip, so clips a second stand
apart. On 128 × 423 × 3 inputs of noise, or on the validation split of fold 1 in FOLDER, read as the shipped
`esc10-fold1` reads it. Both ways must give the same probabilities and sizes. `--cpu` counts the process's own seconds:
for machines that have other work to do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from asc_models.config import CALIBRATED_MODES, EXPORT_MODES, ExportMode
from asc_models.networks.presets import preset
from data_prep.config import ReaderSpec
from data_prep.reader.reader import FeatureSet, read_split

T = TypeVar("T")
SYSTEMS = tuple(f"cao2021-system{number}" for number in (1, 2, 3, 4))
N_CLASSES = 10


class Clock:
    """Seconds by what they went into, as `now` tells the time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.spent: dict[str, list[float]] = defaultdict(list)

    def of(self, part: str, call: Callable[[], T]) -> T:
        """Return what `call` returns, and note its seconds."""
        started = self._now()
        value = call()
        self.spent[part].append(self._now() - started)
        return value

    def median(self, part: str) -> float:
        """Return the median seconds of a part."""
        return statistics.median(self.spent[part])


def noise(n_clips: int) -> FeatureSet:
    """Return clips of 128 × 423 × 3 inputs."""
    rng = np.random.default_rng(0)
    log_mel = rng.standard_normal((n_clips, 128, 431)).astype(np.float16)
    labels = rng.integers(N_CLASSES, size=n_clips)
    clips = pd.DataFrame({"device": ["a"] * n_clips, "augmentation": ["none"] * n_clips})
    return FeatureSet(log_mel, labels, clips, tuple(f"scene{i}" for i in range(N_CLASSES)), ReaderSpec(scaling="none"))


def parts_of(clock: Clock, name: str, features: FeatureSet, mode: ExportMode, n_rounds: int) -> None:
    """Read a network with new weights every round, both ways, and note the seconds of all parts."""
    from asc_models.tflite.artifact import Artifact
    from asc_models.tflite.export import convert, exported
    from asc_models.tflite.measure import measure
    from asc_models.tflite.rung_reader import RungReader
    from asc_models.tflite.template import file_constants, find_template
    from asc_models.training.builder import build

    model = build(preset(name), features.input_shape, N_CLASSES)
    reader, rng = RungReader(), np.random.default_rng(0)
    calibration = features if mode in CALIBRATED_MODES else None

    def reading(*, reconvert: bool) -> object:
        """Return what the reader reads."""
        return reader.read(model, name, features, mode, calibration, reconvert=reconvert)

    change(model, rng)
    reading(reconvert=True)  # the first conversion of a process takes longer
    conversion: ExportMode = mode if mode in ("float16", "dynamic_range") else "float32"
    template = find_template(convert(model, features.input_shape, conversion), file_constants(model))
    for _ in range(n_rounds):
        change(model, rng)
        floats = clock.of("convert", lambda: convert(model, features.input_shape, conversion))
        if template is not None:
            filled = clock.of("fill", lambda: template.filled(file_constants(model)))
            assert filled == floats
        content = clock.of("quantize", lambda floats=floats: exported(lambda _: floats, mode, calibration))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(content)
            clock.of("measure", lambda path=path: measure(path))
            artifact = clock.of("load", lambda path=path: Artifact(path))
            clock.of("predict", lambda artifact=artifact: artifact.predict(features))
        new, old = (
            clock.of(way, lambda way=way: reading(reconvert=way == "reconvert")) for way in ("reconvert", "template")
        )
        assert new.sizes == old.sizes
        np.testing.assert_array_equal(new.probabilities, old.probabilities)


def change(model: object, rng: np.random.Generator) -> None:
    """Give the network other weights, batch norm's statistics included."""
    for weight in model.weights:
        weight.assign(weight.numpy() + rng.uniform(0.01, 0.1, weight.shape))


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, help="ESC-10 as the shipped esc10-fold1 prepares it")
    parser.add_argument("--clips", type=int, default=50, help="where no shards are given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=EXPORT_MODES, default="int8_weights")
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    from asc_models.process import start_tensorflow
    from search.config import read_run_config

    start_tensorflow(1)
    reader = read_run_config("esc10-fold1").reader
    features = (
        read_split(options.shards, "validation", fold=1, reader=reader) if options.shards else noise(options.clips)
    )
    shape, unit = " × ".join(map(str, features.input_shape)), "CPU seconds" if options.cpu else "seconds"
    print(f"{features.n_clips} clips of {shape}, {options.mode}, {unit}")
    columns = ("convert", "fill", "quantize", "measure", "load", "predict", "reconvert", "template")
    print(f"{'network':<18}" + "".join(f"{column:>10}" for column in columns) + f"{'ratio':>8}{'clips/s':>9}")
    for name in SYSTEMS:
        clock = Clock(time.process_time if options.cpu else time.perf_counter)
        parts_of(clock, name, features, options.mode, options.rounds)
        cells = [f"{clock.median(column):>10.3f}" if column in clock.spent else f"{'–':>10}" for column in columns]
        ratio, rate = clock.median("reconvert") / clock.median("template"), features.n_clips / clock.median("predict")
        print(f"{name:<18}" + "".join(cells) + f"{ratio:>8.1f}{rate:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
