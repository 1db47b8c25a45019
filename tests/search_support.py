"""A tiny data set in TAU's layout and the settings to search it: three bands of noise, 1 s at 8 kHz, 16 mels."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from search_points import once_a_point

from asc_models.config import TrainConfig
from asc_models.rules import RulesConfig
from data_prep.config import FeatureSpec, PrepareConfig, ReaderSpec, ValidationSpec
from data_prep.prepare.prepare import prepare
from data_prep.schema import content_hash
from data_prep.shards.manifest import read_manifest, write_manifest
from data_prep.shards.parquet import read_shard
from data_prep.store.store import open_store
from results.ledger.ledger import Ledger
from search.halving import HALVINGS
from search.objectives import Objectives
from search.space.config import SpaceConfig
from search.space.point import build
from search.space.sizing import Sizing
from search.space.space import Space
from search.strategies.proposer import Proposer
from search.study.config import SearchConfig
from search.study.settings import SearchSettings
from search.study.state import SearchState

SCENES = {"low": (100, 900), "middle": (1200, 2000), "high": (2400, 3600)}
SPEC = FeatureSpec(sample_rate=8000, clip_seconds=1.0, n_fft=512, hop_length=256, n_mels=16)
LIMIT = 6000
"""Weight bytes that about half of `SPACE` stays under."""
SPACE = SpaceConfig(
    stem_filters=(8,), n_blocks=(1, 2), base_filters=(8, 16, 24, 32), growth=(1.0,), n_strided=(1,), kernel_size=(3, 5),
    expansion=(1, 2), reduction_ratio=(4,), attention=("none", "channel"), dropout=(0.0,),
)  # fmt: skip


def write_corpus(
    root: Path, n_locations: int = 5, n_segments: int = 2, devices: Sequence[str] = "a", unseen: Sequence[str] = ()
) -> Path:
    """Write the data set; the last location of each scene is for evaluation.

    Each further device records the moments of device a quieter than the one before; those `unseen` only to evaluate.
    """
    rng = np.random.default_rng(0)
    meta, train, evaluate = [], [], []
    (root / "audio").mkdir(parents=True)
    (root / "evaluation_setup").mkdir()
    for scene, band in SCENES.items():
        for location in range(n_locations):
            for segment in range(n_segments):
                spectrum = np.fft.rfft(rng.standard_normal(8000))
                frequency = np.fft.rfftfreq(8000, 1 / 8000)
                spectrum[(frequency < band[0]) | (frequency > band[1])] *= 0.05
                wave = np.fft.irfft(spectrum)
                is_held = location == n_locations - 1
                for number, device in enumerate((*devices, *(unseen if is_held else ()))):
                    name = f"audio/{scene}-lyon-{scene}{location}-{segment}-{device}.wav"
                    soundfile.write(root / name, 0.3 * 0.2**number * wave / np.abs(wave).max(), 8000)
                    meta.append(f"{name}\t{scene}\tlyon-{scene}{location}\t{device}")
                    (evaluate if is_held else train).append(f"{name}\t{scene}")
    lists = {"meta.csv": ("filename\tscene_label\tidentifier\tsource_label", meta)}
    for split, rows in (("train", train), ("evaluate", evaluate)):
        lists[f"evaluation_setup/fold1_{split}.csv"] = ("filename\tscene_label", rows)
    for name, (header, rows) in lists.items():
        (root / name).write_text("\n".join([header, *rows]) + "\n")
    return root


def write_shards(folder: Path, **corpus: Any) -> Path:
    """Write the data set and its shards into `folder`, and return the shards' folder; `corpus` as of `write_corpus`."""
    config = PrepareConfig(features=SPEC, validation=ValidationSpec(fraction=0.4))
    prepare(write_corpus(folder / "corpus", **corpus), folder / "shards", config)
    return folder / "shards"


def seal_test_split(shards: Path, folder: Path) -> Path:
    """Write the shards into `folder`, with a log-mel of no band and no bytes in each row of fold 1's test split."""
    store, manifest = open_store(folder), read_manifest(shards)
    entries = []
    for entry in manifest.shards:
        table = read_shard(open_store(shards), entry)
        rows = table.to_pylist()
        for row in rows:
            if manifest.folds[1].get(row["clip_id"]) == "test":
                row.update(log_mel=b"", n_mels=0)
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sink)
        store.write(entry.file, sink.getvalue())
        entries.append(entry.updated(sha256=hashlib.sha256(sink.getvalue()).hexdigest()))
    write_manifest(store, manifest.model_copy(update={"shards": tuple(entries)}))
    return folder


def settings(**search: object) -> SearchSettings:
    """Return what to search: short trials in a small space, `search` changing what is asked for."""
    asked = {"n_trials": 4, "epochs": 4, "min_epochs": 2, "n_startup": 4, **search}
    return SearchSettings(
        space=SPACE,
        search=SearchConfig.model_validate(asked),
        train=TrainConfig(batch_size=8, learning_rate=0.05, first_cycle=2, cycle_factor=1),
        reader=ReaderSpec(deltas=0),
        rules=RulesConfig(name="custom", limits={"weight_bytes": LIMIT}),
        fold=1,
    )


def assess(params):
    """Return a made-up size: filters times blocks, at most 160."""
    n_filters = params["base_filters"] * params["n_blocks"]
    return Sizing(n_filters <= 160, n_filters, 160, f"weight_bytes {n_filters} over 160", n_params=7, macs=9)


@cache
def description(data_hash: str) -> Callable[[Mapping[str, Any]], tuple[str, dict[str, Any]]]:
    """Return what gives a point's key on these data and its configuration."""

    @once_a_point
    def describe(params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        model = build("inverted_residual", params).model.model_dump(mode="json")
        config = {"model": model, "train": TrainConfig().model_dump(mode="json"), "mode": "int8_weights"}
        return content_hash([config, data_hash]), config

    return describe


def open_search(
    path: Path,
    n_trials: int = 6,
    data_hash: str = "d",
    on_change=lambda trial, n_reported: None,
    space: SpaceConfig = SpaceConfig(),  # noqa: B008 - frozen
    scheduler: str = "asha",
):
    """Return a search with made-up sizes and rungs at 2, 6, 14, and its ledger."""
    describe, ledger = description(data_hash), Ledger(path)
    proposer = Proposer(Space(space), assess, lambda params: describe(params)[0], seed=0, n_startup=4)
    halving = HALVINGS[scheduler]((2, 6, 14), 2, Objectives())
    state = SearchState(ledger, proposer, halving, n_trials=n_trials, seed=0, describe=describe, on_change=on_change)
    return state, ledger


def measured(accuracy: float, loss: float = 1.0, weight_bytes: int = 100) -> dict[str, float]:
    """Return what a trial tells at a rung."""
    sizes = {"weight_bytes": weight_bytes, "nonzero_weight_bytes": 90, "file_bytes": 200}
    return {
        "macro_accuracy": accuracy,
        "log_loss": loss,
        **sizes,
        "seconds": 0.5,
        "train_seconds": 0.4,
        "reading_seconds": 0.1,
    }


def trial_config(shards: Path, checkpoints: Path, **changes: object) -> dict[str, object]:
    """Return a trial's configuration as the searcher gives it; `changes` to its recipe, model or rung."""
    from search.tune.trainable import SharedConfig

    asked = settings(epochs=4)
    shared = SharedConfig(
        shards=str(shards),
        checkpoints=str(checkpoints),
        fold=1,
        reader=asked.reader,
        rungs=(2, 4),
        seed=0,
        cpus_per_trial=1,
    )
    space = Space(SPACE)
    model = build("inverted_residual", space.smallest()).model.model_dump(mode="json")
    train = asked.train.updated(epochs=4, **changes.pop("train", {})).model_dump(mode="json")
    return {
        "shared": shared.model_dump(mode="json"), "trial_id": "t0001", "next_rung": 0,
        "model": model, "train": train, "mode": "int8_weights", **changes,
    }  # fmt: skip


def run_steps(config: dict[str, object], n_steps: int = 1) -> list[dict[str, object]]:
    """Run a trial for `n_steps` rungs in this process and return what it tells."""
    from search.tune.trainable import SceneTrial

    trial = SceneTrial.__new__(SceneTrial)  # without Tune's own construction, which makes folders in the home folder
    trial.setup(config)
    return [trial.step() for _ in range(n_steps)]


class OutOfFold(NamedTuple):
    """Scores over the parts that networks were trained without."""

    macro_accuracy: float
    log_loss: float
    n_clips: int


def out_of_fold(config: dict[str, Any], folds: Sequence[int]) -> list[OutOfFold]:
    """Return what a trial with these numbers of networks tells at its rungs, by networks trained one by one."""
    from asc_models.metrics import log_loss, macro_accuracy
    from asc_models.networks.families import parse_network
    from asc_models.tflite.rung_reader import RungReader
    from asc_models.training.trainer import Trainer
    from data_prep.reader.parts import leave_out
    from data_prep.reader.reader import read_splits

    shared = config["shared"]
    reader = ReaderSpec.model_validate(config.get("reader", shared["reader"]))
    side = read_splits(shared["shards"], ("train", "validation"), fold=1, reader=reader)
    network, train = parse_network(config["model"]), TrainConfig.model_validate(config["train"])
    found = []
    for epochs, n_networks in zip(shared["rungs"], folds, strict=True):
        labels, probabilities = [], []
        for part in range(1, n_networks + 1):
            others, held = leave_out(side, folds[-1], part, key="")
            trainer = Trainer(network, train, others, seed=shared["seed"])
            trainer.train_to(epochs)
            labels.append(held.labels)
            read = RungReader().read(trainer.model, network.hash(), held, config["mode"], reconvert=True)
            probabilities.append(read.probabilities)
        truth, answers = np.concatenate(labels), np.concatenate(probabilities)
        found.append(OutOfFold(macro_accuracy(truth, answers), log_loss(truth, answers), len(truth)))
    return found
