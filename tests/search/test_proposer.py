import numpy as np
import optuna
import pytest

from asc_models.estimate import estimate
from data_prep.errors import BudgetError
from search.proposer import Proposer, Sizing, require_feasible
from search.space import Space, params_to_model
from search.sweep_config import SpaceConfig

LIMIT = 128_000
SMALL = SpaceConfig(
    stem_filters=16, n_blocks=(1, 2), base_filters=(8, 16), growth=1.0, n_strided=1, kernel_size=3, expansion=(1, 2),
    reduction_ratio=(4, 8), attention=("none", "channel"), dropout=0.0,
)  # fmt: skip
"""32 points; the ratio is without effect in half of them: 24 networks."""


def sizer(limit=LIMIT):
    def assess(params):
        cost = estimate(params_to_model(params), (128, 423, 3), 10)
        n_bytes = cost.weight_bytes["int8_weights"]
        return Sizing(n_bytes <= limit, n_bytes, limit, f"weight_bytes {n_bytes:,} over {limit:,}")

    return assess


def key_of(params):
    return params_to_model(params).hash()


def proposer(space, limit=LIMIT, seed=0, n_startup=8):
    return Proposer(Space(space), sizer(limit), key_of, seed=seed, n_startup=n_startup)


def accuracy_of(params):
    """A made-up truth: width and attention help, with a wave in it so that the largest isn't simply the best."""
    model = params_to_model(params)
    size = sum(block.filters for block in model.stages) * model.expansion
    attention = {"none": 0.0, "channel": 0.02, "spatial": 0.01, "casam": 0.03}[model.attention]
    return 0.5 + 0.06 * np.log(size) / np.log(2000) + attention + 0.02 * np.sin(size / 97) - params["dropout"] * 0.02


def spend(sampler, n_trials):
    """Train `n_trials` proposals on the made-up truth and return (params, accuracy) of each."""
    trained = []
    for _ in range(n_trials):
        proposal = sampler.propose()
        value = accuracy_of(proposal.params)
        sampler.report(proposal.number, 6, value, 1.0)
        sampler.end(proposal.number, "finished")
        trained.append((proposal.params, value))
    return trained


def test_nothing_over_the_limit_is_ever_proposed():
    """Every proposal fits the limit, although most points of the space do not; those over it are told once each."""
    sampler = proposer(SpaceConfig(base_filters=(40, 48, 56, 64), n_blocks=(4, 5, 6)))
    rejected = []
    sampler.on_infeasible = lambda params, sizing: rejected.append((key_of(params), sizing.weight_bytes))
    trained = spend(sampler, 40)
    assert all(sizer()(params).feasible for params, _ in trained)
    assert rejected
    assert all(n_bytes > LIMIT for _, n_bytes in rejected)
    assert len(set(rejected)) == len(rejected)


def test_no_network_is_proposed_twice_and_the_space_comes_to_an_end():
    """A space of 24 networks gives 24 different proposals and then None, which it stays."""
    sampler = proposer(SMALL)
    seen = [key_of(params) for params, _ in spend(sampler, 24)]
    assert len(set(seen)) == 24
    assert sampler.propose() is None
    assert sampler.propose() is None


def test_a_tight_limit_exhausts_exactly_what_fits():
    """Where part of a space fits, all of that part is proposed, nothing else, and then the cap ends it."""
    fits = {key_of(Space(SMALL).point(i)) for i in range(32) if sizer(2500)(Space(SMALL).point(i)).feasible}
    assert 1 <= len(fits) < 24
    sampler = proposer(SMALL, limit=2500)
    assert {key_of(params) for params, _ in spend(sampler, len(fits))} == fits
    assert sampler.propose() is None


def test_repair_keeps_close_to_the_limit():
    """A repaired point fits, is new, and one step back on its way some neighbour did not fit."""
    sampler = proposer(SpaceConfig())
    space = sampler.space
    largest = {**space.smallest(), **{knob: choices[-1] for knob, choices in space.choices.items()}}
    repaired = sampler.repair(largest)
    assert 0.7 * LIMIT < sizer()(repaired).weight_bytes <= LIMIT
    sampler.take(repaired)
    assert key_of(sampler.repair(largest)) != key_of(repaired)


def test_repair_beats_rejecting_on_a_space_that_hardly_fits():
    """With the same number of trained trials, repair's best beats that of random points that fit, on average."""
    config = SpaceConfig(base_filters=(24, 40, 56, 72), n_blocks=(3, 4, 5, 6))
    space, assess = Space(config), sizer()
    best_repaired, best_random = [], []
    for seed in range(4):
        best_repaired.append(max(value for _, value in spend(proposer(config, seed=seed), 20)))
        rng = np.random.default_rng(seed)
        points = (space.point(int(i)) for i in rng.integers(space.size, size=5000))
        fitting = [params for params in points if assess(params).feasible][:20]
        best_random.append(max(accuracy_of(params) for params in fitting))
    assert np.mean(best_repaired) > np.mean(best_random)


def test_stopped_trials_rank_below_finished_ones():
    """A stopped trial is PRUNED with its rung values, a failed one FAIL, a finished one COMPLETE."""
    sampler = proposer(SMALL)
    for state in ("finished", "stopped", "failed"):
        proposal = sampler.propose()
        sampler.report(proposal.number, 6, 0.5, 1.0)
        sampler.report(proposal.number, 14, 0.6, 1.0)
        sampler.end(proposal.number, state)
    finished, stopped, failed = sampler.study.trials
    states = optuna.trial.TrialState
    assert [trial.state for trial in (finished, stopped, failed)] == [states.COMPLETE, states.PRUNED, states.FAIL]
    assert finished.value == pytest.approx(0.6, abs=1e-4)
    assert set(stopped.intermediate_values) == {6, 14}


def test_every_trained_point_is_a_trial_with_its_own_params():
    """Repaired points are real trials of the study: its params are what was trained."""
    sampler = proposer(SpaceConfig(base_filters=(40, 56, 72), n_blocks=(4, 5, 6)))
    trained = {key_of(params) for params, _ in spend(sampler, 12)}
    complete = [trial for trial in sampler.study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert {key_of(sampler.space.decode(trial.params)) for trial in complete} == trained


def test_a_restored_study_goes_on_from_what_was_trained():
    """Entering earlier trials gives the same finished trials as training them, and none of them is proposed again."""
    first = proposer(SMALL)
    trained = spend(first, 10)
    second = proposer(SMALL, seed=1)
    for params, value in trained:
        second.restore(params, "finished", {6: (value, 1.0)})
    complete = [trial for trial in first.study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert [trial.value for trial in second.study.trials] == [trial.value for trial in complete]
    rest = [key_of(params) for params, _ in spend(second, 14)]
    assert not {key_of(params) for params, _ in trained} & set(rest)
    assert second.propose() is None


def test_a_limit_that_nothing_fits_is_refused_before_anything_starts():
    """If the smallest candidate is over the limit, the error gives its bytes, the limit and the way out."""
    with pytest.raises(BudgetError, match=r"needs 984 bytes.*budget is 500.*Add smaller choices"):
        require_feasible(Space(SMALL), sizer(500))
    require_feasible(Space(SMALL), sizer(2500))
