"""Candidates whose reader standardizes or takes windows: what they answer to new audio is what was evaluated."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from cli_support import asc
from search_support import SPEC, write_shards

from asc_models.candidate import CandidateConfig, read_candidate_config
from asc_models.config import TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import BlockConfig, ModelConfig
from data_prep.config import ReaderSpec
from data_prep.reader.reader import training_statistics
from data_prep.shards.manifest import read_manifest
from results.candidates.candidates import read_metrics
from results.rundir import CandidateFiles
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
