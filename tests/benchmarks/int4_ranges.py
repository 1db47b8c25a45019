"""What int4 costs a trained network by the ranges of its kernels: bytes, divergence and loss on training clips.

    python tests/benchmarks/int4_ranges.py CANDIDATE --shards SHARDS

CANDIDATE is the folder of a retrained candidate, with `model.keras`; SHARDS are those it was trained on. Its network is
exported with int8 kernels, and with large kernels in int4, whose ranges reach up to the largest weight (min-max), or
minimize the squared error (MSE, OCTAV); each with and without the correction of the classifier's bias. Printed are
weight bytes, the mean Kullback–Leibler divergence of the float network's answers from the file's in nats, and the log
loss, all on training clips other than those of the correction, as far as there are others: no test split is read.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import asc_models.training.builder  # noqa: F401 (registers the layers of saved networks)
from asc_models.candidate import read_candidate_config
from asc_models.metrics import log_loss
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import convert
from asc_models.tflite.measure import measure
from asc_models.tflite.quantization.calibration import draw_calibration
from asc_models.tflite.quantization.correction import with_corrected_bias
from asc_models.tflite.quantization.recipes import apply, int8_weights, mixed_weights
from asc_models.training.voting import answering
from data_prep.reader.reader import read_splits

RANGES = {"min-max": "min_max_uniform_quantize", "MSE": "MSE", "OCTAV": "OCTAV"}


def main() -> None:
    """Export in each way, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--shards", type=Path, required=True)
    asked = parser.parse_args()
    config = read_candidate_config(asked.candidate / "config.yaml")
    train = read_splits(asked.shards, config.splits, fold=config.fold, reader=config.reader)
    fitted, clips = (draw_calibration(train, seed=seed) for seed in (0, 1))
    model = keras.models.load_model(asked.candidate / "model.keras", compile=False)
    floats = convert(answering(model, train.windows), train.input_shape)

    files = {"int8": apply(floats, int8_weights())}
    for name, ranges in RANGES.items():
        files[f"int4, {name}"] = apply(floats, mixed_weights(floats, ranges))
        files[f"int4, {name}, bias corrected"] = with_corrected_bias(
            floats, fitted, lambda content, ranges=ranges: apply(content, mixed_weights(content, ranges))
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(floats)
        network = Artifact(path).predict(clips)
        print("| kernels | weight bytes | divergence, nats | log loss |\n|---|---|---|---|")
        print(f"| float32 | {measure(path).weight_bytes:,} | 0 | {log_loss(clips.labels, network):.4f} |")
        for name, content in files.items():
            path.write_bytes(content)
            answers = Artifact(path).predict(clips)
            divergence = float((network * (np.log(network + 1e-12) - np.log(answers + 1e-12))).sum(axis=1).mean())
            size, loss = measure(path).weight_bytes, log_loss(clips.labels, answers)
            print(f"| {name} | {size:,} | {divergence:.4f} | {loss:.4f} |", flush=True)


if __name__ == "__main__":
    main()
