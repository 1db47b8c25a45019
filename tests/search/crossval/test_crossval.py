"""Cross-validation from shards to tables: inner parts first, then every fold, resumed without training twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from cli_support import asc
from retrain_support import TINY, WIDE, candidate_of, events, run_config
from search_support import write_corpus

from asc_models.candidate import CandidateConfig, DistilledFrom, read_candidate_config
from data_prep.config import PrepareConfig, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.files.yaml_file import to_yaml
from data_prep.prepare.prepare import prepare
from results.candidates.candidates import read_metrics
from results.ledger.ledger import Ledger
from results.rundir import CrossvalDirectory, RunDirectory
from search.cli.screen.terminal import Terminal
from search.config import RunConfig
from search.crossval.crossval import cross_validate, without_curve
from search.crossval.frozen import frozen_config
from search.retrain.job import TrainingJob

SYSTEMS = [
    {"name": "tiny", "model": TINY.model_dump(mode="json")},
    {
        "name": "wide",
        "model": WIDE.model_dump(mode="json"),
        "train": {"epochs": 3, "mixup_alpha": 0.0},
        "reader": {"frequency_channel": True},
    },
]


def config(**retrain: object) -> RunConfig:
    base = run_config(systems=SYSTEMS, all_clips=True, **retrain)
    return base.updated(train=base.train.updated(epochs=2, first_cycle=1))


@pytest.fixture(scope="module")
def two_folds(tmp_path_factory) -> Path:
    """Shards of two folds, cut by location."""
    folder = tmp_path_factory.mktemp("folds")
    spec = run_config().prepare
    cut = PrepareConfig.model_validate({**spec.model_dump(), "corpus": {"k_folds": 2}})
    prepare(write_corpus(folder / "corpus"), folder / "shards", cut)
    return folder / "shards"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "frozen.yaml"
    path.write_text(to_yaml(config().model_dump(mode="json")))
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory, two_folds, file, ray_here):
    """A cross-validation on both folds: in two inner parts, then with the test splits."""
    out = tmp_path_factory.mktemp("crossval") / "cv"
    inner = asc("crossval", file, "--shards", two_folds, "--out", out, "--inner", 2)
    before = [event for run in CrossvalDirectory(out).folds().values() for event in events(run, "test_read")]
    outer = asc("crossval", file, "--shards", two_folds, "--out", out)
    return CrossvalDirectory(out), inner, before, outer


@pytest.mark.system
def test_inner_parts_choose_without_reading_a_test_split(done):
    """Out of fold, every training clip is predicted once per system and no test split is read."""
    directory, inner, before, _ = done
    assert before == []
    assert "out of fold" in inner.stdout
    folds = pd.read_csv(directory.tables_dir / "inner_folds.csv")
    assert sorted(folds["system"]) == ["tiny-full", "tiny-full", "wide-full", "wide-full"]
    assert folds["n_clips"].sum() == 2 * 30  # of 30 clips, each fold's training side has what the other tests


@pytest.mark.system
def test_every_fold_is_tested_once_by_its_exported_file(done, two_folds):
    """Each system has a test score on both folds, read once, with the sizes of its file and its own recipe."""
    directory, _, _, outer = done
    assert "Cross-validation on test splits" in outer.stdout
    for run in directory.folds().values():
        assert sorted(event["candidate"] for event in events(run, "test_read")) == ["tiny-full-s0", "wide-full-s0"]
        assert read_metrics(run.candidate("wide-full", 0).metrics_path).epochs == 3
        assert read_metrics(run.candidate("tiny-full", 0).metrics_path).epochs == 2
        for name, has_channel in (("tiny-full", False), ("wide-full", True)):
            own = read_candidate_config(run.candidate(name, 0).config_path).reader
            assert own.frequency_channel == has_channel
    systems = pd.read_csv(directory.tables_dir / "systems.csv")
    assert systems["n_folds"].tolist() == [2, 2]
    assert systems["n_clips"].tolist() == [30, 30]
    assert systems["weight_bytes"].gt(0).all()


@pytest.mark.system
def test_a_repeated_command_trains_nothing(done, two_folds, file):
    """Same answer, not one event more."""
    directory, _, _, outer = done
    before = [Ledger(run.ledger_path).events() for run in directory.folds().values()]
    again = asc("crossval", file, "--shards", two_folds, "--out", directory.root)
    assert [Ledger(run.ledger_path).events() for run in directory.folds().values()] == before
    assert again.stdout.splitlines()[-8:] == outer.stdout.splitlines()[-8:]


@pytest.mark.system
def test_the_best_epoch_on_test_is_shown_and_chooses_nothing(done, two_folds, file, tmp_path):
    """--test-curve: the same file as without it, a column of its own, and each read of test in the ledger."""
    directory, *_ = done
    curved = CrossvalDirectory(tmp_path / "cv")
    shown = asc("crossval", file, "--shards", two_folds, "--out", curved.root, "--folds", "1", "--test-curve", "2")
    assert "best*: accuracy of the epoch that is best on test" in shown.stdout
    files, plain = (one.fold(1).candidate("wide-full", 0) for one in (curved, directory))
    assert files.tflite_path.read_bytes() == plain.tflite_path.read_bytes()
    curve = pd.read_parquet(files.test_curve_path)
    assert curve["epoch"].tolist() == [2]
    folds = pd.read_csv(curved.tables_dir / "folds.csv").set_index("system")
    assert folds.loc["wide-full", "best_test_epoch_accuracy"] == pytest.approx(curve["macro_accuracy"].max(), abs=1e-5)
    reads = [event["candidate"] for event in events(curved.fold(1), "test_read")]
    assert sorted(reads) == ["tiny-full-s0"] * 2 + ["wide-full-s0"] * 2
    assert "best_test_epoch_accuracy" not in pd.read_csv(directory.tables_dir / "folds.csv")
    refused = asc("crossval", file, "--out", tmp_path / "no", "--inner", "2", "--test-curve", "1", code=1).stderr
    assert "--inner and --test-curve: give one of them" in refused


@pytest.mark.system
def test_a_candidate_is_frozen_as_it_was_trained(done):
    """Its network, recipe, features and export mode become the only system, trained on all clips as it was."""
    directory, *_ = done
    files = directory.fold(1).candidate("wide-full", 0)
    found = frozen_config(str(files.package_path))
    assert found == frozen_config(str(files.root))
    (system,) = found.retrain.systems
    assert (system.name, system.network, found.retrain.all_clips) == ("frozen-wide", WIDE, True)
    assert (found.train.epochs, found.train.mixup_alpha, found.search) == (3, 0.0, None)
    assert found.prepare.features == run_config().prepare.features
    assert found.reader.frequency_channel


def test_a_distilled_candidate_needs_its_teachers(tmp_path):
    """Without them it would be another system, so that it is refused; with named teachers it is trained as it was."""
    features, train = run_config().prepare.features, run_config().train
    taught = CandidateConfig(
        name="tiny-kd", trial_id=None, model=TINY, train=train, features=features, reader=ReaderSpec(deltas=1),
        classes=("a", "b"), mode="float32", checkpoint="log_loss", seed=0, fold=1, data_hash="0" * 12,
        distillation=DistilledFrom(teachers=("wide-s0",)),
    )  # fmt: skip
    (tmp_path / "config.yaml").write_text(to_yaml(taught.model_dump(mode="json")))
    (tmp_path / "model.tflite").touch()
    with pytest.raises(ConfigError, match=r"learned from teachers \(wide-s0\), .*retrain\.distillation=\{teachers"):
        frozen_config(str(tmp_path))
    teacher = to_yaml({"teachers": [{"name": "wide", "model": WIDE.model_dump(mode="json")}]})
    found = frozen_config(str(tmp_path), [f"retrain.distillation={teacher}"])
    assert found.retrain.distillation is not None
    assert [one.name for one in found.retrain.distillation.teachers] == ["wide"]


def test_what_is_refused_leaves_no_folder(two_folds, file, tmp_path):
    """Systems over the limit, in several folds: neither a fold's folder nor one that was made for it is left."""
    limit = "rules={name: custom, limits: {weight_bytes: 100}}"
    refused = asc("crossval", file, "--shards", two_folds, "--out", tmp_path / "made" / "cv", "--set", limit, code=1)
    assert "over the limit" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_frozen_is_refused(two_folds, file, tmp_path):
    """A configuration with a search alone, an unknown fold, a wrong list, or one part: each by its own message."""
    with pytest.raises(ConfigError, match=r"retrain\.systems names no system"):
        frozen_config("esc10-fold1")
    base = ("crossval", file, "--shards", two_folds, "--out", tmp_path / "cv")
    assert "have no fold 7; they have 1, 2" in asc(*base, "--folds", "7", code=1).stderr
    assert "must be numbers separated by commas" in asc(*base, "--folds", "one", code=1).stderr
    assert "must be 0 or at least 2" in asc(*base, "--inner", "1", code=1).stderr
    assert "--data" in asc(*base[:-1], tmp_path / "none", "--shards", tmp_path / "none", code=1).stderr
    assert not (tmp_path / "cv").exists()


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        ({"epoch": 3}, "tiny: train: unknown keys epoch"),
        ({"epochs": 0}, "tiny: train: epochs: Input should be greater than or equal to 1"),
        ({"gain_db": 6}, "tiny: train: train.gain_db 6 has no effect with reader.scaling minmax"),
    ],
)
def test_a_systems_own_recipe_is_checked(train, problem):
    """Unknown keys, bad values and clashes with the reader are found before anything is trained."""
    with pytest.raises(ValueError, match=problem):
        run_config(systems=[{**SYSTEMS[0], "train": train}])


@pytest.mark.system
def test_each_fold_has_its_own_teachers(tmp_path, two_folds, ray_here):
    """Teachers are trained within each fold and part, before the systems that they teach."""
    teacher = {key: value for key, value in SYSTEMS[1].items() if key != "reader"}
    asked = config(distillation={"teachers": [teacher]})
    asked = asked.updated(retrain=asked.retrain.updated(systems=asked.retrain.systems[:1]))
    path = tmp_path / "taught.yaml"
    path.write_text(to_yaml(asked.model_dump(mode="json")))
    asc("crossval", path, "--shards", two_folds, "--out", tmp_path / "cv", "--inner", 2)
    for run in CrossvalDirectory(tmp_path / "cv").folds().values():
        for one, name in ((run, "tiny-kd-full-s0"), (run.teachers, "wide-full-s0")):
            ended = [event["candidate"] for event in events(one, "candidate_finished")]
            assert sorted(ended) == [f"{name}/inner/1", f"{name}/inner/2"]
            assert events(one, "test_read") == []
    assert pd.read_csv(tmp_path / "cv" / "tables" / "inner_folds.csv")["system"].tolist() == ["tiny-kd-full"] * 2


def test_stored_probabilities_are_refused(tmp_path):
    """Whoever made them has seen clips that another fold tests; nothing is written."""
    asked = config(distillation={"probabilities": "teacher.csv"}).updated(search=None)
    with pytest.raises(ConfigError, match="the teacher of one file knows clips that some fold tests"):
        cross_validate(asked, CrossvalDirectory(tmp_path / "cv"), Terminal(quiet=True), shards=tmp_path)
    assert not (tmp_path / "cv").exists()


def test_a_curve_that_comes_too_late_is_a_warning(tmp_path, shards):
    """Of two trained candidates, the one without a curve is named; no one is if none is asked for, or none trained."""
    candidate, _ = candidate_of(RunDirectory(tmp_path), shards)
    jobs = []
    for name in ("curved", "plain", "new"):
        files = RunDirectory(tmp_path).candidate(name, 0)
        jobs.append(TrainingJob(candidate, files, Ledger(tmp_path / "ledger.jsonl"), test_every=2))
        files.root.mkdir(parents=True)
        files.metrics_path.write_text("{}")
    jobs[0].files.test_curve_path.touch()
    jobs[2].files.metrics_path.unlink()
    warning = without_curve(jobs)
    assert "--test-curve has no effect on what is trained; without a curve: fold 1, plain-s0. To have one" in warning
    assert without_curve([replace(job, test_every=0) for job in jobs]) is None
    assert without_curve([jobs[0], jobs[2]]) is None
