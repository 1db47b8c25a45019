from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from asc_models_support import feature_set
from hypothesis import given
from hypothesis import strategies as st

from asc_models.config import Schedule, TrainConfig
from asc_models.networks.estimate import estimate
from asc_models.networks.families import ModelConfig
from asc_models.networks.presets import preset
from asc_models.rules import RulesConfig, check
from asc_models.training.batches import TrainingBatches
from asc_models.training.schedule import cycle_ends, learning_rate, mid_cycle_warning, n_averaged, sparsity
from data_prep.errors import ConfigError
from data_prep.schema import parse_config


def test_restarts_are_the_recipes():
    """Cycles of 2, 4, 8, 16 … end at 2, 6, 14, 30, 62, 126, 254, 510 (Hu et al. 2020)."""
    assert cycle_ends(2, 2, 600) == [2, 6, 14, 30, 62, 126, 254, 510]
    assert cycle_ends(3, 1, 10) == [3, 6, 9]


@given(st.floats(0, 600))
def test_the_rate_stays_between_its_ends(epoch):
    """At any time the rate is between min_learning_rate and learning_rate."""
    config = TrainConfig()
    assert config.min_learning_rate <= learning_rate(config, epoch) <= config.learning_rate


def test_the_rate_restarts_at_a_cycles_end():
    """Just before epoch 6 the rate is at its lowest, at epoch 6 at its highest."""
    config = TrainConfig()
    assert learning_rate(config, 6 - 1e-9) == pytest.approx(1e-5)
    assert learning_rate(config, 6) == pytest.approx(0.1)
    assert learning_rate(config, 4) == pytest.approx((0.1 + 1e-5) / 2)


@pytest.mark.parametrize("warm_up", [0, 7])
@pytest.mark.parametrize("schedule", get_args(Schedule))
@given(share=st.floats(0, 1.2))
def test_every_schedule_stays_between_its_ends(schedule, warm_up, share):
    """At any time of any schedule the rate is between min_learning_rate and learning_rate."""
    config = TrainConfig(schedule=schedule, epochs=50, warm_up_epochs=warm_up)
    assert 1e-5 <= learning_rate(config, share * 50) <= 0.1 + 1e-12


def test_a_length_between_restarts_is_told():
    """600 epochs end mid-cycle, with the clean stops beside; 510 end at a restart; one cosine has no restarts."""
    told = mid_cycle_warning(TrainConfig(), 600)
    assert told == (
        "600 epochs end in the middle of a warm-restart cycle, at a rate of 0.093; the rate is lowest at 510 and 1022"
    )
    assert mid_cycle_warning(TrainConfig(), 510) == ""
    assert mid_cycle_warning(TrainConfig(), 1).endswith("the rate is lowest at 2")
    assert mid_cycle_warning(TrainConfig(first_cycle=3, cycle_factor=1), 10).endswith("the rate is lowest at 9 and 12")
    assert mid_cycle_warning(TrainConfig(schedule="cosine"), 600) == ""


def test_named_schedules_have_their_shape():
    """`cosine` falls once over all epochs; `one-cycle` rises from a 25th over three tenths, then falls."""
    cosine, one_cycle = (TrainConfig(schedule=name, epochs=50) for name in ("cosine", "one-cycle"))
    assert [learning_rate(cosine, epoch) for epoch in (0, 25, 50)] == pytest.approx([0.1, 0.050005, 1e-5])
    expected = [0.004, 0.052, 0.1, 0.050005, 1e-5]
    assert [learning_rate(one_cycle, epoch) for epoch in (0, 7.5, 15, 32.5, 50)] == pytest.approx(expected)


def test_steps_fall_at_the_milestones():
    """`step`: the rate times the factor at each share of the training, from there on, and never under the lowest."""
    config = TrainConfig(
        schedule="step", epochs=40, milestones=(0.25, 0.5, 0.75), step_factor=0.1, min_learning_rate=3e-4
    )
    rates = [learning_rate(config, epoch) for epoch in (0, 10 - 1e-9, 10, 20 - 1e-9, 20, 30, 40)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 3e-4, 3e-4])


def test_a_plateau_comes_before_the_cosine():
    """`plateau-cosine`: constant for its share, half way down in the middle of the rest, lowest at the end."""
    config = TrainConfig(schedule="plateau-cosine", epochs=40, plateau_share=0.25)
    rates = [learning_rate(config, epoch) for epoch in (0, 9.9, 10, 25, 40)]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.050005, 1e-5])


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_warm_up_is_a_factor_on_the_schedule(schedule):
    """In the warm-up the rate is its share of the way from the lowest to the schedule's, and then the schedule's."""
    plain = TrainConfig(schedule=schedule, epochs=40)
    warm = plain.updated(warm_up_epochs=8)
    low = plain.min_learning_rate
    for epoch in (0, 2, 5.5, 7.9):
        expected = low + epoch / 8 * (learning_rate(plain, epoch) - low)
        assert learning_rate(warm, epoch) == pytest.approx(expected)
    assert [learning_rate(warm, epoch) for epoch in (8, 20, 40)] == [
        learning_rate(plain, epoch) for epoch in (8, 20, 40)
    ]


def test_the_tail_that_is_averaged_is_counted_in_epochs():
    """swa_share of the epochs, rounded, at least the last one; none where it is off."""
    tails = {share: n_averaged(TrainConfig(epochs=40, swa_share=share)) for share in (0.0, 0.001, 0.15, 1.0)}
    assert tails == {0.0: 0, 0.001: 1, 0.15: 6, 1.0: 40}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"milestones": [0.5, 0.5]}, "milestones must be increasing shares between 0 and 1, got [0.5, 0.5]"),
        ({"milestones": [0.5, 1.0]}, "milestones must be increasing shares between 0 and 1, got [0.5, 1.0]"),
        ({"swa_share": 0.2, "ema_decay": 0.99}, "swa_share 0.2 and ema_decay 0.99 both average the weights"),
        ({"optimizer": "adam"}, "optimizer"),
    ],
)
def test_a_budget_that_contradicts_itself_is_refused(settings, problem):
    """Milestones that do not rise inside the training, two averages at once, an unknown optimizer: named."""
    with pytest.raises(ConfigError) as error:
        parse_config(TrainConfig, settings, "train.yaml")
    assert problem in str(error.value)


@pytest.mark.parametrize(("examples", "n_steps"), [(5, 1), (64, 8), (65, 9), (1000, 125)])
def test_an_epoch_may_be_counted_in_examples(examples, n_steps):
    """ceil(epoch_examples / batch_size) steps, whatever the number of clips, each of which is drawn as often."""
    config = TrainConfig(batch_size=8, mixup_alpha=0.0, epoch_examples=examples)
    batches = TrainingBatches(feature_set(20), config, 0)
    assert batches.steps_per_epoch == len(list(batches.epoch(0))) == n_steps
    order = batches._order(np.random.default_rng(0), n_steps * 8)
    assert np.bincount(order, minlength=20).max() <= np.bincount(order, minlength=20).min() + 1


@pytest.mark.parametrize("balance", ["class", "device"])
def test_balance_draws_every_group_equally_often(balance):
    """However uneven the data, an epoch holds each class (device) equally often, give or take one; no clip is lost."""
    data = feature_set(24, n_devices=2)
    labels = np.array([0] * 18 + [1] * 4 + [2] * 2)
    devices = ["a"] * 20 + ["b"] * 4
    uneven = replace(data, labels=labels, clips=data.clips.assign(device=devices))
    config = TrainConfig(batch_size=8, mixup_alpha=0.0, crop_fraction=1.0, balance=balance)
    batches = TrainingBatches(uneven, config, 0)
    order = batches._order(np.random.default_rng(0), 240)
    drawn = labels[order] if balance == "class" else np.array(devices)[order]
    _, counts = np.unique(drawn, return_counts=True)
    assert counts.max() - counts.min() <= 1
    assert set(order) == set(range(24))


def test_an_epoch_has_one_step_a_batch_and_draws_two():
    """ceil(n / batch) steps; with mixup each step's labels mix two batches, without they are one-hot."""
    data = feature_set(21)
    mixed = list(TrainingBatches(data, TrainConfig(batch_size=8), 0).epoch(0))
    plain = list(TrainingBatches(data, TrainConfig(batch_size=8, mixup_alpha=0), 0).epoch(0))
    assert len(mixed) == len(plain) == 3
    assert all(x.shape == (8, 16, 19, 1) and y.shape == (8, 3) for x, y in mixed)
    assert all(np.allclose(y.sum(axis=1), 1) for _, y in mixed)
    assert all(set(np.unique(y)) == {0, 1} for _, y in plain)
    assert any((y.max(axis=1) < 0.99).any() for _, y in mixed)


def test_batches_depend_on_seed_and_epoch_alone():
    """The same (seed, epoch) gives the same batches, in any order of asking; another gives others."""
    data = feature_set()
    config = TrainConfig(batch_size=8, time_roll=True, frequency_mask=4)
    batches = TrainingBatches(data, config, 7)
    later = [x for x, _ in batches.epoch(3)]
    list(batches.epoch(0))
    assert all(np.array_equal(a, b) for a, (b, _) in zip(later, batches.epoch(3), strict=True))
    assert not np.array_equal(later[0], next(iter(batches.epoch(4)))[0])


def test_evaluation_takes_whole_clips_in_order():
    """Evaluation sees each clip once, at full length, in the split's order."""
    data = feature_set(21)
    seen = np.concatenate(list(data.batches(8)))
    np.testing.assert_array_equal(seen, data.inputs(slice(None)))


def test_the_rule_of_2021_limits_nonzero_bytes():
    """128,000 bytes are within, one more is over, and the verdict says by how much."""
    rules = RulesConfig()
    assert check(rules, {"nonzero_weight_bytes": 128_000}).feasible
    verdict = check(rules, {"nonzero_weight_bytes": 128_001})
    assert not verdict.feasible
    assert verdict.reason == "nonzero_weight_bytes 128,001 over 128,000 by 1"


def test_limits_add_to_a_rule_set():
    """`limits` replaces a rule's limit or adds another; custom rules without any are refused."""
    rules = RulesConfig(name="dcase2023", limits={"macs": 5, "file_bytes": 7})
    assert rules.in_force() == {"weight_bytes": 128_000, "macs": 5, "file_bytes": 7}
    with pytest.raises(ConfigError, match="custom rules need at least one entry"):
        parse_config(RulesConfig, {"name": "custom"}, "test")


def test_presets_are_near_their_published_sizes():
    """System 4 is within 2 % of the paper's 50,238 parameters, the baseline exactly the organisers' 46,246."""
    system4 = estimate(preset("cao2021-system4"), (128, 423, 3), 10)
    assert abs(system4.n_params / 50_238 - 1) < 0.02
    assert system4.weight_bytes["float16"] < 128_000
    baseline = estimate(preset("dcase2021-baseline"), (40, 500, 1), 10)
    assert baseline.n_params == 46_246


def test_system_4_is_the_largest_and_has_four_blocks():
    """The report: 5 × 5 kernels in systems 1 and 2, 3 × 3 in 3 and 4, four blocks in system 4."""
    systems = [preset(f"cao2021-system{i}") for i in (1, 2, 3, 4)]
    assert [system.kernel_size for system in systems] == [5, 5, 3, 3]
    assert [len(system.stages) for system in systems] == [3, 3, 3, 4]
    sizes = [estimate(system, (128, 423, 3), 10).n_params for system in systems]
    assert max(sizes) == sizes[3]


def test_all_problems_of_a_network_are_told_at_once():
    """Unknown keys with the nearest name, values out of range: one message with every key path."""
    with pytest.raises(ConfigError) as error:
        parse_config(ModelConfig, {"kernel": 3, "expansion": 0, "blocks": [{"filters": 8, "stride": 9}]}, "net.yaml")
    message = str(error.value)
    assert "net.yaml: 3 problems" in message
    assert "kernel: unknown key; did you mean 'kernel_size'?" in message
    assert "stages.0: a stride must be 1 to 4" in message
    assert "expansion" in message


def test_the_default_recipe_has_the_hash_of_the_first_release():
    """Trials and checkpoints are keyed by these hashes, computed by version 0.1.0: see `Config.ADDED`."""
    assert (TrainConfig().hash(), ModelConfig().hash()) == ("2964100c3e17", "ea8e2493c588")


@pytest.mark.parametrize("span", [(1.0, 1.0), (0.95, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_pruning_has_an_end_wherever_its_span_begins(span):
    """Zeros never grow fewer, and before the last epoch all of them are there."""
    config = TrainConfig(epochs=10, sparsity=0.5, sparsity_span=span)
    shares = [sparsity(config, epoch) for epoch in range(10)]
    assert shares == sorted(shares)
    assert shares[-1] == 0.5
