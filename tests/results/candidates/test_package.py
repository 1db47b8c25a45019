"""A candidate to take along: what its folder and its zip give is what was evaluated, without TensorFlow or Ray."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from cli_support import asc, asc_process
from process_support import ROOT
from search_support import SPEC, write_shards

from asc_models.candidate import CandidateConfig, opened_candidate
from asc_models.config import TrainConfig
from asc_models.networks.families import BlockConfig, ModelConfig
from data_prep.config import ReaderSpec
from data_prep.errors import DataError
from data_prep.shards.manifest import read_manifest
from results.candidates.candidates import read_metrics
from results.rundir import CandidateFiles
from search.retrain.training import require_same_data, score_candidate, train_candidate


def config_of(manifest, **changes):
    """Return a small candidate's configuration."""
    settings = {
        "name": "tiny",
        "trial_id": None,
        "model": ModelConfig(stem_filters=4, blocks=(BlockConfig(filters=4, stride=2),), reduction_ratio=4),
        "train": TrainConfig(epochs=4, batch_size=8, learning_rate=0.05),
        "features": SPEC,
        "reader": ReaderSpec(deltas=0),
        "classes": manifest.classes,
        "mode": "int8",
        "checkpoint": "macro_accuracy",
        "seed": 0,
        "fold": 1,
        "data_hash": manifest.hash(),
    }
    return CandidateConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    write_shards(folder)
    return folder


@pytest.fixture(scope="module")
def candidate(corpus):
    """A trained candidate, exported as full int8."""
    config = config_of(read_manifest(corpus / "shards"))
    files = CandidateFiles(corpus / "tiny-s0")
    trained = train_candidate(config, corpus / "shards", files)
    score_candidate(config, corpus / "shards", files, trained, on_read=lambda split: None)
    return files


def predicted(model, audio):
    """Return what `asc predict` gives, and the heavy modules that it loaded."""
    script = (
        "import sys\nfrom search.cli.main import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "loaded = [name for name in ('tensorflow', 'keras', 'ray', 'optuna') if name in sys.modules]\n"
        "print('loaded:', loaded, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", script, "predict", str(model), *map(str, audio), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.system
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_predict_gives_what_was_evaluated(form, candidate, corpus, tmp_path):
    """From the folder and from the zip alone, `asc predict` gives the stored probabilities; no TensorFlow, no Ray."""
    model = candidate.root
    if form == "zip":
        model = tmp_path / "elsewhere.zip"
        model.write_bytes(candidate.package_path.read_bytes())
    stored = pd.read_parquet(candidate.predictions_path("test"))
    told, errors = predicted(model, [corpus / "corpus" / name for name in stored["filename"]])
    assert "loaded: []" in errors
    scenes = [name.removeprefix("p_") for name in stored.columns if name.startswith("p_")]
    assert list(told[0]["probabilities"]) == scenes
    ours = pd.DataFrame([row["probabilities"] for row in told])
    np.testing.assert_array_equal(ours.to_numpy(np.float32), stored[[f"p_{name}" for name in scenes]].to_numpy())


@pytest.mark.system
def test_a_package_holds_what_it_takes_and_a_card(candidate):
    """The zip has file, configuration and card; the card has the metrics' figures; the same files give the same zip."""
    with zipfile.ZipFile(candidate.package_path) as archive:
        assert sorted(archive.namelist()) == ["card.md", "config.yaml", "model.tflite"]
        assert archive.read("model.tflite") == candidate.tflite_path.read_bytes()
        card = archive.read("card.md").decode()
    metrics = read_metrics(candidate.metrics_path)
    for figure in (f"{metrics.n_params:,} parameters", f"{metrics.weight_bytes:,} bytes", "int8"):
        assert figure in card
    assert f"{metrics.value('test', 'macro_accuracy'):.4f}" in card
    assert f"    asc predict {candidate.package_path.name} RECORDING.wav\n" in card
    assert metrics.agreement_beyond_chance is not None
    assert metrics.agreement_beyond_chance >= 0.97
    assert metrics.export_seconds > 0


@pytest.mark.system
def test_a_zip_with_the_folder_in_it_is_a_candidate_too(candidate, tmp_path):
    """A zip made by hand of the whole folder is opened like the folder."""
    with zipfile.ZipFile(tmp_path / "hand.zip", "w") as archive:
        for name in ("model.tflite", "config.yaml"):
            archive.write(candidate.root / name, f"tiny-s0/{name}")
    with opened_candidate(tmp_path / "hand.zip") as folder:
        assert (folder / "model.tflite").read_bytes() == candidate.tflite_path.read_bytes()


@pytest.mark.system
def test_what_is_no_candidate_is_told(candidate, tmp_path):
    """A missing path, a text file, a zip without the model and an empty folder each say what is wrong."""
    (tmp_path / "note.txt").write_text("no candidate")
    with zipfile.ZipFile(tmp_path / "half.zip", "w") as archive:
        archive.write(candidate.root / "config.yaml", "config.yaml")
    for name, message in {
        "missing": "no such candidate folder or zip",
        "note.txt": "neither a candidate's folder nor a zip",
        "half.zip": "it has no model.tflite",
        ".": "it has no model.tflite and no config.yaml",
    }.items():
        with pytest.raises(DataError, match=message), opened_candidate(tmp_path / name):
            pass


@pytest.mark.system
def test_data_of_another_kind_are_refused(corpus):
    """Shards with another order of classes or another feature are named with both values and the way out."""
    manifest = read_manifest(corpus / "shards")
    config = config_of(manifest)
    require_same_data(config, manifest, "tiny")
    turned = config.updated(classes=manifest.classes[::-1])
    with pytest.raises(
        DataError, match=f"tiny: was trained on the scenes {', '.join(turned.classes)}, .*{', '.join(manifest.classes)}"
    ):
        require_same_data(turned, manifest, "tiny")
    finer = config.updated(features=SPEC.updated(n_mels=32))
    with pytest.raises(DataError, match=r"tiny: .*n_mels 32 against 16.*retrain"):
        require_same_data(finer, manifest, "tiny")
    with pytest.raises(DataError, match="tiny: was trained on the scenes"):
        train_candidate(turned, corpus / "shards", CandidateFiles(corpus / "no"))


@pytest.mark.system
def test_bench_runs_on_a_zip(candidate):
    """`asc bench` of a candidate's zip prints time and memory."""
    cost = json.loads(asc_process("bench", candidate.package_path, "--clips", 5, "--json").stdout)
    assert cost["n_clips"] == 5
    assert cost["median_ms"] > 0


def described(what, *options):
    """Return what `asc describe --json` tells."""
    return json.loads(asc("describe", what, *options, "--json").stdout)


@pytest.mark.system
def test_describe_tells_the_same_of_a_zip_as_of_its_folder(candidate):
    """Wherever a candidate's folder is taken its zip is."""
    told = described(candidate.package_path)
    assert told == described(candidate.root)
    assert told["n_params"] == read_metrics(candidate.metrics_path).n_params


@pytest.mark.system
def test_describe_judges_a_file_by_what_it_shows(candidate):
    """A file's JSON has its measured sizes and the verdicts on them, by a limit of one's own, too."""
    sizes = read_metrics(candidate.metrics_path)
    told = described(candidate.tflite_path, "--limit", "weight_bytes=1", "--limit", "file_bytes=900000")
    assert told["weight_bytes"] == sizes.weight_bytes
    assert told["rules"]["custom"] == {
        "feasible": False,
        "checks": [
            {"quantity": "weight_bytes", "value": sizes.weight_bytes, "limit": 1},
            {"quantity": "file_bytes", "value": sizes.file_bytes, "limit": 900_000},
        ],
    }
    assert told["rules"]["dcase2021"]["feasible"]
    assert "dcase2022" not in told["rules"], "a file does not tell its parameters"
