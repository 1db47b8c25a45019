"""Candidates read back as written and are ranked by validation log loss."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_support import add_candidate

from asc_models.candidate import opened_candidate
from asc_models.metrics import summarize
from data_prep.errors import DataError, RunError
from data_prep.files.files import file_digest
from results.candidates.candidates import CandidateMetrics, fewer_scenes, read_candidates, read_metrics, write_metrics
from results.report.data import read_run_data
from results.rundir import CandidateFiles, RunDirectory


def _metrics(log_loss: float | None) -> CandidateMetrics:
    splits = {} if log_loss is None else {"validation": {"macro_accuracy": 0.5, "log_loss": log_loss}}
    return CandidateMetrics(
        splits=splits,
        **{"weight_bytes": 10, "nonzero_weight_bytes": 9, "file_bytes": 30, "quantization_bytes": 4, "n_params": 5},
        **{"macs": 7, "agreement": 1.0, "mode": "float16", "best_epoch": 6, "epochs": 14, "seed": 0, "trial_id": "t"},
    )


def test_metrics_have_their_splits_at_the_top(tmp_path: Path) -> None:
    """The file's splits stand beside the sizes, and reading gives back what was written."""
    write_metrics(tmp_path / "metrics.json", _metrics(0.7))
    data = json.loads((tmp_path / "metrics.json").read_text())
    assert data["validation"]["log_loss"] == 0.7
    assert data["nonzero_weight_bytes"] == 9
    assert read_metrics(tmp_path / "metrics.json") == _metrics(0.7)


def test_an_incomplete_file_names_what_is_missing(tmp_path: Path) -> None:
    """A metrics file without its sizes is refused by name."""
    (tmp_path / "metrics.json").write_text('{"validation": {}}')
    with pytest.raises(DataError, match="weight_bytes"):
        read_metrics(tmp_path / "metrics.json")


def test_only_finished_candidates_count_and_the_best_comes_first(tmp_path: Path) -> None:
    """A candidate without metrics is not there yet; the others come by validation log loss, unvalidated ones last."""
    run = RunDirectory(tmp_path)
    for name, loss in {"a": 0.9, "b": 0.4, "c": None}.items():
        write_metrics(run.candidate(name, 1).metrics_path, _metrics(loss))
    run.candidate("d", 1).root.mkdir()
    assert [candidate.name for candidate in read_candidates(run)] == ["b-s1", "a-s1", "c-s1"]
    assert not read_candidates(run)[0].has_predictions("test")


def test_a_fresh_run_has_no_candidates_and_no_config(tmp_path: Path) -> None:
    """Nothing there is nothing, not an error; a broken configuration is one."""
    run = RunDirectory(tmp_path)
    assert run.candidates() == []
    assert run.read_config() == {}
    run.config_path.write_text("- a\n- list")
    with pytest.raises(RunError, match="mapping"):
        run.read_config()


def test_a_macro_accuracy_over_fewer_scenes_says_so(tmp_path: Path) -> None:
    """Scenes without a clip in a split are named beside its score; with all of them there, or unknown, nothing is."""
    probabilities = np.eye(3)[[0, 1, 1]]
    some = summarize(np.array([0, 1, 1]), probabilities, ("bus", "park", "tram"), ["a"] * 3)
    whole = summarize(np.array([0, 1, 2]), probabilities, ("bus", "park", "tram"), ["a"] * 3)
    assert (some["absent_scenes"], "absent_scenes" in whole) == (["tram"], False)
    made = replace(_metrics(0.5), splits={"validation": some, "test": whole})
    write_metrics(tmp_path / "metrics.json", made)
    assert fewer_scenes([read_metrics(tmp_path / "metrics.json"), made, _metrics(0.1)]) == (
        "Macro accuracy on validation is over 2 of 3 scenes: there is no validation clip of tram."
    )
    assert fewer_scenes([_metrics(0.1)]) == ""


def test_scores_of_the_network_are_read_from_older_files(tmp_path: Path) -> None:
    """Older versions kept those on validation alone, in fields of their own."""
    path = tmp_path / "metrics.json"
    scores = {"validation": {"macro_accuracy": 0.5, "log_loss": 1.5}, "test": {"macro_accuracy": 0.4, "log_loss": 1.7}}
    write_metrics(path, replace(_metrics(0.5), float_scores=scores))
    assert read_metrics(path).float_scores == scores
    data = {name: value for name, value in json.loads(path.read_text()).items() if name != "float_scores"}
    path.write_text(json.dumps(data | {"float_macro_accuracy": 0.5, "float_log_loss": 1.5}))
    assert read_metrics(path).float_scores == {"validation": scores["validation"]}
    path.write_text(json.dumps(data | {"float_macro_accuracy": None, "float_log_loss": None}))
    assert read_metrics(path).float_scores == {}


def _scored(run: RunDirectory) -> CandidateFiles:
    """Return a finished candidate whose metrics have the SHA-256 of its files."""
    add_candidate(run, "t1", size=9_000, skill=2.0)
    (files,) = run.candidates()
    files.tflite_path.write_bytes(b"TFL3" * 100)
    paths = [path for path in files.root.rglob("*") if path.is_file() and path != files.metrics_path]
    digests = {path.relative_to(files.root).as_posix(): file_digest(path) for path in paths}
    write_metrics(files.metrics_path, replace(read_metrics(files.metrics_path), sha256=digests))
    return files


@pytest.mark.parametrize(
    "name", ["model.tflite", "config.yaml", "predictions/test.parquet", "predictions/validation.parquet"]
)
def test_a_changed_file_of_a_candidate_is_found_by_every_reader(tmp_path: Path, name: str) -> None:
    """Bits flipped, cut short, or removed: the run's readers name the file and the way out."""
    files = _scored(RunDirectory(tmp_path))
    assert [candidate.name for candidate in read_candidates(RunDirectory(tmp_path))] == ["t1-s0"]
    path = files.root / name
    sound = path.read_bytes()
    middle = len(sound) // 2
    for data in (sound[:middle] + bytes([sound[middle] ^ 0xFF]) + sound[middle + 1 :], sound[:-1], None):
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
        for read in (read_candidates, read_run_data):
            with pytest.raises(DataError, match=rf"{name}: .*(other bytes|missing).*rerun `asc retrain`"):
                read(RunDirectory(tmp_path))


def test_a_changed_model_is_not_run(tmp_path: Path) -> None:
    """`opened_candidate`, behind predict, describe and bench, refuses a file other than was scored."""
    files = _scored(RunDirectory(tmp_path))
    with opened_candidate(files.root) as folder:
        assert folder == files.root
    files.tflite_path.write_bytes(b"TFL3" * 101)
    with pytest.raises(DataError, match=r"model\.tflite: has other bytes"), opened_candidate(files.root):
        pass


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data | {"weight_bytes": "many"},
        lambda data: data | {"validation": [1]},
        lambda data: data | {"validation": {"macro_accuracy": "high"}},
        lambda data: data | {"seed": None},
        lambda data: data | {"sha256": {"model.tflite": 5}},
        lambda data: [data],
    ],
)
def test_damaged_metrics_are_named_with_the_way_out(tmp_path: Path, change: Any) -> None:
    """A field of another type, or no mapping: the file and what to do."""
    run = RunDirectory(tmp_path)
    add_candidate(run, "t1", size=9_000, skill=2.0)
    (files,) = run.candidates()
    files.metrics_path.write_text(json.dumps(change(json.loads(files.metrics_path.read_text()))))
    with pytest.raises(DataError, match=r"metrics\.json.*rerun `asc retrain`"):
        read_candidates(run)


def test_metrics_that_are_no_json_are_named_with_the_way_out(tmp_path: Path) -> None:
    """Cut short."""
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"metrics\.json: cannot be read as JSON: .*rerun `asc retrain`"):
        read_metrics(tmp_path / "metrics.json")
