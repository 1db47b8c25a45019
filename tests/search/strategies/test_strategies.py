from typing import get_args

import numpy as np
import pytest
from search_points import LIMIT, N_SMALL, SMALL, THREE, accuracy_of, key_of, proposer, sizer, spend, tell

from results.pareto import hypervolume
from search.objectives import Objectives, Value
from search.space.config import SpaceConfig
from search.space.space import Space
from search.strategies import STRATEGIES
from search.strategies.base import KnownPoint
from search.strategies.estimates import at_last_rung
from search.strategies.improvement import front_improvement
from search.strategies.proposer import Proposer
from search.strategies.surrogate import GaussianProcess
from search.study.config import SearchConfig

TIGHT = SpaceConfig(
    stem_filters=16, n_blocks=(4, 5, 6), base_filters=(40, 48, 56, 64), growth=(1.0, 1.25), n_strided=2,
    reduction_ratio=8, dropout=0.0,
)  # fmt: skip
"""A space of which most is over the limit."""

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def test_every_strategy_can_be_asked_for():
    """`search.strategy` takes the names of all strategies and no other."""
    assert set(get_args(SearchConfig.model_fields["strategy"].annotation)) == set(STRATEGIES)


@every_strategy
def test_nothing_over_the_limit_is_ever_proposed(strategy):
    """Every proposal fits the limit, although most points of the space do not."""
    trained = spend(proposer(TIGHT, strategy=strategy, n_startup=4), 16)
    assert len(trained) == 16
    assert all(sizer()(params).weight_bytes <= LIMIT for params, _ in trained)


@pytest.mark.system
@every_strategy
def test_no_network_comes_twice_and_the_space_comes_to_an_end(strategy):
    """A space of 24 networks gives 24 different proposals and then None, which it stays."""
    sampler = proposer(SMALL, strategy=strategy, n_startup=4)
    trained = spend(sampler, N_SMALL + 3)
    assert len({key_of(params) for params, _ in trained}) == len(trained) == N_SMALL
    assert sampler.propose() is None
    assert sampler.propose() is None


@pytest.mark.system
@every_strategy
def test_a_tight_limit_exhausts_exactly_what_fits(strategy):
    """Where part of a space fits, all of that part is proposed and nothing else."""
    fits = {key_of(params) for params in Space(SMALL).points() if sizer(2500)(params).feasible}
    assert 1 <= len(fits) < N_SMALL
    trained = spend(proposer(SMALL, limit=2500, strategy=strategy, n_startup=3), N_SMALL)
    assert {key_of(params) for params, _ in trained} == fits


@every_strategy
def test_the_same_seed_gives_the_same_proposals_and_another_seed_others(strategy):
    """Proposals depend on the seed and on what was told."""
    first, again, other = (spend(proposer(TIGHT, seed=seed, strategy=strategy, n_startup=4), 8) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@every_strategy
def test_a_search_rebuilt_from_its_ledger_goes_on_as_one_never_interrupted(strategy):
    """A proposer that is told the same trials in the same order proposes what the first one goes on to propose."""
    live = proposer(TIGHT, strategy=strategy, n_startup=4)
    before = spend(live, 9)
    after = spend(live, 4, first=10)
    rebuilt = proposer(TIGHT, strategy=strategy, n_startup=4)
    for number, (params, accuracy) in enumerate(before, start=1):
        rebuilt.enter(f"t{number:04d}", params)
        tell(rebuilt, f"t{number:04d}", number, accuracy, sizer()(params))
    assert spend(rebuilt, 4, first=10) == after


@every_strategy
def test_trials_in_training_and_failed_ones_are_no_obstacle(strategy):
    """Proposals go on, all different, while nothing has come to anything yet, and after every trial has failed."""
    sampler = proposer(SMALL, strategy=strategy, n_startup=2)
    proposed = []
    for number in range(8):
        proposal = sampler.propose()
        proposed.append(key_of(proposal.params))
        sampler.enter(f"t{number}", proposal.params)
        if number > 3:
            sampler.end(f"t{number}", "failed")
    assert len(set(proposed)) == 8


@pytest.mark.system
@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "random"])
def test_what_fails_is_learned_from(strategy):
    """Where the better half of the space fails, fewer of the later trials do than by chance."""
    space = SpaceConfig(stem_filters=(8, 16, 32), base_filters=(8, 16, 24, 32, 40, 48), kernel_size=(3, 5), dropout=0.0)

    def n_failed(name):
        sampler = proposer(space, strategy=name, n_startup=8, seed=1)
        failed = []
        for number in range(32):
            params = sampler.propose().params
            sampler.enter(f"t{number}", params)
            failed.append(params["base_filters"] > 24)  # what would be best, had it not failed
            if failed[-1]:
                sampler.end(f"t{number}", "failed")
            else:
                tell(sampler, f"t{number}", number, accuracy_of(params), sizer()(params))
        return sum(failed[8:])

    assert n_failed(strategy) < n_failed("random")


@every_strategy
def test_three_objectives_are_taken(strategy):
    """Beside bytes, MACs can be an objective."""
    trained = spend(proposer(TIGHT, strategy=strategy, n_startup=3, objectives=THREE), 8)
    assert len({key_of(params) for params, _ in trained}) == 8


@pytest.mark.system
def test_the_default_strategy_beats_chance_on_its_own_ground():
    """With the same number of trials the front covers more than that of random ones, over some seeds."""

    def covered(name):
        config = SpaceConfig(
            stem_filters=(8, 16, 32), base_filters=(8, 16, 32, 56), growth=(1.0, 1.25, 1.5), dropout=0.0
        )
        runs = [spend(proposer(config, seed=seed, strategy=name, n_startup=6), 20) for seed in range(3)]
        return np.mean([_hypervolume(run) for run in runs])

    assert covered(SearchConfig().strategy) > covered("random")


def _hypervolume(run):
    """Return the share under the front of (accuracy, bytes), from an accuracy of a half and up to the limit."""
    sizes = [sizer()(params).weight_bytes for params, _ in run]
    return hypervolume([accuracy for _, accuracy in run], sizes, LIMIT, floor=0.5)


def test_low_rungs_are_carried_up_to_the_last():
    """A trial that stopped low counts with what others gained from there; a gain that varies leaves doubt."""

    def known(*accuracies):
        values = {epochs: Value(accuracy, 0.0, 1) for epochs, accuracy in zip((6, 14), accuracies, strict=False)}
        return KnownPoint({}, sizer()(Space(SMALL).smallest()), values)

    told = [known(0.3, 0.5), known(0.4, 0.6), known(0.5, 0.7), known(0.35)]
    losses, variances = at_last_rung(told, Objectives())
    assert losses == pytest.approx([-0.5, -0.6, -0.7, -0.55])
    assert variances == pytest.approx([0, 0, 0, 0])
    _, variances = at_last_rung([known(0.3, 0.6), *told[1:]], Objectives())
    assert variances[:3] == pytest.approx([0, 0, 0])
    assert variances[3] > 0


def test_the_model_finds_a_line_and_knows_where_it_knows_nothing():
    """On values along a line the prediction is near it; doubt grows away from the values."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (40, 2))
    model = GaussianProcess(x, 2 * x[:, 0] + rng.normal(0, 0.01, 40), np.zeros(40))
    new = rng.uniform(0.1, 0.9, (20, 2))
    mean, deviation = model.predict(new)
    assert np.abs(mean - 2 * new[:, 0]).max() < 0.2
    _, far = model.predict(np.array([[4.0, -3.0]]))
    assert far[0] > deviation.max()


@pytest.mark.parametrize("n_costs", [1, 2])
def test_expected_growth_of_the_front_agrees_with_sampling(n_costs):
    """The closed form equals the mean growth over sampled losses, each counted on a fine grid of costs."""
    rng = np.random.default_rng(1)
    losses, costs = rng.uniform(-0.9, -0.2, 6), rng.uniform(0.1, 0.9, (6, n_costs))
    limits = np.full(n_costs, 1.0)
    mean, deviation = np.array([-0.6, -0.9]), np.array([0.1, 0.3])
    candidate_costs = rng.uniform(0.2, 0.6, (2, n_costs))
    closed = front_improvement(mean, deviation, candidate_costs, losses, costs, -0.1, limits)
    grid = (np.indices((200,) * n_costs).reshape(n_costs, -1).T + 0.5) / 200
    within = (costs[None] <= grid[:, None]).all(axis=2)
    best = np.minimum(-0.1, np.where(within, losses, np.inf).min(axis=1))
    for index in range(2):
        reached = (candidate_costs[index] <= grid).all(axis=1)
        drawn = rng.normal(mean[index], deviation[index], 2000)
        levels, counts = np.unique(best[reached], return_counts=True)
        gains = (np.maximum(0, levels - drawn[:, None]) * counts).sum(axis=1) / len(grid)
        assert closed[index] == pytest.approx(gains.mean(), rel=0.08)


def test_repair_keeps_close_to_the_limit():
    """What `repair` proposes for a space far over the limit lies close under it."""
    config = SpaceConfig(base_filters=(56, 64, 72), n_blocks=(5, 6), expansion=(3, 4))
    trained = spend(proposer(config, strategy="repair", n_startup=8), 8)
    assert np.median([sizer()(params).weight_bytes for params, _ in trained]) > 0.8 * LIMIT


def test_the_proposer_defaults_to_the_strategy_of_the_settings():
    """The default of the class is that of the configuration."""
    assert Proposer.__init__.__kwdefaults__["strategy"] == SearchConfig().strategy
