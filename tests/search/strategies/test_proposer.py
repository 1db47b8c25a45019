import pytest
from search_points import LIMIT, SMALL, accuracy_of, key_of, proposer, sizer, spend

from data_prep.errors import BudgetError, ConfigError
from search.objectives import Value
from search.space.config import SpaceConfig
from search.space.sizing import Sizing, require_feasible
from search.space.space import Space
from search.strategies import STRATEGIES
from search.strategies.proposer import Proposer


def test_a_queued_point_comes_first_unless_it_is_over_the_limit_or_known():
    """Queued points are proposed in their order; one over the limit is told of, one that was trained is passed over."""
    space = Space(SpaceConfig())
    largest = {**space.smallest(), **{knob: choices[-1] for knob, choices in space.choices.items()}}
    first, second = space.smallest(), {**space.smallest(), "kernel_size": 5}
    sampler = proposer(SpaceConfig())
    over = []
    sampler.on_infeasible = lambda params, sizing: over.append(params)
    sampler.enter("t0001", first)
    for params in (largest, first, second):
        sampler.queue(params)
    assert sampler.propose().params == second
    assert over == [largest]
    sampler.enter("t0002", second)
    assert sampler.propose().params not in (first, second, largest)


def test_what_was_seen_in_another_run_is_not_proposed():
    """A key marked as seen never comes, whatever point it stands for."""
    sampler = proposer(SMALL)
    keys = {key_of(params) for params in Space(SMALL).points()}
    left = keys.pop()
    for key in keys:
        sampler.mark_seen(key)
    assert key_of(sampler.propose().params) == left


def test_trials_of_an_earlier_run_teach_without_being_taken_for_trained():
    """After observing the whole space elsewhere, what was best there is proposed within the first few trials."""
    points = list(Space(SMALL).points())
    best = max(points, key=accuracy_of)
    taught, untaught = proposer(SMALL, n_startup=4), proposer(SMALL, n_startup=4)
    for params in points:
        taught.observe_elsewhere(params, {6: Value(accuracy_of(params), 1.0, sizer()(params).weight_bytes)})
    n_trials = [
        [accuracy_of(p) for p, _ in spend(sampler, 24)].index(accuracy_of(best)) for sampler in (taught, untaught)
    ]
    assert n_trials[0] < 3
    assert n_trials[0] < n_trials[1]


def test_a_point_over_the_limit_is_told_of_once_and_not_again_after_it_was_marked():
    """Points over the limit are told of once; those marked from an earlier session are not told of at all."""
    config = SpaceConfig(stem_filters=16, base_filters=(40, 48, 56, 64), n_blocks=(4, 5, 6), growth=1.0, dropout=0.0)
    told = []

    def spent(marked):
        sampler = proposer(config)
        sampler.on_infeasible = lambda params, sizing: told.append(params)
        for params in marked:
            sampler.mark_infeasible(params)
        spend(sampler, 12)

    spent([])
    earlier = list(told)
    assert earlier
    assert len({key_of(params) for params in earlier}) == len(earlier)
    assert not any(sizer()(params).feasible for params in earlier)
    told.clear()
    spent(earlier)
    assert told == []


def test_a_limit_that_nothing_fits_is_refused_before_anything_starts():
    """If the smallest candidate is over the limit, the error gives its bytes, the limit and the way out."""
    with pytest.raises(BudgetError, match=r"needs 984 bytes.*budget is 500.*Add smaller choices"):
        require_feasible(Space(SMALL), sizer(500))
    require_feasible(Space(SMALL), sizer(2500))


def test_what_has_the_fewest_weights_need_not_be_the_cheapest():
    """Where the smallest corner is over a limit of another kind, what fits elsewhere in the space is found."""
    space = Space(SMALL)
    dear = space.smallest()

    def assess(params):
        return Sizing(params != dear, sizer()(params).weight_bytes, None, "macs 40,000,000 over 30,000,000")

    require_feasible(space, assess)
    with pytest.raises(BudgetError, match="nothing in the search space fits"):
        require_feasible(space, lambda params: Sizing(False, 7, None, "macs"))


def test_points_that_are_no_network_are_passed_over():
    """Three knobs that don't go together are over the limit like any other, at every strategy."""
    knobs = {
        "attention": ["none", "casam"],
        "n_blocks": [3, 6],
        "base_filters": [16, 304],
        "growth": {"choices": [1.0, 1.5], "when": {"attention": ["none"]}},
    }
    space = SpaceConfig.model_validate({**knobs, "stem_filters": 16, "n_strided": 2, "dropout": 0.0, "expansion": 1})

    def assess(params):
        try:
            return sizer()(params)
        except ConfigError as error:
            return Sizing(False, 0, LIMIT, str(error))

    told = []
    for strategy in STRATEGIES:
        sampler = Proposer(Space(space), assess, key_of, seed=0, n_startup=4, strategy=strategy)
        sampler.on_infeasible = lambda params, sizing: told.append(sizing.reason)
        while (proposal := sampler.propose()) is not None:
            sampler.enter(key_of(proposal.params), proposal.params)
    assert any("filters" in reason for reason in told)


def test_a_proposal_says_what_it_weighs():
    """The sizing of a proposal is that of its point."""
    sampler = proposer(SpaceConfig())
    proposal = sampler.propose()
    assert isinstance(proposal.sizing, Sizing)
    assert proposal.sizing == sizer()(proposal.params)
    assert proposal.sizing.weight_bytes <= LIMIT


def test_a_strategy_must_be_one_there_is():
    """A name that no strategy has is refused."""
    with pytest.raises(KeyError):
        Proposer(Space(SMALL), sizer(), key_of, seed=0, strategy="guess")
