"""A candidate with a network of random weights, which answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import yaml

from asc_models.candidate import KERAS, CandidateConfig
from asc_models.config import ExportMode, TrainConfig
from asc_models.networks.families import BlockConfig, ModelConfig
from asc_models.tflite.export import export
from asc_models.training.builder import build
from asc_models.training.voting import answering
from data_prep.config import FeatureSpec, ReaderSpec

SPEC = FeatureSpec(sample_rate=8000, clip_seconds=1.0, n_fft=512, hop_length=256, n_mels=16)
CLASSES = ("bus", "airport", "park")


def write_candidate(
    folder: Path,
    mode: ExportMode = "float32",
    *,
    classes: tuple[str, ...] = CLASSES,
    with_network: bool = False,
    **reading: Any,
) -> Path:
    """Write the candidate's folder and return it; `reading` are settings of its reader."""
    model = ModelConfig(stem_filters=4, blocks=(BlockConfig(filters=4, stride=2),), activation="leaky_relu")
    reader = ReaderSpec(**{"deltas": 1, **reading})
    config = CandidateConfig(
        name="t0000", trial_id="t0000", model=model, train=TrainConfig(), features=SPEC, reader=reader, classes=classes,
        mode=mode, checkpoint="log_loss", seed=0, fold=1, data_hash="0" * 12,
    )  # fmt: skip
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    shape = reader.input_shape(SPEC)
    keras.utils.set_random_seed(0)
    network = build(model, reader.network_shape(SPEC), len(classes))
    if with_network:
        network.save(folder / KERAS)
    export(answering(network, reader.windows(SPEC)), shape, folder / "model.tflite", mode)
    return folder
