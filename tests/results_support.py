"""Small run directories with made predictions, for the tests of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from data_prep.corpora.corpus import TAU_SCENES
from results.candidates.candidates import CandidateMetrics, write_metrics
from results.candidates.predictions import Predictions, read_predictions, write_predictions
from results.ledger.ledger import Ledger
from results.ledger.trials import write_trials
from results.rundir import CandidateFiles, RunDirectory

DEVICES = ("a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6")
CITIES = ("helsinki", "lyon", "porto")
CONFIG: dict[str, Any] = {
    "data": {"name": "made-corpus", "manifest_hash": "0123456789ab", "fold": 1},
    "prepare": {"features": {"sample_rate": 44_100, "n_mels": 128, "hop_length": 1024, "clip_seconds": 10.0}},
    "reader": {"scaling": "minmax", "deltas": 2},
    "train": {"epochs": 30, "mixup_alpha": 0.4, "crop_fraction": 0.9456, "time_roll": True},
    "export": {"mode": "int8_weights"},
    "rules": {"name": "dcase2021", "limits": {}},
    "versions": {"numpy": "2.4.6", "tensorflow": "2.21.0"},
    "machine": {"processor": "AMD EPYC 7763", "instruction_set": "avx2", "onednn": "1", "processors": 2},
}


def clips(n: int, classes: tuple[str, ...], seed: int = 0, *, labelled: bool = True) -> pd.DataFrame:
    """Return `n` clips, scene by scene, each location with a few clips on all devices."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        scene, city, device = classes[i % len(classes)], CITIES[rng.integers(3)], DEVICES[rng.integers(len(DEVICES))]
        location = f"{city}-{10 * (i % len(classes)) + rng.integers(4)}"
        name = f"{scene}-{location}-{i}-{device}"
        known = {"scene": scene, "city": city, "location": location, "segment": str(i)} if labelled else {}
        blank = {"scene": None, "city": None, "location": None, "segment": None}
        clip_id = name if labelled else str(i)
        rows.append({"clip_id": clip_id, "filename": f"audio/{clip_id}.wav", "device": device, **blank, **known})
    return pd.DataFrame(rows)


def predictions(table: pd.DataFrame, classes: tuple[str, ...], skill: float, seed: int) -> Predictions:
    """Return softmax probabilities that favour the true scene by `skill`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(table), len(classes)))
    for row, scene in enumerate(table["scene"]):
        if isinstance(scene, str):
            logits[row, classes.index(scene)] += skill
    p = np.exp(logits)
    return Predictions(table, (p / p.sum(axis=1, keepdims=True)).astype(np.float32), classes)


def add_candidate(
    run: RunDirectory,
    name: str,
    *,
    size: int,
    skill: float,
    seed: int = 0,
    classes: tuple[str, ...] = TAU_SCENES,
    macs: int = 40_000_000,
) -> None:
    """Write a finished candidate of `size` weight bytes."""
    files = run.candidate(name, seed)
    splits = {}
    for split, n in (("validation", 120), ("test", 240)):
        made = predictions(clips(n, classes, n), classes, skill, hash_of(name) + seed + n)
        write_predictions(files.predictions_path(split), made)
        splits[split] = made.summarize()
    sizes = {"weight_bytes": size + 120, "nonzero_weight_bytes": size, "file_bytes": size + 42_000}
    sizes |= {"quantization_bytes": 1_300, "n_params": size - 3_000, "macs": macs, "peak_activation_bytes": 800_000}
    training: dict[str, Any] = {"mode": "int8_weights", "best_epoch": 30, "epochs": 30, "seed": seed, "trial_id": name}
    files.config_path.write_text(yaml.safe_dump({"model": {"kernel_size": 3}, "train": CONFIG["train"]}))
    write_metrics(files.metrics_path, CandidateMetrics(splits=splits, agreement=0.995, **sizes, **training))


def add_history(
    files: CandidateFiles, *, epochs: int = 14, swa_share: float = 0.0, with_validation: bool = True
) -> None:
    """Write the epochs of a training with warm restarts after 2 and 6 epochs, the better the later."""
    number = np.arange(1, epochs + 1)
    table = pd.DataFrame(
        {
            "epoch": number,
            "loss": 2.3 * 0.9**number,
            "learning_rate": 0.05,
            "macro_accuracy": 1 - 0.9 * 0.9**number if with_validation else np.nan,
            "log_loss": 2.1 * 0.9**number if with_validation else np.nan,
            "is_average": False,
        }
    )
    if swa_share:
        table = pd.concat([table, table.tail(1).assign(is_average=True)], ignore_index=True)
    table.to_parquet(files.history_path, index=False)
    config = {**files.read_config(), "train": {**CONFIG["train"], "epochs": epochs, "swa_share": swa_share}}
    files.config_path.write_text(yaml.safe_dump(config))


def search_of(n: int, *, noise: float = 0.01, rungs: tuple[int, ...] = (6, 14)) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return trials and rungs: accuracy depends on `width` strongly, on `kind` weakly, and not on `idle`."""
    rng = np.random.default_rng(1)
    width, kind = rng.choice([8, 16, 32], n), rng.choice(["none", "casam"], n)
    trials = pd.DataFrame(
        {
            "trial_id": [f"t{i:04d}" for i in range(n)],
            "param_width": pd.array(width, dtype="Int64"),
            "param_kind": pd.array(kind, dtype="string"),
            "param_ratio": pd.array([2 if k == "casam" else None for k in kind], dtype="Int64"),
            "param_idle": rng.random(n),
            "param_fixed": pd.array([3] * n, dtype="Int64"),
        }
    )
    signal = 0.4 + 0.008 * width + 0.03 * (kind == "casam")
    rows = [
        {"trial_id": trial, "epochs": epochs, "macro_accuracy": value + noise * rng.normal()}
        for epochs in rungs
        for trial, value in zip(trials["trial_id"], signal, strict=True)
    ]
    return trials, pd.DataFrame(rows)


def write_dense_tflite(path: Path, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> None:
    """Write a TFLite file of one dense layer; `kernel` has the shape (outputs, inputs)."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools.flatbuffer_utils import convert_object_to_bytearray

    model, graph, code, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    graph.inputs, graph.outputs, graph.operators, graph.tensors = [0], [3], [operator], []
    shapes = {"x": (1, kernel.shape[1]), "kernel": kernel.shape, "bias": bias.shape, "y": (1, kernel.shape[0])}
    for name, shape in shapes.items():
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), schema.TensorType.FLOAT32, 0
        if name in {"kernel", "bias"}:
            tensor.buffer = len(model.buffers)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer((kernel if name == "kernel" else bias).tobytes(), np.uint8)
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
    path.write_bytes(bytes(convert_object_to_bytearray(model)))


def forget_locations(run: RunDirectory, n_known: int = 0) -> None:
    """Take the locations out of every candidate's test predictions, but for the first `n_known` clips."""
    for files in run.candidates():
        path = files.predictions_path("test")
        made = read_predictions(path)
        made.clips.loc[n_known:, "location"] = None
        write_predictions(path, made)


def hash_of(name: str) -> int:
    """Return a number that depends on the name only."""
    return sum(ord(letter) * (i + 1) for i, letter in enumerate(name))


def add_search(run: RunDirectory, n_trials: int = 24, n_infeasible: int = 7, seed: int = 1) -> None:
    """Write a ledger of a successive halving over rungs of 2, 6, 14 epochs, and the trials table."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(9e3), np.log(127e3), n_trials)).astype(int)
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("run_started", config_hash="c0ffee", data_hash="0123456789ab", versions={})
        for _ in range(n_infeasible):
            size = int(130_000 * np.exp(rng.exponential(0.5)))
            reason = f"nonzero_weight_bytes {size:,} over 128,000 by {size - 128_000:,}"
            ledger.append(
                "infeasible", params={"blocks": 6, "expansion": 6}, weight_bytes=size, limit=128_000, reason=reason
            )
        for i, size in enumerate(sizes):
            start = {"n_params": int(size) - 2_000, "macs": int(400 * size), "weight_bytes": int(size), "seed": 0}
            attention = {"attention": "channel", "reduction_ratio": 8 + i} if i % 2 else {"attention": "spatial"}
            params = {"blocks": int(2 + i % 4), **attention}
            ledger.append("trial_started", trial_id=f"t{i:02d}", params=params, key=f"k{i}", config={}, **start)
            quality = 0.45 + 0.12 * np.log10(size / 9e3) + rng.normal(0, 0.04)
            last = 2 if i % 9 == 0 else 1 if i % 3 == 0 else 0
            for rung in range(last + 1):
                accuracy = float(np.clip(quality + 0.1 * rung + rng.normal(0, 0.01), 0, 1))
                scores = {"macro_accuracy": accuracy, "log_loss": 2.2 * (1 - accuracy), "seconds": 20.0 * 2**rung}
                exact = {
                    "weight_bytes": int(size),
                    "nonzero_weight_bytes": int(size) - 30,
                    "file_bytes": int(size) + 40_000,
                }
                ledger.append("rung", trial_id=f"t{i:02d}", rung=rung, epochs=(2, 6, 14)[rung], **scores, **exact)
            ledger.append(
                "trial_ended", trial_id=f"t{i:02d}", state="finished" if last == 2 else "stopped", reason=None
            )
    write_trials(run)


def make_run(
    root: Path, *, n_candidates: int = 3, search: bool = True, classes: tuple[str, ...] = TAU_SCENES
) -> RunDirectory:
    """Return a run directory with a configuration, a search and `n_candidates` candidates."""
    run = RunDirectory(root)
    root.mkdir(parents=True, exist_ok=True)
    run.config_path.write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    if search:
        add_search(run)
    for i in range(n_candidates):
        add_candidate(
            run, f"t{9 * i:02d}", size=(92_000, 58_000, 31_000)[i % 3] + i, skill=3.2 - 0.1 * i, classes=classes
        )
    return run
