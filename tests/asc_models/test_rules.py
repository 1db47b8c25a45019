"""Verdicts: what is over, by how much, and where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asc_models.config import EXPORT_MODES, INT8_MODES
from asc_models.networks.estimate import estimate, kernel_bytes
from asc_models.networks.presets import preset
from asc_models.rules import LIMITS, RulesConfig, check

SHAPE = (128, 423, 3)
SYSTEM4 = estimate(preset("cao2021-system4"), SHAPE, 10)
QUANTITIES = {
    "weight_bytes": "block4_project 10,560",
    "nonzero_weight_bytes": "block4_project 10,560",
    "n_params": "block4_project 10,560",
    "macs": "block1_expand 27,787,264",
    "peak_activation_bytes": "block1_expand 5,859,840",
}


@pytest.mark.parametrize(("quantity", "largest"), QUANTITIES.items())
def test_a_verdict_names_what_is_over_and_its_largest_layer(quantity, largest):
    """Every quantity can be limited: the verdict gives value, limit, what is too much, and the largest layer's part."""
    value = SYSTEM4.quantities("int8_weights")[quantity]
    verdict = SYSTEM4.verdict(RulesConfig(name="custom", limits={quantity: 1000}), "int8_weights")
    assert not verdict.feasible
    assert verdict.reason == f"{quantity} {value:,} over 1,000 by {value - 1000:,} (largest: {largest})"


def test_the_limit_itself_is_within():
    """A value equal to its limit is feasible, and gives no reason."""
    limits = SYSTEM4.quantities("float16")
    verdict = SYSTEM4.verdict(RulesConfig(name="custom", limits=limits), "float16")
    assert verdict.feasible
    assert verdict.reason == ""


def test_a_lower_bound_over_the_limit_is_told_as_one():
    """Before training only a bound of the file is known: it says so, and within the limit it passes."""
    rules = RulesConfig(name="custom", limits={"file_bytes": 50_000})
    over = check(rules, {"file_bytes": 50_001}, bounds=("file_bytes",))
    assert over.reason == "file_bytes at least 50,001 over 50,000 by 1"
    assert check(rules, {"file_bytes": 50_000}, bounds=("file_bytes",)).feasible


def test_file_bytes_are_bounded_before_there_is_a_file():
    """A limit on the file's size is checked by a lower bound before the export, and by what was measured after it."""
    rules = RulesConfig(name="custom", limits={"file_bytes": 50_000})
    (bound,) = SYSTEM4.verdict(rules, "int8_weights").checks
    assert bound.is_bound
    assert bound.value == SYSTEM4.quantities("int8_weights")["file_bytes"] > SYSTEM4.weight_bytes["int8_weights"]
    assert bound.reason.startswith(f"file_bytes at least {bound.value:,} over 50,000 by ")
    assert check(rules, {"file_bytes": 50_001}).reason == "file_bytes 50,001 over 50,000 by 1"


@given(mode=st.sampled_from(sorted(INT8_MODES)), n_values=st.integers(1, 10_000), is_depthwise=st.booleans())
def test_int8_modes_store_every_kernel_in_eight_bits(mode, n_values, is_depthwise):
    """What passes for int8 has a byte a value at most, whatever the kernel's size."""
    assert kernel_bytes(n_values, mode, is_depthwise=is_depthwise) <= n_values


@pytest.mark.parametrize("mode", [mode for mode in EXPORT_MODES if mode not in INT8_MODES])
@pytest.mark.parametrize("is_depthwise", [True, False])
def test_other_modes_store_some_kernel_in_more_than_eight_bits(mode, is_depthwise):
    """What doesn't pass for int8 stores a kernel of one value in more than a byte."""
    assert kernel_bytes(1, mode, is_depthwise=is_depthwise) > 1


def test_the_rule_of_2022_takes_int8_parameters_alone():
    """120,000 parameters in float32 are over it, in int8 within; the verdict names what it takes."""
    rules = RulesConfig(name="dcase2022")
    sizes = {"n_params": 120_000, "macs": 1}
    assert check(rules, sizes, modes=["int8_weights", "int8", "int4_int8_weights"]).feasible
    verdict = check(rules, sizes, modes=["float32", "int8"])
    assert not verdict.feasible
    assert verdict.over == ()
    assert verdict.reason == (
        "export as float32 leaves kernels wider than int8; dcase2022 allows int8_weights, int4_int8_weights, int8"
    )
    small = estimate(preset("cp-mobile"), (256, 64, 1), 10)
    assert [mode for mode in EXPORT_MODES if small.verdict(rules, mode).feasible] == list(INT8_MODES)
    assert all(small.verdict(RulesConfig(name="dcase2021"), mode).feasible for mode in EXPORT_MODES)


def test_every_years_rules():
    """2021 limits non-zero bytes; 2022 parameters and MACs; 2023 to 2025 bytes and MACs (the challenges' pages)."""
    assert LIMITS["dcase2021"] == {"nonzero_weight_bytes": 128_000}
    assert LIMITS["dcase2022"] == {"n_params": 128_000, "macs": 30_000_000}
    for year in ("dcase2023", "dcase2024", "dcase2025"):
        assert LIMITS[year] == {"weight_bytes": 128_000, "macs": 30_000_000}
