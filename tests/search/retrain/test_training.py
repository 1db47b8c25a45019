"""Candidates whose reader standardizes or takes windows: what they answer to new audio is what was evaluated."""

from __future__ import annotations

import json

import keras
import numpy as np
import pandas as pd
import pytest
from cli_support import asc
from search_support import SPEC, write_shards

from asc_models.candidate import CandidateConfig, read_candidate_config
from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import BlockConfig, ModelConfig
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.export import export
from asc_models.tflite.quantization.recipes import is_rounded
from data_prep.config import ReaderSpec
from data_prep.reader.reader import read_split, training_statistics
from data_prep.shards.manifest import read_manifest
from results.candidates.candidates import read_metrics
from results.rundir import CandidateFiles
from search.crossval.frozen import frozen_config
from search.retrain.training import score_candidate, train_candidate

pytestmark = pytest.mark.system

WINDOWS = {"window_seconds": 0.4, "n_windows": 3, "trim_silence": True}


@pytest.mark.parametrize("windows", [{}, WINDOWS], ids=["whole clips", "windows"])
def test_predict_gives_what_was_evaluated(tmp_path, windows):
    """The statistics are in the candidate's config.yaml, and `asc predict` gives the stored predictions with them; a
    candidate that votes over windows also costs what `asc describe` says of it."""
    shards = write_shards(tmp_path)
    manifest = read_manifest(shards)
    config = CandidateConfig(
        name="standard",
        trial_id=None,
        model=ModelConfig(stem_filters=4, blocks=(BlockConfig(filters=4, stride=2),), reduction_ratio=4),
        train=TrainConfig(epochs=2, batch_size=8, learning_rate=0.05),
        features=SPEC,
        reader=ReaderSpec(scaling="standardize", deltas=1, **windows),
        classes=manifest.classes,
        mode="float32",
        checkpoint="macro_accuracy",
        seed=0,
        fold=1,
        data_hash=manifest.hash(),
    )
    files = CandidateFiles(tmp_path / "standard-s0")
    trained = train_candidate(config, shards, files)
    score_candidate(config, shards, files, trained, on_read=lambda split: None)
    written = read_candidate_config(files.config_path)
    assert written.statistics == training_statistics(shards, fold=1)
    assert written.reader == config.reader

    stored = pd.read_parquet(files.predictions_path("test"))
    audio = [tmp_path / "corpus" / name for name in stored["filename"]]
    answers = json.loads(asc("predict", files.root, *audio, "--json").stdout)
    told = pd.DataFrame([row["probabilities"] for row in answers])
    np.testing.assert_allclose(told, stored[[f"p_{scene}" for scene in manifest.classes]], atol=1e-6)

    described = json.loads(asc("describe", files.root, "--json").stdout)
    metrics = read_metrics(files.metrics_path)
    assert described["input_shape"] == [16, 28, 2]
    assert described.get("windows") == ({"n_frames": 12, "n_windows": 3} if windows else None)
    network = estimate(config.model, config.reader.network_shape(SPEC), 3)
    assert metrics.macs == described["macs"] == (3 if windows else 1) * network.macs
    assert metrics.weight_bytes == described["weight_bytes"]["float32"] == network.weight_bytes["float32"]


def int4_candidate(manifest, **changes):
    """Return the configuration of a network with four large kernels, and its table of sizes."""
    model = ModelConfig(stem_filters=8, blocks=(BlockConfig(filters=32),) * 2, expansion=5, attention="none")
    config = CandidateConfig(
        name="mixed",
        trial_id=None,
        model=model,
        train=TrainConfig(epochs=1, batch_size=8, learning_rate=0.01),
        features=SPEC,
        reader=ReaderSpec(deltas=1),
        classes=manifest.classes,
        mode="int4_int8_weights",
        checkpoint="log_loss",
        seed=0,
        fold=1,
        data_hash=manifest.hash(),
    )
    table = estimate(model, config.reader.input_shape(SPEC), len(manifest.classes))
    return config.updated(**changes), table


def test_a_candidate_fills_the_limit_of_int4(tmp_path):
    """Its file has as many large kernels in int8 as its limit allows; config.yaml and card say so, and what trains it
    again has the limit, too."""
    shards = write_shards(tmp_path)
    config, table = int4_candidate(read_manifest(shards))
    limit = table.weight_bytes["int8_weights"] - 1
    config = config.updated(int4_limits={"weight_bytes": limit})
    files = CandidateFiles(tmp_path / "mixed-s0")
    trained = train_candidate(config, shards, files)
    score_candidate(config, shards, files, trained, on_read=lambda split: None)
    assert table.weight_bytes["int4_int8_weights"] < read_metrics(files.metrics_path).weight_bytes <= limit
    assert read_candidate_config(files.config_path).int4_limits == {"weight_bytes": limit}
    assert f"int8 as far as {limit:,} bytes of weights allow" in files.card_path.read_text()
    assert frozen_config(str(files.root)).retrain.int4_limit_bytes == limit


def test_a_candidate_trained_for_int4_keeps_its_kernels_in_the_file(tmp_path):
    """Its network has rounded kernels, so that int4 loses less than int8 does; its card says how it was trained."""
    shards = write_shards(tmp_path)
    manifest = read_manifest(shards)
    for share in (0.0, 0.5):
        recipe = TrainConfig(epochs=8, batch_size=8, learning_rate=0.05, schedule="cosine", int4_share=share)
        config, _ = int4_candidate(manifest, train=recipe)
        files = CandidateFiles(tmp_path / f"share-{share}")
        trained = train_candidate(config, shards, files)
        score_candidate(config, shards, files, trained, on_read=lambda split: None)
        model = keras.models.load_model(files.keras_path)
        kernel = model.get_layer("block2_expand").kernel.numpy()
        assert is_rounded(np.moveaxis(kernel, -1, 0)) == bool(share)
        assert ("rounded over the last 50% of the epochs" in files.card_path.read_text()) == bool(share)
    clips = read_split(shards, "validation", fold=1, reader=config.reader)
    export(model, clips.input_shape, tmp_path / "int8.tflite", "int8_weights")
    int4, int8 = (Artifact(path).predict(clips) for path in (files.tflite_path, tmp_path / "int8.tflite"))
    exact = model(clips.inputs(slice(None)), training=False).numpy()
    assert np.abs(int4 - exact).mean() < np.abs(int8 - exact).mean()
