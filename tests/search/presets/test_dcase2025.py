"""The configuration for the rules of 2024 and 2025 on a miniature corpus of one-second clips."""

from __future__ import annotations

import json

import pytest
from cli_support import asc

from asc_models.networks.presets import preset
from data_prep.config import SynthConfig
from data_prep.synth import synthesize
from search.config import read_run_config


@pytest.mark.parametrize("name", ["cp-mobile", "dcase2024-baseline"])
def test_the_first_candidates_are_the_published_networks(name):
    """Each is a point of the space, exactly, and is asked for."""
    config = read_run_config("dcase2025")
    assert name in config.search.presets
    for knob, value in config.space.knobs.items():
        assert getattr(preset(name), knob) in value.choices, knob


@pytest.mark.full
def test_it_runs_on_a_miniature_of_tau(tmp_path):
    """Search, retraining and baseline fit the limits of bytes and MACs."""
    corpus = SynthConfig(clip_seconds=1.0, n_locations=6, n_segments=2, n_cities=2)
    synthesize(tmp_path / "mini", corpus)
    changes = ("prepare.corpus.split=null", "prepare.validation.fraction=0.3", "search.n_trials=3", "search.epochs=2")
    more = ("search.min_epochs=1", "train.epochs=2", "train.batch_size=32", "retrain.n_candidates=1")
    more += ("retrain.fine_tuning.min_clips=20", "retrain.fine_tuning.epochs=1")
    sets = [word for change in (*changes, *more) for word in ("--set", change)]
    asc("run", "dcase2025", "--data", tmp_path / "mini", "--out", tmp_path / "run", *sets)
    found = sorted((tmp_path / "run" / "candidates").glob("*/metrics.json"))
    assert len(found) == 2
    for path in found:
        metrics = json.loads(path.read_text())
        assert metrics["weight_bytes"] <= 128_000
        assert metrics["macs"] <= 30_000_000
        assert "a" in metrics["devices"]
        assert {*metrics["general"]} == {"validation", "test"}
