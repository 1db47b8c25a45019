"""What is to be trained at full length: systems and trials, each with its recipe, its input and its seeds."""

from __future__ import annotations

import pytest
from process_support import ROOT
from results_support import clips, predictions
from retrain_support import TINY, WIDE, begin, candidate_of, events, run_config
from search_support import LIMIT

from asc_models.networks.families import StageConfig
from data_prep.errors import AscError, BudgetError, ConfigError, RunError
from data_prep.schema import parse_config
from data_prep.shards.manifest import read_manifest
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from search.config import RunConfig
from search.retrain.inner import keep_part
from search.retrain.job import TrainingJob
from search.retrain.retrain import Variant, requested_jobs, require_systems_fit
from search.retrain.store import StoredCandidate
from search.retrain.trials import choose_trials
from search.retrain_config import RetrainConfig

FASTER = {"learning_rate": 0.5}


def test_trials_are_chosen_by_name(tmp_path, shards):
    """In the given order, whatever the scores; unknown ones and those over the limit are errors."""
    trials = {"t0001": (TINY, 0.9, 900), "t0002": (WIDE, 0.1, 2000)}
    run = begin(tmp_path / "run", run_config(), trials)
    recorded, manifest = Ledger(run.ledger_path).events(), read_manifest(shards)

    def named(*names: str, **changes: object) -> list[str]:
        config = run_config().updated(**changes)
        return [one.trial_id for one in choose_trials(recorded, config, manifest, names).trials]

    assert named("t0002") == ["t0002"]
    assert named("t0002", "t0001", "t0002") == ["t0002", "t0001"]
    with pytest.raises(RunError, match=r"--trial t0009: .* reached a rung; it has t0001, t0002"):
        named("t0009")
    with pytest.raises(BudgetError, match="--trial t0002: is over the limit as int8_weights"):
        named("t0002", rules=run_config().rules.updated(limits={"weight_bytes": 1500}))


def test_a_network_over_the_limit_of_int4_is_told_before_it_is_trained(tmp_path, shards):
    """Over the limit with all large kernels in int4, it is no choice, though the rules allow it; its key is named."""
    manifest = read_manifest(shards)
    system = {"name": "one", "model": WIDE.model_dump(mode="json")}
    config = run_config(mode="int4_int8_weights", int4_limit_bytes=1500, systems=[system])
    with pytest.raises(BudgetError, match=r"one is over the limit .* over 1,500 by .* retrain\.int4_limit_bytes"):
        require_systems_fit(config, manifest)
    require_systems_fit(run_config(mode="int4_int8_weights", systems=[system]), manifest)
    run = begin(tmp_path / "run", run_config(), {"t0001": (WIDE, 0.9, 2000)})
    recorded = Ledger(run.ledger_path).events()
    with pytest.raises(BudgetError, match=r"retrain.int4_limit_bytes sets to 1,500 bytes. Raise it."):
        choose_trials(recorded, run_config(mode="int4_int8_weights", int4_limit_bytes=1500), manifest)


def test_twins_are_chosen_once(tmp_path, shards):
    """Two trials that differ in a setting without effect are one network: the next one on the front is taken."""
    config = run_config(n_candidates=2)
    plain = TINY.updated(attention="none")
    trials = {
        "t0001": (plain, 0.60, 900),
        "t0002": (plain.updated(spatial_kernel_size=3), 0.62, 900),
        "t0003": (plain.updated(stages=(StageConfig(filters=16, stride=2),)), 0.61, 1_500),
    }
    run = begin(tmp_path / "run", config, trials)
    choice = choose_trials(Ledger(run.ledger_path).events(), config, read_manifest(shards))
    assert sorted(one.trial_id for one in choice.trials) == ["t0001", "t0003"]
    assert choice.notes[-1].startswith("chosen, by size and macro accuracy on 12 validation clips (± 0.14")
    parted = config.updated(search=config.search.updated(inner_folds=2))
    choice = choose_trials(Ledger(run.ledger_path).events(), parted, read_manifest(shards))
    said = "chosen, by size and macro accuracy out of fold on 24 clips of 2 parts (± 0.100)"
    assert choice.notes[-1].startswith(said)


def test_only_what_fits_in_its_retraining_is_chosen(tmp_path, shards):
    """A network that float32 makes too large is left out and said to be; where none is left, that is the error."""
    config = run_config(n_candidates=2, mode="float32")
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900), "t0002": (WIDE, 0.9, LIMIT - 100)})
    choice = choose_trials(Ledger(run.ledger_path).events(), config, read_manifest(shards))
    assert [one.trial_id for one in choice.trials] == ["t0001"]
    assert any("over the limit as float32" in note for note in choice.notes)
    run = begin(tmp_path / "other", config, {"t0002": (WIDE, 0.9, LIMIT - 100)})
    with pytest.raises(BudgetError, match="no trained network is within the limit as float32"):
        choose_trials(Ledger(run.ledger_path).events(), config, read_manifest(shards))


def test_a_candidate_has_the_reader_of_its_trial(tmp_path, shards):
    """Where the reader varied in a search, a network is retrained as it was searched; two that differ in it are two."""
    config = run_config(n_candidates=2)
    run = begin(tmp_path, config, {"t0001": (TINY, 0.6, 900)})
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        (first,) = events(run, "trial_started")
        own = {**first["config"], "reader": {**first["config"]["reader"], "deltas": 2}}
        ledger.append("trial_started", trial_id="t0002", params={}, key="l", config=own, seed=0)
        scores = {"macro_accuracy": 0.7, "log_loss": 1.0, "weight_bytes": 950}
        ledger.append("rung", trial_id="t0002", rung=0, epochs=4, **scores)
        ledger.append("trial_ended", trial_id="t0002", state="finished", reason=None)
        jobs, _ = requested_jobs(run, config, read_manifest(shards), ledger, Variant())
    assert {job.config.trial_id: job.config.reader.deltas for job in jobs} == {"t0001": 0, "t0002": 2}


def test_candidates_may_have_another_recipe_than_trials(tmp_path, shards):
    """Keys of `retrain.train` hold for trials and systems; a system's own come before them, the name stays."""
    systems = [
        {"name": "one", "model": TINY.model_dump(mode="json")},
        {"name": "two", "model": TINY.model_dump(mode="json"), "train": {"schedule": "step"}},
    ]
    config = run_config(systems=systems, train={"schedule": "cosine", "swa_share": 0.4, "epochs": 7})
    run = begin(tmp_path, config, {"t0001": (TINY, 0.6, 900)})
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        jobs, _ = requested_jobs(run, config, read_manifest(shards), ledger, Variant())
    recipes = {job.config.name: (job.config.train.schedule, job.config.train.swa_share) for job in jobs}
    assert recipes == {"t0001": ("cosine", 0.4), "one": ("cosine", 0.4), "two": ("step", 0.4)}
    assert {job.config.train.epochs for job in jobs} == {7}


def test_a_system_may_have_seeds_and_a_reader_of_its_own(tmp_path, shards):
    """The others have the section's; seeds that are asked for later hold for all. A reader likewise is its own."""
    systems = [
        {"name": "one", "model": TINY.model_dump(mode="json"), "seeds": [3], "reader": {"frequency_channel": True}},
        {"name": "two", "model": TINY.model_dump(mode="json")},
    ]
    config = run_config(systems=systems, seeds=[0, 1])
    run = begin(tmp_path, config, {})
    of_all = config.updated(retrain=config.retrain.with_seeds([5]))
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        jobs, _ = requested_jobs(run, config, read_manifest(shards), ledger, Variant())
        asked, _ = requested_jobs(run, of_all, read_manifest(shards), ledger, Variant())
    assert sorted(job.files.name for job in jobs) == ["one-s3", "two-s0", "two-s1"]
    assert all(job.files.name == f"{job.config.name}-s{job.config.seed}" for job in jobs)
    assert sorted(job.files.name for job in asked) == ["one-s5", "two-s5"]
    channels = {job.config.name: job.config.reader.frequency_channel for job in jobs}
    assert channels == {"one": True, "two": config.reader.frequency_channel}


@pytest.mark.parametrize(
    "section", [{"seeds": [1, 1]}, {"systems": [{"name": "one", "preset": "cp-mobile", "seeds": [1, 1]}]}]
)
def test_seeds_must_differ(section):
    """A second training with the same seed would be the same candidate."""
    with pytest.raises(ConfigError, match="seeds must differ, got 1, 1"):
        parse_config(RetrainConfig, section, "run.yaml")


def test_windows_that_do_not_fit_are_told_with_their_system(tmp_path, shards):
    """Of several systems with readers of their own, the message names the one."""
    reader = {"window_seconds": 99.0, "scaling": "none"}
    systems = [{"name": name, "model": TINY.model_dump(mode="json")} for name in ("one", "two")]
    config = run_config(systems=[systems[0], {**systems[1], "reader": reader}])
    with pytest.raises(ConfigError, match=r"retrain\.systems, two: reader\.window_seconds: 99 s are"):
        require_systems_fit(config, read_manifest(shards))


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"train": FASTER}, r"inner/1: was trained with other settings \(train\.learning_rate"),
        ({"inner_folds": 3}, r"inner/1: is a part of an inner cross-validation in 2 parts, not in 3\. .*another --out"),
    ],
)
def test_parts_of_other_settings_are_not_reused(tmp_path, shards, section, problem):
    """A part that is done has its settings with it: the same ones find it, others and another number are refused."""
    config = run_config(all_clips=True, inner_folds=2)
    run = begin(tmp_path / "run", config, {"t0001": (TINY, 0.6, 900)})
    changed, other = (config.updated(retrain=config.retrain.updated(**one)) for one in (section, {"train": FASTER}))
    with Ledger.open_for_writing(run.ledger_path) as ledger:

        def asked(config: RunConfig) -> TrainingJob:
            """Return the training of the only trial."""
            (job,), _ = requested_jobs(run, config, read_manifest(shards), ledger)
            return job

        job = asked(config)
        keep_part(job.config, job.files.inner(1), predictions(clips(3, ("a", "b")), ("a", "b"), 0.5, 0))
        assert [part.is_done for part in asked(config).parts] == [True, False]
        with pytest.raises(AscError, match=problem):
            asked(changed)
        job.files.inner(1).config_path.unlink()  # as of an earlier version
        assert asked(other).parts[0].is_done


def test_a_stored_part_has_its_settings_with_it(tmp_path, shards):
    """A driver that lost its disk finds them in the shared storage, next to the part's predictions."""
    config, files = candidate_of(RunDirectory(tmp_path / "run"), shards)
    keep_part(config, files.inner(1), predictions(clips(3, ("a", "b")), ("a", "b"), 0.5, 0))
    StoredCandidate(tmp_path / "stored").push_part(files, 1)
    stored = {path.relative_to(tmp_path / "stored").as_posix() for path in (tmp_path / "stored").rglob("*.*")}
    assert stored == {"inner/1/config.yaml", "inner/1/predictions/validation.parquet"}


@pytest.mark.parametrize("page", ["results/run_directory.md", "asc_models/models.md"])
def test_the_pages_name_a_candidate_as_the_code_does(tmp_path, shards, page):
    """With teachers, other epochs and validation: the page's example is the name of such a candidate."""
    config = run_config(distillation={"probabilities": str(tmp_path / "teacher.csv")})
    run = begin(tmp_path / "run", config, {"t0003": (TINY, 0.6, 900)})
    manifest = read_manifest(shards)
    rows = [",".join(("filename", *manifest.classes)), "a.wav,1" + ",0" * (len(manifest.classes) - 1)]
    (tmp_path / "teacher.csv").write_text("\n".join(rows))
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        (job,), _ = requested_jobs(run, config, manifest, ledger, Variant(epochs=510, with_validation=True))
    assert f"`{job.files.name}`" in (ROOT / page).read_text()
