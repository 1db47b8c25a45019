"""Who submits is checked before a package is built."""

import pytest

from data_prep.errors import ConfigError
from data_prep.schema import parse_config
from results.config import EnsembleConfig, SubmissionConfig
from results.limits import SizeLimit, read_size_limit


def test_defaults_are_placeholders_and_say_so() -> None:
    """Out of the box nobody is named; with a name of one's own the warning ends."""
    assert SubmissionConfig().has_placeholders
    own = {"lastname": "Cao", "institute": "SCUT", "authors": [{"lastname": "Cao", "firstname": "W"}]}
    assert not parse_config(SubmissionConfig, own, "test").has_placeholders


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"abbreviation": "longer-than-ten"}, "abbreviation"),
        ({"lastname": "Van_Dam"}, "lastname"),
        ({"institute": "A.B."}, "institute"),
        ({"max_systems": 5}, "max_systems"),
        ({"authors": [{"corresponding": False}]}, "exactly one author"),
        ({"authors": [{"email": "nobody"}]}, "email"),
        ({"autors": []}, "authors"),
    ],
)
def test_rules_of_the_validator_hold_already_here(data: dict[str, object], key: str) -> None:
    """What the organisers' validator would refuse, the configuration refuses with its key."""
    with pytest.raises(ConfigError, match=key):
        parse_config(SubmissionConfig, data, "test")


def test_the_limit_is_read_from_either_form() -> None:
    """A resolved limit is taken as it stands; a rule set by name gives its own; nothing gives 2021's 128,000 bytes."""
    assert read_size_limit({}) == SizeLimit("nonzero_weight_bytes", 128_000, "dcase2021")
    assert read_size_limit({"rules": {"name": "dcase2024"}}) == SizeLimit("weight_bytes", 128_000, "dcase2024")
    assert read_size_limit({"rules": {"name": "dcase2022"}}) == SizeLimit("n_params", 128_000, "dcase2022")
    stated = {"name": "dcase2021", "quantity": "weight_bytes", "limit": 64_000}
    assert read_size_limit({"rules": stated}) == SizeLimit("weight_bytes", 64_000, "dcase2021")
    assert read_size_limit({"rules": {"name": "custom", "limits": {"macs": 5}}}) == SizeLimit("macs", 5, "custom")
    with pytest.raises(ConfigError, match="grams"):
        read_size_limit({"rules": {"name": "x", "quantity": "grams", "limit": 1}})
    with pytest.raises(ConfigError, match="peak_activation_bytes"):
        read_size_limit({"rules": {"name": "custom", "limits": {"peak_activation_bytes": 5}}})
    assert EnsembleConfig().max_members == 4
