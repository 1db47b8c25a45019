"""Candidates that learn from teachers: trained first, kept apart, and knowing no more than their student may."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from retrain_support import TINY, WIDE, begin, candidate_of, events, run_config

from asc_models.candidate import CandidateConfig, DistilledFrom, read_candidate_config
from data_prep.config import ReaderSpec
from data_prep.errors import ConfigError, DataError, RunError
from data_prep.reader.reader import read_split
from data_prep.schema import parse_config
from data_prep.shards.manifest import read_manifest
from results.candidates.candidates import read_candidates, read_metrics
from results.candidates.predictions import read_predictions
from results.config import SubmissionConfig
from results.ensembles.calibration import Calibration
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.storage.storage import open_ledger, taken
from results.submission.meta import system_meta
from results.submission.systems import System
from search.config import RunConfig
from search.retrain.retrain import requested_jobs, retrain
from search.retrain.teaching import opened_teachers, require_may_teach
from search.retrain_config import DistillationConfig, RetrainConfig

BIG = {"name": "big", "model": WIDE.model_dump(mode="json"), "train": {"mixup_alpha": 0.0}}


def config(distillation: dict, **section: object) -> RunConfig:
    found = run_config(distillation=distillation, **section)
    # The limit lets the candidate pass, not its teacher.
    return found.updated(rules={"name": "custom", "limits": {"weight_bytes": 2_500}})


def call(run: RunDirectory, asked: RunConfig, shards: Path):
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        return retrain(run, asked, shards=shards, ledger=ledger)


@pytest.fixture(scope="module")
def taught(tmp_path_factory, shards, ray_here):
    """A candidate of a search, distilled from a network that is over the limit; both scored out of fold."""
    asked = config({"teachers": [BIG], "hard_weight": 0.2}, all_clips=True, inner_folds=2)
    run = begin(tmp_path_factory.mktemp("taught") / "run", asked, {"t0001": (TINY, 0.6, 900)})
    outcome = call(run, asked, shards)
    assert (outcome.names, outcome.n_new, outcome.failures) == (("t0001-kd-full-s0",), 1, ())
    return run, asked


@pytest.mark.system
def test_a_teacher_is_trained_first_and_no_candidate(taught):
    """It is over the limit, has its own run directory, and no stage sees it among the candidates."""
    run, asked = taught
    assert [one.name for one in read_candidates(run)] == ["t0001-kd-full-s0"]
    (teacher,) = read_candidates(run.teachers)
    assert teacher.name == "big-full-s0"
    assert teacher.metrics.weight_bytes > asked.rules.in_force()["weight_bytes"]
    ended = events(run.teachers, "candidate_finished")[-1]["time"]
    assert ended <= min(event["time"] for event in events(run, "candidate_started"))
    assert read_candidate_config(teacher.files.config_path).distillation is None
    learned = read_candidate_config(run.candidate("t0001-kd-full", 0).config_path).distillation
    assert learned == DistilledFrom(temperature=2.0, hard_weight=0.2, teachers=("big-full-s0",))


@pytest.mark.system
def test_a_part_is_taught_without_the_part(taught, shards):
    """The training that leaves out a part learns from the teacher's network that was trained without it."""
    run, asked = taught
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        manifest = read_manifest(shards)
        with opened_teachers(run, asked, manifest, None) as of_teachers:
            jobs, _ = requested_jobs(run, asked, manifest, ledger, of_teachers=of_teachers)
    (job,) = jobs
    files = run.teachers.candidate("big-full", 0)
    read = [job.teaching.networks[0][1], *(part.teaching.networks[0][1] for part in job.parts)]
    paths = [files.keras_path, files.inner(1).keras_path, files.inner(2).keras_path]
    assert read == [path.read_bytes() for path in paths]
    assert len(set(read)) == 3
    # Teacher and student are cut into the same parts: each part's clips were left out by both.
    held = [
        read_metrics(files.metrics_path).splits["validation"]["n_clips"]
        for files in (files, run.candidate("t0001-kd-full", 0))
    ]
    assert held == [24, 24]


@pytest.mark.system
def test_a_repeated_call_trains_nothing(taught, shards):
    """Neither candidate nor teacher: not one event more."""
    run, asked = taught
    before = [Ledger(one.ledger_path).events() for one in (run, run.teachers)]
    assert call(run, asked, shards).n_new == 0
    assert [Ledger(one.ledger_path).events() for one in (run, run.teachers)] == before


@pytest.mark.system
def test_through_shared_storage_it_is_the_same(taught, tmp_path, shards, ray_here):
    """Trainings write to their machines' own disks; a lost run directory has candidates and teachers again."""
    whole, asked = taught
    run = begin(tmp_path / "run", asked, {"t0001": (TINY, 0.6, 900)})
    for root in (run.root, tmp_path / "elsewhere"):
        here = RunDirectory(root)
        with taken(here, tmp_path / "storage") as storage, open_ledger(here, storage) as ledger:
            outcome = retrain(here, asked, shards=shards, ledger=ledger, storage=storage)
        assert outcome.n_new == (root == run.root)
        ours, theirs = (
            read_predictions(one.candidate("t0001-kd-full", 0).predictions_path("validation")) for one in (here, whole)
        )
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
        assert here.teachers.candidate("big-full", 0).inner(2).keras_path.is_file()


@pytest.mark.system
def test_a_submission_declares_the_distillation(taught):
    """The meta file of a system with such a member says so."""
    run, asked = taught
    (member,) = read_candidates(run)
    system = System(member.name, (member,), None, Calibration(1.0, 1.0), None, 900, {})
    found = system_meta("A_B_task1a_1", 1, system, SubmissionConfig(), asked.model_dump(mode="json"))
    assert "- Teachers: big-full-s0; temperature 2, weight of the labels 0.2." in member.files.card_path.read_text()
    assert "knowledge distillation" in found["system"]["description"]["complexity_management"]


@pytest.mark.system
def test_candidates_and_files_can_teach(tmp_path, shards, ray_here):
    """A finished candidate and a table of probabilities teach a candidate, which differs from the plain one."""
    plain = run_config()
    run = begin(tmp_path / "run", plain, {"t0001": (TINY, 0.6, 900)})
    assert call(run, plain, shards).names == ("t0001-s0",)
    train = read_split(shards, "train", fold=1, reader=plain.reader)
    recorded = train.clips["augmentation"].to_numpy(str) == "none"
    hot = np.full((int(recorded.sum()), len(train.classes)), 0.01)
    hot[np.arange(len(hot)), train.labels[recorded]] = 0.97
    table = pd.DataFrame(hot, columns=list(train.classes))
    table.insert(0, "filename", train.clips["filename"][recorded].to_numpy(str))
    path = tmp_path / "teacher.csv"
    table.to_csv(path, index=False)
    asked = run_config(distillation={"candidates": ["t0001-s0"], "probabilities": str(path)})
    assert call(run, asked, shards).names == ("t0001-kd-s0",)
    learned = read_candidate_config(run.candidate("t0001-kd", 0).config_path).distillation
    assert learned is not None
    assert (learned.teachers, len(learned.probabilities or "")) == (("t0001-s0",), 64)
    ours, theirs = (read_predictions(run.candidate(n, 0).predictions_path("test")) for n in ("t0001", "t0001-kd"))
    assert not np.array_equal(ours.probabilities, theirs.probabilities)
    table.iloc[1:].to_csv(path, index=False)
    with pytest.raises(RunError, match="was trained with other settings"):  # the file has other bytes now
        call(run, asked, shards)


@pytest.mark.system
def test_a_teacher_that_fails_leaves_its_students_untrained(tmp_path, shards, ray_here):
    """The reason is reported; the candidates are trained when the teacher is."""
    wild = {**BIG, "train": {"learning_rate": 1e30, "mixup_alpha": 0.0}}
    asked = config({"teachers": [wild]})
    run = begin(tmp_path / "run", asked, {"t0001": (TINY, 0.6, 900)})
    with pytest.raises(RunError, match=r"every training failed:\n  big-s0: training diverged"):
        call(run, asked, shards)
    assert events(run, "candidate_started") == []


CANDIDATES = {
    "splits": {"splits": ("train", "validation"), "checkpoint": None},
    "fold": {"fold": 2},
    "data": {"data_hash": "other"},
    "scenes": {"classes": ("a", "b")},
    "network input": {"reader": ReaderSpec(deltas=1)},
}


@pytest.mark.parametrize("what", CANDIDATES)
def test_who_knows_other_clips_or_sees_another_input_cannot_teach(tmp_path, shards, what):
    """The difference is named."""
    student, files = candidate_of(RunDirectory(tmp_path), shards)
    require_may_teach(files, student, student)
    teacher = CandidateConfig.model_validate({**dict(student), **CANDIDATES[what]})
    with pytest.raises(RunError, match=f"t0001-s0 can't teach t0001: they differ in {what}"):
        require_may_teach(files, teacher, student)


def test_parts_need_the_networks_of_the_parts(tmp_path, shards):
    """A teacher whose inner networks are gone is refused."""
    student, files = candidate_of(RunDirectory(tmp_path), shards)
    both = student.updated(splits=("train", "validation"), checkpoint=None, inner_folds=2)
    require_may_teach(files, both, both)  # not yet trained
    files.root.mkdir(parents=True)
    files.metrics_path.write_text("{}")
    with pytest.raises(RunError, match="inner cross-validation were not kept"):
        require_may_teach(files, both, both)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({}, "names no teacher: set teachers, candidates or probabilities"),
        ({"candidates": ["a-s0", "a-s0"]}, "candidates must differ, got a-s0, a-s0"),
        ({"teachers": [BIG, BIG]}, "names of teachers must differ, got big, big"),
        ({"candidates": ["a-s0"], "temperature": 0}, "temperature"),
        ({"candidates": ["a-s0"], "hard_weight": 1.5}, "hard_weight"),
    ],
)
def test_a_section_that_teaches_nothing_is_refused(section, problem):
    """Each mistake has its message."""
    with pytest.raises(ConfigError, match=problem):
        parse_config(DistillationConfig, section, "run.yaml")


def test_stored_probabilities_and_inner_folds_exclude_each_other():
    """The teacher of a file has seen the part that is left out."""
    section = {"all_clips": True, "inner_folds": 2, "distillation": {"probabilities": "teacher.csv"}}
    with pytest.raises(ConfigError, match="stored probabilities come from a teacher that has seen all training clips"):
        parse_config(RetrainConfig, section, "run.yaml")


@pytest.mark.parametrize(
    ("distillation", "error", "problem"),
    [
        ({"candidates": ["t0009-s0"]}, RunError, "no finished candidate t0009-s0; it has none"),
        ({"probabilities": "nowhere.csv"}, DataError, "nowhere.csv: no such file"),
    ],
)
def test_teachers_that_do_not_exist_are_refused_before_a_training(tmp_path, shards, distillation, error, problem):
    """Nothing is started."""
    asked = run_config(distillation=distillation)
    run = begin(tmp_path / "run", asked, {"t0001": (TINY, 0.6, 900)})
    with pytest.raises(error, match=problem):
        call(run, asked, shards)
    assert events(run, "candidate_started") == []
