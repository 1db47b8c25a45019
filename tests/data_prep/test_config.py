"""The data stage's settings: defaults, rules, hashes, and messages for typing errors."""

import numpy as np
import pytest
from pydantic import ValidationError

from data_prep.config import FeatureSpec, PrepareConfig, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.schema import Config, canonical_json, content_hash, differing_keys, parse_config


def test_defaults_are_the_seeds_feature():
    """10 s at 44.1 kHz, 2048 points, hop 1024, 128 mels: 431 frames stored."""
    spec = FeatureSpec()
    assert (spec.n_samples, spec.n_frames, spec.n_mels) == (441_000, 431, 128)
    assert (spec.htk, spec.norm, spec.log_offset) == (True, None, 1e-8)
    assert ReaderSpec().input_shape(spec) == (128, 423, 3)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"hop_length": 4096}, "hop_length must not exceed n_fft"),
        ({"win_length": 4096}, "win_length must not exceed n_fft: 4096 > 2048"),
        ({"win_length": 512}, "hop_length must not exceed win_length, so that no samples are skipped: 1024 > 512"),
        ({"n_fft": 2047}, "n_fft must be even"),
        ({"fmin_hz": 900.0, "fmax_hz": 800.0}, "fmin_hz < fmax_hz <= sample_rate / 2"),
        ({"fmax_hz": 30_000.0}, "fmin_hz < fmax_hz <= sample_rate / 2"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, rule):
    """A rule over several keys is told with its values, also by `updated`."""
    with pytest.raises(ValidationError, match=rule):
        FeatureSpec().updated(**changes)


def test_all_problems_come_at_once_with_their_keys():
    """A typo, a wrong type and a wrong value are three lines, each with its key path; the typo with the nearest key."""
    data = {
        "features": {"n_mel": 64, "hop_length": "many"},
        "validation": {"fraction": 2.0},
    }
    with pytest.raises(ConfigError) as caught:
        parse_config(PrepareConfig, data, "own.yaml")
    message = str(caught.value)
    assert message.startswith("own.yaml: 3 problems\n")
    assert "features.n_mel: unknown key; did you mean 'n_mels'?" in message
    assert "features.hop_length: " in message
    assert "validation.fraction: " in message
    assert "(got 2.0)" in message


def test_an_offset_that_float32_rounds_to_zero_is_refused():
    """The smallest allowed offset has a finite logarithm in float32; smaller ones name the key and the limit."""
    with pytest.raises(ConfigError, match=r"features: log_offset must be at least 1e-30.*: 1e-46"):
        parse_config(PrepareConfig, {"features": {"log_offset": 1e-46}}, "own.yaml")
    smallest = parse_config(PrepareConfig, {"features": {"log_offset": 1e-30}}, "own.yaml").features.log_offset
    assert np.isfinite(np.log(np.float32(smallest)))


def test_a_class_is_listed_once():
    """A class that occurs twice would be two outputs of the network, one of them without clips."""
    with pytest.raises(ConfigError, match=r"corpus\.classes: each class must be listed once; 'a' is listed twice"):
        parse_config(PrepareConfig, {"corpus": {"classes": ["a", "a", "b"]}}, "own.yaml")
    config = parse_config(PrepareConfig, {"corpus": {"classes": ["b", "a"]}}, "own.yaml")
    assert config.corpus.classes == ("b", "a")


def test_an_unknown_key_like_no_other_lists_what_is_known():
    """Where no key is near, the known ones are listed."""
    with pytest.raises(ConfigError, match=r"validation.zzz: unknown key; known keys: .*fraction.*seed"):
        parse_config(PrepareConfig, {"validation": {"zzz": 1}}, "own.yaml")


def test_equal_settings_have_equal_hashes():
    """Spelled-out defaults hash like defaults, any change hashes otherwise, key order does not matter."""
    assert FeatureSpec().hash() == FeatureSpec(n_mels=128, hop_length=1024).hash()
    assert FeatureSpec().hash() != FeatureSpec(n_mels=64).hash()
    assert canonical_json({"b": 1, "a": [True, None]}) == '{"a":[true,null],"b":1}'
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert len(content_hash(1, 64)) == 64


def test_a_preset_stands_for_its_settings():
    """A name gives the preset, alone or under settings that win over it; an unknown one lists them all."""
    plain = parse_config(PrepareConfig, {"features": "cpmobile2023"}, "own.yaml").features
    assert (plain.sample_rate, plain.n_mels) == (32_000, 256)
    assert (plain.n_fft, plain.win_length, plain.hop_length) == (4096, 3072, 500)
    changed = parse_config(PrepareConfig, {"features": {"preset": "cpmobile2023", "n_mels": 64}}, "own.yaml").features
    assert changed == plain.updated(n_mels=64)
    assert FeatureSpec.model_validate("cao2021") == FeatureSpec()
    baseline = FeatureSpec.model_validate("dcase2021-baseline")
    assert baseline.window_samples == 0.04 * baseline.sample_rate
    assert baseline.hop_length == 0.5 * baseline.window_samples
    assert FeatureSpec.model_validate(plain.model_dump(mode="json")) == plain
    with pytest.raises(ConfigError, match=r"features: unknown feature 'mfcc'; known: cao2021, dcase2021-base"):
        parse_config(PrepareConfig, {"features": "mfcc"}, "own.yaml")


@pytest.mark.parametrize("name", [["cao2021"], {"name": "cao2021"}, 3, None])
def test_a_preset_that_is_no_text_is_an_unknown_one(name):
    """A list or a mapping as the preset's name: a ConfigError that lists the known names."""
    with pytest.raises(ConfigError, match=r"features: unknown feature .*; known: cao2021, dcase2021-base"):
        parse_config(PrepareConfig, {"features": {"preset": name}}, "own.yaml")


def test_differing_keys_go_into_depth():
    """Only what differs is told, with its path."""
    assert differing_keys({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == ["a.c: 2 there, 3 here"]


class Grown(Config):
    """A section to which a later version added a field."""

    ADDED = frozenset({"later"})

    first: int = 1
    later: int = 0


class Whole(Config):
    """A section with sections in it."""

    inner: Grown = Grown()
    several: tuple[Grown, ...] = (Grown(), Grown(later=2))


def test_a_field_added_later_keeps_the_hashes_of_before():
    """While it holds its default it is left out of what is hashed, in sections inside sections, too."""
    assert Grown().hash() == content_hash({"first": 1})
    assert Grown(later=2).hash() == content_hash({"first": 1, "later": 2})
    assert Whole().canonical() == {"inner": {"first": 1}, "several": [{"first": 1}, {"first": 1, "later": 2}]}


def test_the_defaults_have_the_hashes_of_the_first_release():
    """Shards and ledgers are keyed by these hashes (computed by version 0.1.0): a field added since is in `ADDED`."""
    assert (FeatureSpec().hash(), ReaderSpec().hash(), PrepareConfig().hash()) == (
        "90b7ad086998",
        "ccc549c19b90",
        "83870390bb6f",
    )
