"""The package has the challenge's form, and holds what the run found."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from results_support import add_candidate, clips, make_run, predictions
from submission_support import FIRST, package_of, read_package

from data_prep.corpora.corpus import TAU_SCENES
from data_prep.errors import BudgetError, DataError
from results.candidates.candidates import read_candidates
from results.candidates.limits import Limits
from results.config import EnsembleConfig, SubmissionConfig
from results.ensembles.ensemble import build_ensemble, read_ensembles
from results.rundir import RunDirectory
from results.score import score_submission
from results.submission.package import output_csv, write_submission
from results.submission.validate import validate_submission


def test_systems_are_ranked_by_validation_log_loss_and_within_the_limit(packed: RunDirectory) -> None:
    """At most four systems, best first; the best candidate of all is over the limit and left out with the reason."""
    summary = json.loads((packed.submission_dir / "summary.json").read_text())
    losses = [row["validation_log_loss"] for row in summary["systems"]]
    assert losses == sorted(losses)
    assert [row["label"][-1] for row in summary["systems"]] == list("1234")
    assert "over the limit" in summary["left_out"]["heavy-s0"]
    assert "heavy-s0" not in {row["system"] for row in summary["systems"]}
    assert summary["packed_split"] == "test"
    assert any("No evaluation set" in note for note in summary["notes"])
    assert any("placeholders" in note for note in summary["notes"])


def test_outputs_score_as_the_metrics_say(packed: RunDirectory, tmp_path: Path) -> None:
    """Scoring a packed output against the truth gives the test metrics, so nothing was lost in printing."""
    files = read_package(package_of(packed))
    meta = yaml.safe_load(files[f"{FIRST}.meta.yaml"])["results"]["development_dataset"]["overall"]
    (tmp_path / "output.csv").write_text(files[f"{FIRST}.output.csv"])
    table = clips(240, TAU_SCENES, 240)
    truth = table.rename(columns={"scene": "scene_label", "location": "identifier", "device": "source_label"})
    truth.to_csv(tmp_path / "truth.csv", sep="\t", index=False)
    scores = score_submission(tmp_path / "output.csv", tmp_path / "truth.csv")
    assert scores["log_loss"] == pytest.approx(meta["logloss"], abs=1e-4)
    assert 100 * scores["macro_accuracy"] == pytest.approx(meta["accuracy"], abs=0.01)


@pytest.mark.system
def test_an_evaluation_set_is_packed_where_there_is_one(packed: RunDirectory) -> None:
    """Given evaluation predictions, those are packed, named without folders; an ensemble's follow from its members."""
    table = clips(25, TAU_SCENES, labelled=False)
    evaluation = {
        files.name: predictions(table, TAU_SCENES, 0.0, seed) for seed, files in enumerate(packed.candidates())
    }
    path = write_submission(packed, SubmissionConfig(lastname="Cao", institute="SCUT"), evaluation)
    assert path.name == "Cao_SCUT_task1a.zip"
    assert validate_submission(path, filenames=[f"audio/{i}.wav" for i in range(25)]) == []
    assert len(validate_submission(path, filenames=["0.wav"])) == 4
    assert json.loads((packed.submission_dir / "summary.json").read_text())["packed_split"] == "evaluation"
    write_submission(packed, SubmissionConfig())


def test_any_class_list_can_be_packed(tmp_path: Path) -> None:
    """A package of another data set passes with its own classes, and is held against its own run's limit."""
    classes = ("dog", "rain", "sea_waves")
    run = make_run(tmp_path / "run", n_candidates=2, search=False, classes=classes)
    path = write_submission(run, SubmissionConfig())
    assert validate_submission(path) == []
    assert validate_submission(path, classes=TAU_SCENES) != []
    assert any("limit is 60 kB" in str(problem) for problem in validate_submission(path, limit_bytes=60_000))
    config = run.read_config()
    config["rules"] = {"name": "custom", "limits": {"nonzero_weight_bytes": 131_072}}
    run.config_path.write_text(yaml.safe_dump(config))
    add_candidate(run, "heavy", size=131_000, skill=5.0, classes=classes)
    assert validate_submission(write_submission(run, SubmissionConfig())) == []


def test_without_any_list_to_pack_it_says_so(tmp_path: Path) -> None:
    """Data with neither a test nor an evaluation list: an error that names the lists, and no package."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    run.candidates()[0].predictions_path("test").unlink()
    with pytest.raises(DataError, match="neither an evaluation list nor a labelled test list"):
        write_submission(run, SubmissionConfig())
    assert not run.submission_dir.exists()


def test_equal_runs_give_equal_packages(packed: RunDirectory) -> None:
    """Writing a package again changes no byte."""
    before = package_of(packed).read_bytes()
    assert write_submission(packed, SubmissionConfig()).read_bytes() == before


def test_printed_probabilities_sum_to_one_with_the_label_on_top() -> None:
    """Also for near ties and tiny values the printed numbers sum to 1 and the label has the largest."""
    made = predictions(clips(400, TAU_SCENES), TAU_SCENES, 0.0, 3)
    p = np.random.default_rng(0).dirichlet(np.full(10, 0.01), size=400).astype(np.float32)
    p[:50] = 0.1
    made.probabilities[:] = p
    for line in output_csv(made).splitlines()[1:]:
        fields = line.split("\t")
        units = [int(field.replace(".", "")) for field in fields[2:]]
        assert sum(units) == 1_000_000
        assert units[TAU_SCENES.index(fields[1])] == max(units)


def test_two_clips_of_one_name_cannot_be_packed() -> None:
    """Clips that only their folders tell apart would be one row: refused."""
    made = predictions(clips(10, TAU_SCENES), TAU_SCENES, 0.0, 3)
    made.clips["filename"] = ["one/x.wav", "two/x.wav", *made.clips["filename"][2:]]
    with pytest.raises(DataError, match=r"x\.wav"):
        output_csv(made)


def test_there_is_one_package(tmp_path: Path) -> None:
    """Under other names the earlier package goes; what is no package of this tool stays."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False)
    write_submission(run, SubmissionConfig())
    (run.submission_dir / "thesis.zip").write_text("mine")
    write_submission(run, SubmissionConfig(lastname="Muster", institute="HSLU"))
    assert {path.name for path in run.submission_dir.iterdir()} == {
        *("Muster_HSLU_task1a.zip", "summary.json", "thesis.zip"),
    }


@pytest.mark.system
def test_a_draft_is_labelled(packed: RunDirectory) -> None:
    """With placeholders or disagreeing names summary and note say so, each by its point; the zip is as it would be."""
    for config in (SubmissionConfig(), SubmissionConfig(lastname="Muster", institute="HSLU")):
        write_submission(packed, config)
        summary = json.loads((packed.submission_dir / "summary.json").read_text())
        assert summary["draft"] is True
        (note,) = [note for note in summary["notes"] if note.startswith("This is a draft: ")]
        assert all(point in note for point in config.open_points)
    author = {"lastname": "Doe", "firstname": "John", "email": "j@ex.example"}
    home = {"abbreviation": "E", "institute": "Exeter", "location": "Exeter, UK"}
    own = SubmissionConfig.model_validate({"institute": "E", "authors": [{**author, "affiliation": home}]})
    write_submission(packed, own)
    summary = json.loads((packed.submission_dir / "summary.json").read_text())
    assert summary["draft"] is False
    assert not any("draft" in note for note in summary["notes"])
    write_submission(packed, SubmissionConfig())


def test_no_network_takes_two_slots(tmp_path: Path) -> None:
    """An ensemble of one member is that member: calibrated alike, it takes no slot of its own."""
    run = make_run(tmp_path / "run", n_candidates=3, search=False)
    build_ensemble(run, EnsembleConfig(max_members=1), Limits())
    (ensemble,) = read_ensembles(run)
    assert ensemble.is_single
    write_submission(run, SubmissionConfig())
    summary = json.loads((run.submission_dir / "summary.json").read_text())
    assert sorted(row["system"] for row in summary["systems"]) == sorted(c.name for c in read_candidates(run))
    assert summary["left_out"] == {}, "the only member is the system"
    assert summary["unfilled"]["ensemble"] == "no ensemble of several members was selected"


HOSTILE = (
    "<script>alert(1)</script>", 'a"b\'c', "a\nb", "a\tb", "{{ 7 * 7 }}{% raw %}", "=cmd|' /C calc'!A0", "$\\frac{$",
    "[red]\x1b[2J", "x" * 10_000, "&amp;*anchor: !!python/object", " – ",
)  # fmt: skip


@pytest.mark.system
def test_names_are_inert_in_a_package(tmp_path: Path) -> None:
    """Scenes and authors with markup, quotes, new lines, tabs or braces come out as they went in, and pass."""
    run = make_run(tmp_path / "run", n_candidates=1, search=False, classes=HOSTILE)
    for text in HOSTILE:
        author = {"lastname": text, "firstname": text, "affiliation": {"institute": text, "location": text}}
        config = SubmissionConfig.model_validate({"authors": [author], "name": text, "source_code": text})
        path = write_submission(run, config)
        assert validate_submission(path) == []
        files = read_package(path)
        assert len(files) == 2
        meta = yaml.safe_load(files[f"{FIRST}.meta.yaml"])
        (written,) = meta["submission"]["authors"]
        assert (written["lastname"], written["affiliation"]["institute"]) == (text, text)
        assert list(meta["results"]["development_dataset"]["class_wise"]) == list(HOSTILE)
    header, *rows = csv.reader(io.StringIO(files[f"{FIRST}.output.csv"]), delimiter="\t")
    assert header[2:] == list(HOSTILE)
    assert {row[1] for row in rows} <= set(HOSTILE)


def test_nothing_to_submit_is_an_error(tmp_path: Path) -> None:
    """A run whose candidates are all over the limit says so, candidate by candidate, and writes nothing."""
    run = make_run(tmp_path / "run", n_candidates=0, search=False)
    add_candidate(run, "heavy", size=200_000, skill=2.0)
    with pytest.raises(BudgetError, match=r"heavy-s0: .*200,000"):
        write_submission(run, SubmissionConfig())
    assert not run.submission_dir.exists()
