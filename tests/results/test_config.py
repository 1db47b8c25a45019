"""Who submits is checked before a package is built."""

from typing import Any

import pytest

from asc_models.rules import RulesConfig
from data_prep.errors import ConfigError
from data_prep.schema import parse_config
from results.candidates.candidates import CandidateMetrics
from results.candidates.limits import Limits, SizeLimit, read_limits
from results.config import SubmissionConfig


def test_defaults_are_placeholders_and_say_so() -> None:
    """Out of the box nobody is named; the points end one by one with names, mail and affiliation of one's own."""
    whole = "lastname, firstname, email, affiliation.abbreviation, affiliation.institute, affiliation.location"
    assert SubmissionConfig().open_points == (
        "submission.institute is a placeholder",
        f"of author 1 {whole} are placeholders",
    )
    author = {"lastname": "Cao", "firstname": "W", "email": "w@scut.example"}
    own: dict[str, Any] = {"lastname": "Cao", "institute": "SCUT", "authors": [author]}
    (left,) = parse_config(SubmissionConfig, own, "test").open_points
    assert left.startswith("of author 1 affiliation.abbreviation, affiliation.institute")
    author |= {"affiliation": {"abbreviation": "SCUT", "institute": "South China", "location": "Guangzhou"}}
    assert parse_config(SubmissionConfig, own, "test").open_points == ()


@pytest.mark.parametrize(
    ("label", "name", "agree"),
    [
        ("Muster", "Doe", False),
        ("Meier", "Muster", False),
        ("Berg", "van den Berg", True),
        ("VanDam", "Van Dam", True),
        ("Mueller", "Müller", True),
        ("o-neill", "O'Neill", True),
    ],
)
def test_label_and_corresponding_author_agree(label: str, name: str, agree: bool) -> None:
    """A label may shorten or transliterate the name; another one's name is an open point that says both."""
    authors = [{"lastname": "Other", "firstname": "A", "corresponding": False}, {"lastname": name, "firstname": "B"}]
    points = parse_config(SubmissionConfig, {"lastname": label, "authors": authors}, "test").open_points
    said = f"submission.lastname is {label}, but the corresponding author's lastname {name}"
    assert (said not in points) == agree


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"abbreviation": "longer-than-ten"}, "abbreviation"),
        ({"lastname": "Van_Dam"}, "lastname"),
        ({"institute": "A.B."}, "institute"),
        ({"lastname": "-rf"}, "lastname"),
        ({"lastname": "x" * 10_000}, "lastname"),
        ({"institute": "../x"}, "institute"),
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


@pytest.mark.parametrize(
    ("section", "shown"),
    [
        ({}, SizeLimit("nonzero_weight_bytes", 128_000, "dcase2021")),
        ({"name": "dcase2022"}, SizeLimit("n_params", 128_000, "dcase2022")),
        ({"name": "dcase2024"}, SizeLimit("weight_bytes", 128_000, "dcase2024")),
        ({"name": "custom", "limits": {"macs": 5}}, SizeLimit("macs", 5, "custom")),
        ({"name": "custom", "limits": {"file_bytes": 9, "macs": 5}}, SizeLimit("file_bytes", 9, "custom")),
        (
            {"name": "custom", "limits": {"peak_activation_bytes": 5}},
            SizeLimit("peak_activation_bytes", 5, "custom"),
        ),
    ],
)
def test_every_rule_set_has_a_limit_to_show(section: dict[str, object], shown: SizeLimit) -> None:
    """Bytes where they are limited, else parameters, operations, activations; no section stands for 2021's rules."""
    limits = read_limits({"rules": section} if section else {})
    assert limits.main == shown
    assert limits.described["limits"][shown.quantity] == shown.limit


def test_rules_that_are_none_are_refused() -> None:
    """A quantity that there isn't is named."""
    with pytest.raises(ConfigError, match="grams"):
        read_limits({"rules": {"name": "custom", "limits": {"grams": 1}}})


def test_members_are_held_against_every_limit_together() -> None:
    """Bytes and operations add up, of activations the largest counts, and every member's export has to be taken."""
    limits = Limits(RulesConfig(name="dcase2022", limits={"peak_activation_bytes": 900, "file_bytes": 100}))
    one, other = metrics(n_params=60_000, macs=16_000_000), metrics(n_params=50_000, macs=13_000_000)
    assert limits.totals([one, other]) == {
        **{"n_params": 110_000, "macs": 29_000_000, "peak_activation_bytes": 900, "file_bytes": 80},
    }
    assert limits.verdict([one, other]).feasible
    assert limits.verdict([one, other, other]).over == ("n_params", "macs", "file_bytes")
    wide = metrics(n_params=60_000, macs=1, mode="float16")
    assert limits.verdict([other, wide]).reason == (
        "export as float16 leaves kernels wider than int8; dcase2022 allows int8_weights, int4_int8_weights, int8"
    )


def test_what_old_metrics_do_not_state_is_passed_over() -> None:
    """A candidate of a version that stated no activations is held against the other limits, and shown without one."""
    limits = Limits(RulesConfig(name="custom", limits={"peak_activation_bytes": 5}))
    old = metrics(peak_activation_bytes=None)
    assert limits.totals([old]) == {}
    assert limits.verdict([old]).feasible
    assert limits.size([old]) == 0


def metrics(**changes: Any) -> CandidateMetrics:
    sizes = {"weight_bytes": 30, "nonzero_weight_bytes": 29, "file_bytes": 40, "quantization_bytes": 4}
    costs = {"n_params": 30, "macs": 300, "peak_activation_bytes": 900}
    training = {"agreement": None, "mode": "int8", "best_epoch": 1, "epochs": 1, "seed": 0, "trial_id": None}
    return CandidateMetrics(splits={}, **{**sizes, **costs, **training, **changes})
