"""A short measurement of a training."""

from __future__ import annotations

import pytest

from asc_models.config import TrainConfig
from asc_models.errors import TrainingError
from asc_models.networks.families import parse_network
from asc_models.training import measure
from asc_models.training.measure import measure_training
from data_prep.config import FeatureSpec, ReaderSpec

FEATURES = FeatureSpec(clip_seconds=1.0, n_mels=16, n_fft=1024, hop_length=1024, sample_rate=16_000)
MODEL = {"family": "inverted_residual", "stem_filters": 8, "stages": [{"filters": 8}]}


@pytest.mark.system
def test_a_training_is_measured_in_its_own_process() -> None:
    """A network with windows and a recipe with mixing: time and memory are those of a real training."""
    reader = ReaderSpec(scaling="standardize", window_seconds=0.5, n_windows=3)
    train = TrainConfig(epochs=4, batch_size=8, epoch_examples=100, mixup_alpha=0.0, class_mix_p=0.5)
    cost = measure_training(parse_network(MODEL), train, reader, FEATURES, 3, 1)
    assert 1e-6 < cost.seconds_per_example < 1.0
    assert 100e6 < cost.memory_bytes < 5e9


@pytest.mark.system
def test_a_process_that_fails_says_why() -> None:
    """Windows that no clip holds end the process, not the caller."""
    with pytest.raises(TrainingError, match="window"):
        measure_training(
            parse_network(MODEL), TrainConfig(), ReaderSpec(scaling="none", window_seconds=9.0), FEATURES, 3, 1
        )


@pytest.mark.system
def test_a_training_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the limit."""
    monkeypatch.setattr(measure, "TIMEOUT_S", 0.2)
    with pytest.raises(TrainingError, match=r"3 batches of 16 took more than 0\.2 s"):
        measure_training(parse_network(MODEL), TrainConfig(), ReaderSpec(), FEATURES, 3, 1)
