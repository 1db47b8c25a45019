"""What every export mode costs and keeps: the presets, really trained on ESC-10, in every mode.

    python tests/benchmarks/quantization.py --data ESC10 --out FOLDER [--epochs 126] [--networks NAME…] [--modes MODE…]

Each network is prepared with its own features and trained on fold 1 by the recipe of the shipped `esc10-fold1`, on one
thread; its best validation epoch is exported in every mode. Measured on windows of the test recordings, which nothing
was chosen by: each recording begun at `--starts` places, what comes before the start behind its end. Agreement is that
with the Keras network; its interval is the 95 % range of 2,000 resamplings of whole recordings, or Wilson's where all
windows agree. Goes on where it was stopped; prints the table and writes quantization.csv and quantization.md.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from asc_models.process import start_tensorflow

start_tensorflow(1)  # before TensorFlow's first operator

from asc_models.config import EXPORT_MODES  # noqa: E402
from asc_models.metrics import log_loss, macro_accuracy  # noqa: E402
from asc_models.networks.families import BaselineConfig  # noqa: E402
from asc_models.networks.presets import preset  # noqa: E402
from asc_models.tflite.artifact import Artifact  # noqa: E402
from asc_models.tflite.bench import bench  # noqa: E402
from asc_models.tflite.export import convert, export  # noqa: E402
from asc_models.tflite.measure import measure  # noqa: E402
from asc_models.tflite.quantization.agreement import agreement  # noqa: E402
from asc_models.tflite.quantization.calibration import draw_calibration  # noqa: E402
from asc_models.tflite.quantization.drift import layer_drift  # noqa: E402
from asc_models.tflite.quantization.probe import probe  # noqa: E402
from asc_models.training.fit import fit  # noqa: E402
from asc_models.training.trainer import Trainer  # noqa: E402
from data_prep.config import FeatureSpec, PrepareConfig, ValidationSpec  # noqa: E402
from data_prep.prepare.prepare import prepare  # noqa: E402
from data_prep.reader.reader import FeatureSet, read_split  # noqa: E402
from search.config import read_run_config  # noqa: E402

RECIPE = read_run_config("esc10-fold1")
FEATURES = {
    "report": (RECIPE.prepare.features, RECIPE.reader),
    # 40 mel bands of 40 ms windows that overlap by half, and no deltas
    "baseline": (
        FeatureSpec(clip_seconds=5.0, n_fft=1764, hop_length=882, n_mels=40),
        RECIPE.reader.updated(deltas=0),
    ),
    # 256 mel bands at 32 kHz, 64 frames a second, and no deltas
    "cp-mobile": (
        FeatureSpec(sample_rate=32_000, clip_seconds=5.0, n_fft=4096, hop_length=500, n_mels=256),
        RECIPE.reader.updated(deltas=0),
    ),
}
NETWORKS = {
    **{f"cao2021-system{n}": (preset(f"cao2021-system{n}"), "report", 1) for n in (1, 3, 4)},
    # system 4 with less attention than it has: what each kind costs an integer file
    **{
        f"system4-{kind}-attention": (preset("cao2021-system4").updated(attention=name), "report", 1)
        for kind, name in (("no", "none"), ("channel", "channel"), ("spatial", "spatial"))
    },
    "cao2021-system2": (preset("cao2021-system2"), "report", 2),  # system 1 trained longer: here by a cycle
    # its second pooling takes all frames of a clip: 100 of ten seconds, 50 of five
    "dcase2021-baseline": (BaselineConfig(pools=((5, 5), (4, 50))), "baseline", 1),
    "cp-mobile": (preset("cp-mobile"), "cp-mobile", 1),
}
"""{name: (network, its features, how many times the epochs)}"""


def shards_of(name: str, data: Path, out: Path) -> Path:
    """Return the folder of the features called `name`, prepared unless they are there already."""
    folder = out / "shards" / name
    config = PrepareConfig(features=FEATURES[name][0], validation=ValidationSpec(fraction=0.15))
    prepare(data, folder, config)
    return folder


def trained(name: str, data: Path, out: Path, epochs: int) -> tuple[Trainer, FeatureSet, FeatureSet]:
    """Return a network with the weights of its best validation epoch, its training and its test split."""
    network, features, factor = NETWORKS[name]
    shards, reader = shards_of(features, data, out), FEATURES[features][1]
    train, validation, test = (
        read_split(shards, split, fold=1, reader=reader) for split in ("train", "validation", "test")
    )
    epochs = round(epochs * factor)
    trainer = Trainer(network, RECIPE.train.updated(epochs=epochs), train, seed=0)
    started = time.monotonic()

    def tell(record: object) -> None:
        print(f"{name}: {record}, {time.monotonic() - started:.0f} s", flush=True)

    fit(trainer, validation, epochs=epochs, checkpoint=out / f"{name}-{epochs}.npz", metric="log_loss", on_epoch=tell)
    return trainer, train, test


def windows(clips: FeatureSet, n_starts: int) -> FeatureSet:
    """Return each clip begun at `n_starts` places, the clips of one start behind those of another."""
    n_frames = clips.log_mel.shape[2]
    rolled = [np.roll(clips.log_mel, -start * n_frames // n_starts, axis=2) for start in range(n_starts)]
    repeated = clips.take(np.tile(np.arange(clips.n_clips), n_starts))
    return dataclasses.replace(repeated, log_mel=np.concatenate(rolled))


def interval(same: np.ndarray, n_starts: int) -> tuple[float, float]:
    """Return the 95 % interval of the share of `same`, whole recordings resampled."""
    by_clip = same.reshape(n_starts, -1).mean(axis=0)
    if by_clip.all() and by_clip.min() == 1.0:  # resampling says nothing here: Wilson's interval over the windows
        found = binomtest(same.size, same.size).proportion_ci(method="wilson")
        return found.low, found.high
    rng = np.random.default_rng(0)
    shares = by_clip[rng.integers(0, by_clip.size, (2000, by_clip.size))].mean(axis=1)
    return float(np.quantile(shares, 0.025)), float(np.quantile(shares, 0.975))


def rows_of(name: str, modes: list[str], data: Path, out: Path, epochs: int, n_starts: int) -> list[dict[str, object]]:
    """Return a network's rows, one for each mode."""
    trainer, train, test = trained(name, data, out, epochs)
    clips, calibration = windows(test, n_starts), draw_calibration(train)
    theirs = trainer.predict(clips)
    accuracy, loss = macro_accuracy(clips.labels, theirs), log_loss(clips.labels, theirs)
    rows = []
    for mode in modes:
        path = out / f"{name}-{mode}.tflite"
        started = time.monotonic()
        export(trainer.model, train.input_shape, path, mode, calibration)
        seconds = time.monotonic() - started
        ours = Artifact(path).predict(clips)
        found, sizes = agreement(theirs, ours), measure(path)
        low, high = interval(theirs.argmax(axis=1) == ours.argmax(axis=1), n_starts)
        row = {
            "network": name,
            "mode": mode,
            "macro_accuracy": round(macro_accuracy(clips.labels, ours), 4),
            "drop_points": round(100 * (accuracy - macro_accuracy(clips.labels, ours)), 2),
            "log_loss": round(log_loss(clips.labels, ours), 4),
            "log_loss_network": round(loss, 4),
            "agreement": round(found.share, 4),
            "agreement_low": round(low, 4),
            "agreement_high": round(high, 4),
            "beyond_chance": round(found.beyond_chance, 4),
            "n_windows": found.n_clips,
            "n_near_ties": found.n_near_ties,
            "weight_bytes": sizes.weight_bytes,
            "nonzero_weight_bytes": sizes.nonzero_weight_bytes,
            "file_bytes": sizes.file_bytes,
            "ms_per_clip": round(bench(path).median_ms, 3),
            "export_seconds": round(seconds, 2),
            "xnnpack": "no" if probe(path, calibration.inputs(slice(0, 2)), "xnnpack") else "yes",
        }
        if found.beyond_chance < 0.97:
            floats = convert(trainer.model, train.input_shape)
            drifts = layer_drift(floats, path, calibration.inputs(slice(0, 8)))[:3]
            print(f"{name} {mode}: drift in {', '.join(f'{drift.name} {drift.own:.1%}' for drift in drifts)}")
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def write_tables(rows: list[dict[str, object]], out: Path) -> None:
    """Write all rows as CSV and as a Markdown table, and print the latter."""
    with (out / "quantization.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    columns = [name for name in rows[0] if name not in ("agreement_low", "agreement_high", "n_windows")]
    lines = [" | ".join(["", *columns, ""]).strip(), "|" + "---|" * len(columns)]
    for row in rows:
        shown = {**row, "agreement": f"{row['agreement']} ({row['agreement_low']}–{row['agreement_high']})"}
        lines.append(" | ".join(["", *(f"{shown[name]}" for name in columns), ""]).strip())
    text = "\n".join(lines) + "\n"
    (out / "quantization.md").write_text(text, encoding="utf-8")
    print(text)


def main() -> None:
    """Train, export, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="ESC-10 in TAU's layout")
    parser.add_argument("--out", type=Path, required=True, help="takes features, weights, files and tables")
    parser.add_argument("--epochs", type=int, default=126)
    parser.add_argument("--starts", type=int, default=13, help="windows of a recording")
    parser.add_argument("--networks", nargs="+", default=sorted(NETWORKS), choices=sorted(NETWORKS))
    parser.add_argument("--modes", nargs="+", default=list(EXPORT_MODES), choices=EXPORT_MODES)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    done = options.out / "rows.json"
    key = {"epochs": options.epochs, "starts": options.starts}
    kept = json.loads(done.read_text()) if done.exists() else {}
    rows = kept.get("rows", []) if kept.get("key") == key else []
    for name in options.networks:
        have = {row["mode"] for row in rows if row["network"] == name}
        modes = [mode for mode in options.modes if mode not in have]
        if modes:
            rows += rows_of(name, modes, options.data, options.out, options.epochs, options.starts)
            done.write_text(json.dumps({"key": key, "rows": rows}))
    rows.sort(key=lambda row: (row["network"], EXPORT_MODES.index(row["mode"])))
    write_tables(rows, options.out)
    int8 = [row for row in rows if row["mode"] == "int8"]
    if int8:
        worst = min(int8, key=lambda row: row["agreement"])
        print(
            f"int8: agreement at least {worst['agreement']} ({worst['network']}), accuracy drop at most "
            f"{max(row['drop_points'] for row in int8)} points, log loss up by at most "
            f"{max(row['log_loss'] - row['log_loss_network'] for row in int8):.4f}"
        )
        assert not math.isnan(worst["agreement"])


if __name__ == "__main__":
    main()
