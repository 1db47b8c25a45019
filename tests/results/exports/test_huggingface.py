"""The Hugging Face repository: metadata that the Hub reads, scores of the candidate, names that do nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from candidate_support import CLASSES, write_candidate
from ensemble_support import write_ensemble

from asc_models.ensemble import opened_system
from asc_models.tflite.measure import measure
from data_prep.errors import DataError
from data_prep.files.files import file_digest
from results.candidates.candidates import CandidateMetrics, write_metrics
from results.candidates.predictions import Predictions, write_predictions
from results.exports.huggingface import TO_FILL_IN, huggingface_export
from results.rundir import CandidateFiles

pytestmark = pytest.mark.system

HOSTILE = ("<b>x</b>", "a: {b}\n---\nc: d", "[x](javascript:y)")


def scored_candidate(folder, classes=CLASSES):
    """Return the files of a candidate with predictions of 12 test clips of four locations, two of them wrong."""
    files = CandidateFiles(write_candidate(folder, classes=classes))
    scenes = [classes[number % 3] for number in range(12)]
    clips = pd.DataFrame(
        {
            "clip_id": [f"c{number}" for number in range(12)],
            "filename": [f"c{number}.wav" for number in range(12)],
            "scene": scenes,
            "device": "a",
            "city": "here",
            "location": [f"l{number // 3}" for number in range(12)],
            "segment": None,
        }
    )
    probabilities = np.full((12, 3), 0.1, np.float32)
    probabilities[np.arange(12), [*(number % 3 for number in range(10)), 2, 1]] = 0.8
    predictions = Predictions(clips, probabilities, classes)
    write_predictions(files.predictions_path("test"), predictions)
    metrics = CandidateMetrics(
        splits={"test": predictions.summarize()}, **measure(files.tflite_path).quantities(), n_params=1, macs=2,
        agreement=1.0, mode="float32", best_epoch=3, epochs=4, seed=0, trial_id="t0000",
        sha256={"predictions/test.parquet": file_digest(files.predictions_path("test"))},
    )  # fmt: skip
    write_metrics(files.metrics_path, metrics)
    return files


def exported(files):
    with opened_system(files.root) as system:
        return huggingface_export(system)


def metadata_of(card):
    _, metadata, body = card.split("---\n", 2)
    return yaml.safe_load(metadata), body


def test_the_card_has_the_candidates_scores(tmp_path):
    """In the metadata and in the text, with the interval of the accuracy; the files are the candidate's own."""
    files = scored_candidate(tmp_path / "t0000-s0")
    found = exported(files)
    assert found.files["model.tflite"] == files.tflite_path.read_bytes()
    assert set(found.files) == {"README.md", "model.tflite", "config.yaml", "labels.txt"}
    metadata, body = metadata_of(found.files["README.md"].decode())
    scores = json.loads(files.metrics_path.read_text())["test"]
    (result,) = metadata["model-index"][0]["results"]
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["accuracy"] == pytest.approx(scores["macro_accuracy"], abs=1e-6)
    assert values["log_loss"] == pytest.approx(scores["log_loss"], abs=1e-6)
    assert metadata["pipeline_tag"] == result["task"]["type"] == "audio-classification"
    (row,) = [line for line in body.splitlines() if line.startswith("| test | 12 |")]
    low, high = map(float, row.split(" | ")[3].split("–"))
    assert low < scores["macro_accuracy"] < high
    assert body.count(TO_FILL_IN) >= 3
    assert TO_FILL_IN in found.warnings[0]


def test_the_hub_reads_the_card(tmp_path):
    """Its own library finds the name and the results."""
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    card = hub.ModelCard(exported(scored_candidate(tmp_path / "t0000-s0")).files["README.md"].decode())
    assert card.data.model_name == "t0000-s0"
    assert {result.metric_type for result in card.data.eval_results} >= {"accuracy", "log_loss"}
    assert card.data.pipeline_tag == "audio-classification"


def test_names_are_inert(tmp_path):
    """Scenes that look like YAML, HTML or links change neither the metadata nor the page."""
    card = exported(scored_candidate(tmp_path / "x-[y](z)", HOSTILE)).files["README.md"].decode()
    metadata, body = metadata_of(card)
    assert metadata["model-index"][0]["name"] == "x-[y](z)"
    assert "<b>" not in body
    assert "[x](javascript" not in body
    assert r"\<b\>x\</b\>" in body
    assert "\nc: d" not in body


def test_what_has_no_scores_is_refused(tmp_path):
    """An ensemble, a candidate without its metrics, and predictions that are not those that were scored."""
    with opened_system(write_ensemble(tmp_path)) as system, pytest.raises(DataError, match="is an ensemble"):
        huggingface_export(system)
    with (
        opened_system(write_candidate(tmp_path / "bare")) as system,
        pytest.raises(DataError, match=r"no metrics\.json"),
    ):
        huggingface_export(system)
    files = scored_candidate(tmp_path / "other")
    path = files.predictions_path("test")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match="has other bytes than the file that was scored"):
        exported(files)
