"""What `recipe: auto` picks for a data set, and what keeps it from picking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from search_support import SPEC, settings, write_corpus

from asc_models.config import TrainConfig
from asc_models.rules import RulesConfig
from data_prep.config import FeatureSpec, PrepareConfig, ReaderSpec
from data_prep.corpora import read_corpus
from data_prep.errors import RunError
from data_prep.shards.manifest import read_manifest
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from search.api import Quiet, search
from search.config import RunConfig, read_run_config
from search.recipe import (
    FEW_CLIPS,
    DataFacts,
    common_length,
    facts_of_audio,
    facts_of_shards,
    picked_keys,
    with_recipe,
    with_stored,
)
from search.run_config import open_run, read_run
from search.stages import recipe_stage

ESC10 = DataFacts(n_clips=320, clip_seconds=5.0, n_mels=128)
TAU = DataFacts(n_clips=13_962, clip_seconds=10.0, n_mels=128)


def value(config: RunConfig, key: str) -> object:
    found: object = config
    for name in key.split("."):
        found = getattr(found, name)
    return found


def test_few_clips_get_windows_mixtures_and_all_of_them_for_training():
    config, picks = with_recipe(RunConfig(), ESC10)
    assert config.prepare.features.clip_seconds == 5.0
    assert (config.reader.window_seconds, config.reader.scaling) == (1.5, "none")
    assert (config.train.class_mix_p, config.train.mixup_alpha, config.train.frequency_shift) == (1.0, 0.0, 4)
    assert config.train.epochs * config.train.epoch_examples == 126 * 1024
    assert (config.retrain.all_clips, config.retrain.inner_folds) == (True, 4)
    assert config.full_recipe == config.train.updated(schedule="plateau-cosine", swa_share=0.15)
    assert all(pick.is_taken for pick in picks)
    assert "retrain.train {schedule: plateau-cosine, swa_share: 0.15}: few" in str(picks[-1])
    assert "few training clips (320)" in str(picks[1])


def test_as_many_clips_as_the_papers_leave_its_recipe():
    assert with_recipe(RunConfig(), TAU) == (RunConfig(), ())
    assert with_recipe(RunConfig(), DataFacts(FEW_CLIPS, 10.0, 128)) == (RunConfig(), ())


def test_a_key_that_is_set_keeps_its_value():
    asked = RunConfig(train={"epochs": 30, "gain_db": 0.0}, reader={"window_seconds": 2.0, "scaling": "standardize"})
    config, _ = with_recipe(asked, ESC10)
    assert (config.train.epochs, config.train.gain_db) == (30, 0.0)
    assert (config.reader.window_seconds, config.reader.scaling) == (2.0, "standardize")
    assert config.train.class_mix_p == 1.0


def test_a_section_that_a_command_changed_is_still_picked_for():
    asked = RunConfig()
    asked = asked.updated(search=asked.search.updated(n_trials=3), retrain=asked.retrain.updated(seeds=(0, 1)))
    config, _ = with_recipe(asked, ESC10)
    assert (config.search.n_trials, config.search.epochs) == (3, 30)
    assert (config.retrain.seeds, config.retrain.inner_folds) == ((0, 1), 4)


def test_a_knob_of_the_space_is_left_to_the_search():
    config, picks = with_recipe(RunConfig(space={"train.weight_decay": [0.0, 1e-3]}), ESC10)
    assert config.train.weight_decay == 0.0
    assert all("train.weight_decay" not in pick.values for pick in picks)


@pytest.mark.parametrize(
    "asked",
    [{"train": {"schedule": "cosine"}}, {"space": {"train.swa_share": [0.0, 0.2]}}, {"retrain": {"train": {}}}],
)
def test_a_schedule_that_is_set_or_searched_is_that_of_the_final_networks_too(asked):
    config, picks = with_recipe(RunConfig(**asked), ESC10)
    assert config.full_recipe == config.train
    assert all("retrain.train" not in pick.values for pick in picks)


@pytest.mark.parametrize(
    ("section", "settings", "left_out"),
    [("train", {"mixup_alpha": 0.4}, "train.class_mix_p"), ("reader", {"scaling": "minmax"}, "reader.window_seconds")],
)
def test_settings_that_exclude_a_pick_leave_it_out_whole(section, settings, left_out):
    config, picks = with_recipe(RunConfig(**{section: settings}), ESC10)
    (refused,) = (pick for pick in picks if left_out in pick.values)
    assert not refused.is_taken
    assert "left out, since other settings exclude it" in str(refused)
    assert all(value(config, key) == value(RunConfig(**{section: settings}), key) for key in refused.values)


def test_windows_are_not_picked_where_they_would_break_a_limit_on_macs():
    config, _ = with_recipe(RunConfig(rules=RulesConfig(name="dcase2023")), ESC10)
    assert config.reader == ReaderSpec(scaling="none")
    assert config.train.class_mix_p == 1.0


@pytest.mark.parametrize(("seconds", "window"), [(1.0, None), (2.0, 1.0), (3.0, 1.0), (10.0, 3.0), (30.0, 3.0)])
def test_windows_follow_the_length_of_a_clip(seconds, window):
    config, _ = with_recipe(RunConfig(), DataFacts(320, seconds, 128))
    assert config.reader.window_seconds == window


@pytest.mark.system
@given(st.integers(1, 20_000), st.floats(0.5, 30.0), st.integers(8, 512))
def test_what_is_picked_is_valid_for_any_data_and_nothing_is_picked_twice(n_clips, seconds, n_mels):
    facts = DataFacts(n_clips, round(seconds, 1), n_mels)
    asked = RunConfig(prepare={"features": {"n_mels": n_mels}})
    config, picks = with_recipe(asked, facts)
    assert config.prepare.features.clip_seconds == facts.clip_seconds
    config.reader.network_shape(config.prepare.features)  # raises if windows do not fit the clip
    assert with_recipe(config, facts) == (config, ())
    assert {key for pick in picks for key in pick.values} <= set(picked_keys(asked))
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


def test_the_shipped_configurations_say_which_recipe_they_have():
    assert read_run_config("default").recipe == "auto"
    for name in ("demo", "esc10", "esc10-fold1", "tau2020-cao2021"):
        config = read_run_config(name)
        assert with_recipe(config, ESC10) == (config, ())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("recipe") / "corpus")


def test_audio_and_its_shards_have_the_same_facts(corpus, shards):
    features = {name: number for name, number in SPEC.model_dump().items() if name != "clip_seconds"}
    assert facts_of_audio(corpus, PrepareConfig(features=features)) == DataFacts(24, 1.0, 16)
    assert facts_of_shards(read_manifest(shards)) == DataFacts(24, 1.0, 16)


def test_a_length_that_is_set_is_not_measured(corpus):
    assert facts_of_audio(corpus, PrepareConfig(features=FeatureSpec(clip_seconds=4.0))).clip_seconds == 4.0


def test_the_length_is_that_of_most_recordings_whatever_else_is_there(tmp_path):
    root = write_corpus(tmp_path / "corpus")
    first, second, *_ = sorted((root / "audio").iterdir())
    first.write_bytes(b"no audio")
    soundfile.write(second, np.zeros(8000 * 7), 8000)
    assert common_length(read_corpus(root), 10.0) == 1.0


def test_recordings_too_long_to_be_clips_leave_the_default(tmp_path):
    root = write_corpus(tmp_path / "corpus", n_locations=2, n_segments=1)
    for path in (root / "audio").iterdir():
        soundfile.write(path, np.zeros(100 * 31), 100)
    assert common_length(read_corpus(root), 10.0) == 10.0


def test_a_run_that_has_trained_keeps_what_was_picked_for_it(tmp_path):
    run = RunDirectory(tmp_path)
    asked = RunConfig(train={"learning_rate": 0.05})
    open_run(run, with_recipe(asked, ESC10)[0])
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("trial_started", trial_id="t0001", params={}, key="k", config={}, seed=0)
    again = with_stored(asked, run)
    assert again == with_recipe(asked, ESC10)[0]
    assert open_run(run, again) == again


def test_a_key_that_excludes_what_the_run_has_is_refused_as_any_other(tmp_path):
    run = RunDirectory(tmp_path)
    open_run(run, with_recipe(RunConfig(), ESC10)[0])
    with Ledger.open_for_writing(run.ledger_path) as ledger:
        ledger.append("trial_started", trial_id="t0001", params={}, key="k", config={}, seed=0)
    with pytest.raises(RunError, match=r"train\.class_mix_p: 1\.0 there, 0\.0 here"):
        open_run(run, with_stored(RunConfig(train={"mixup_alpha": 0.4}), run))


def test_a_run_of_before_there_was_a_recipe_keeps_the_papers(tmp_path):
    run = RunDirectory(tmp_path)
    open_run(run, RunConfig(recipe="paper"))
    text = run.config_path.read_text().replace("recipe: paper\n", "")
    run.config_path.write_text("\n".join(line for line in text.splitlines() if "epoch_examples" not in line) + "\n")
    assert with_stored(RunConfig(), run) == RunConfig()
    assert with_stored(RunConfig(), run).train == TrainConfig()


class Notes(Quiet):
    """Keeps what would be shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note."""
        self.lines.append(text)


@pytest.mark.system
def test_a_search_says_what_it_picked_and_resumes_with_it(tmp_path, shards, ray_here):
    asked, notes = settings(n_trials=1, epochs=2), Notes()
    config = RunConfig(space=asked.space, rules=asked.rules, search=asked.search, train={"epoch_examples": 16})
    search(config, shards, tmp_path / "run", narrator=notes, address="auto")
    picked = next(line for line in notes.lines if "`recipe: auto`" in line)
    assert "train.class_mix_p 1" in picked
    stored = read_run(RunDirectory(tmp_path / "run"))
    assert (stored.train.class_mix_p, stored.train.epoch_examples, stored.search.epochs) == (1.0, 16, 2)
    assert recipe_stage(RunDirectory(tmp_path / "run"), config, must_not_be_called, notes) == stored


def must_not_be_called() -> DataFacts:
    raise AssertionError("a run that has trained does not look at the data again")
