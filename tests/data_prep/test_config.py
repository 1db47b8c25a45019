"""The data stage's settings: defaults, rules, hashes, and messages for typing errors."""

import pytest
from pydantic import ValidationError

from data_prep.config import FeatureSpec, PrepareConfig, ReaderSpec
from data_prep.errors import ConfigError
from data_prep.schema import canonical_json, content_hash, parse_config


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


def test_an_unknown_key_like_no_other_lists_what_is_known():
    """Where no key is near, the known ones are listed."""
    with pytest.raises(ConfigError, match=r"validation.zzz: unknown key; known here: .*fraction.*seed"):
        parse_config(PrepareConfig, {"validation": {"zzz": 1}}, "own.yaml")


def test_equal_settings_have_equal_hashes():
    """Spelled-out defaults hash like defaults, any change hashes otherwise, key order does not matter."""
    assert FeatureSpec().hash() == FeatureSpec(n_mels=128, hop_length=1024).hash()
    assert FeatureSpec().hash() != FeatureSpec(n_mels=64).hash()
    assert canonical_json({"b": 1, "a": [True, None]}) == '{"a":[true,null],"b":1}'
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert len(content_hash(1, 64)) == 64
