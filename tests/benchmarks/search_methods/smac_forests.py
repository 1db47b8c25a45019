"""SMAC3's random forest (BSD-3 licence, maintained: 2.4.1 of September 2026; its own forest, so pyrfr is not needed).

Lindauer et al., 2022, "SMAC3: A Versatile Bayesian Optimization Package". The parts are SMAC's with the defaults of its
`HyperparameterOptimizationFacade`: Sobol design, random forest, encoding of costs, local and sorted random search; but
the forest is trained anew for each proposal, what is over the limit has the lowest acquisition, so that SMAC's search
goes around it, and the initial design has 10 points (SMAC's largest share, a quarter of 40 full trainings). Two
acquisitions: ParEGO's scalarization with expected improvement, which SMAC documents for several
objectives, and the expected hypervolume improvement with known bytes, ours in closed form (SMAC has none).
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from search.space.point import TRAIN
from search.space.space import Params
from search.strategies import KnownPoint
from search.strategies.improvement import front_improvement

from .base import Array, Problem, Rejecting

N_STARTUP = 10
N_CHALLENGERS = 10_000
N_DESIGN = 64
"""Points of the Sobol design, of which those that fit are taken."""


class Forest(Rejecting):
    """Challengers of SMAC's search, best first."""

    n_startup = N_STARTUP

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        logging.getLogger("smac").setLevel(logging.ERROR)
        from smac import Scenario
        from smac.initial_design import SobolInitialDesign

        self.scenario = Scenario(
            self.configspace, objectives=["score", "bytes"], n_trials=10**6, deterministic=True, seed=seed
        )
        design = SobolInitialDesign(self.scenario, n_configs=N_DESIGN, max_ratio=1.0)
        self._challengers: Iterator[Any] = iter(design.select_configurations())
        self._n_known = 0
        self._sizes: dict[tuple[float, ...], float] = {}

    @cached_property
    def configspace(self) -> Any:
        """The space in SMAC's types: integers for ordered choices, by index; floats on their own scale."""
        from ConfigSpace import ConfigurationSpace
        from ConfigSpace.hyperparameters import UniformFloatHyperparameter, UniformIntegerHyperparameter

        space = ConfigurationSpace(seed=self.seed)
        for name, knob in self.space.knobs.items():
            if knob.is_range:
                space.add(UniformFloatHyperparameter(name, knob.low, knob.high, log=knob.log))
            else:
                space.add(UniformIntegerHyperparameter(name, 0, len(knob.choices) - 1))
        return space

    def propose(self) -> Params:
        """Return the next challenger; a new search for them begins once a trial has been started since the last."""
        n_known = len(self.history.known)
        if n_known >= self.n_startup and len(self.trained) >= 2 and n_known != self._n_known:
            self._n_known = n_known
            self._challengers = iter(self._search())
        chosen = next(self._challengers, None) or self.configspace.sample_configuration()
        return self.params_of(chosen)

    def params_of(self, configuration: Any) -> Params:
        """Return a configuration of SMAC's as a point."""
        return self.space.decode(dict(configuration))

    def configuration(self, params: Params) -> Any:
        """Return a point as a configuration of SMAC's."""
        from ConfigSpace import Configuration

        return Configuration(self.configspace, values=self.space.encode(params))

    @abstractmethod
    def growth(self, trained: list[KnownPoint]) -> tuple[Any, Callable[[Array], Array]]:
        """Return a forest of these trials, and its acquisition: a function of encoded points, (n, d) to (n,)."""

    def _search(self) -> list[Any]:
        """Return what SMAC's search finds, best first."""
        from smac.facade import HyperparameterOptimizationFacade as Facade

        trained = self.trained
        model, growth = self.growth(trained)
        # SMAC's random generators begin with the scenario's seed: of their own, each search would draw the same points.
        self.configspace.seed(int(self.rng.integers(2**31)))
        maximizer = Facade.get_acquisition_maximizer(self.scenario, challengers=N_CHALLENGERS)
        maximizer.acquisition_function = within(growth, lambda rows: self._bytes_at(rows) <= self.limit, model)
        configurations = [self.configuration(point.params) for point in trained]
        return list(maximizer.maximize(configurations))

    def forest(self, *, log_y: bool) -> Any:
        """Return an untrained forest with the settings of SMAC's facade, on one thread.

        Its trees' memory is not set aside for 2^20 leaves, which takes a second and changes no prediction.
        """
        from smac.model.random_forest import RandomForest

        return RandomForest(
            self.configspace, log_y=log_y, n_trees=10, bootstrapping=True, ratio_features=1.0, min_samples_split=2,
            min_samples_leaf=1, max_depth=2**20, max_leaf_nodes=None, seed=self.seed, n_jobs=1,
        )  # fmt: skip

    def encoded(self, points: list[Params]) -> Array:
        """Return points in SMAC's encoding, shape (n, d)."""
        return np.array([self.configuration(params).get_array() for params in points])

    def _bytes_at(self, rows: Array) -> Array:
        """Return the exact bytes of encoded points, each combination of the network's knobs once; shape (n,)."""
        from ConfigSpace import Configuration

        columns = [index for index, name in enumerate(self.configspace) if not name.startswith(TRAIN)]
        keys, first, inverse = np.unique(rows[:, columns], axis=0, return_index=True, return_inverse=True)
        for key, index in zip(map(tuple, keys), first, strict=True):
            if key not in self._sizes:
                params = self.params_of(Configuration(self.configspace, vector=rows[index]))
                self._sizes[key] = float(self.history.assess(params).weight_bytes)
        return np.array([self._sizes[key] for key in map(tuple, keys)])[inverse.ravel()]


class ParEgo(Forest):
    """Expected improvement of a scalarization whose weights are drawn for each proposal (Knowles, 2006)."""

    def growth(self, trained: list[KnownPoint]) -> tuple[Any, Callable[[Array], Array]]:
        """Return a forest of the scalarization and SMAC's expected improvement."""
        from smac.facade import HyperparameterOptimizationFacade as Facade

        x, y = self._scalarized(trained)
        model = self.forest(log_y=True)
        model.train(x, y)
        improvement = Facade.get_acquisition_function(self.scenario)
        best = float(model.predict_marginalized(x)[0].min())
        improvement.update(model=model, eta=best, num_data=len(x), X=x)
        return model, lambda rows: improvement._compute(rows)[:, 0]

    def _scalarized(self, trained: list[KnownPoint]) -> tuple[Array, Array]:
        """Return SMAC's encoding: objectives as shares of their ranges, their weighted maximum, its logarithm."""
        from smac.facade import HyperparameterOptimizationFacade as Facade
        from smac.multi_objective import ParEGO
        from smac.runhistory import RunHistory

        weights = ParEGO(self.scenario, seed=int(self.rng.integers(2**31)))
        weights.update_on_iteration_start()
        history = RunHistory()
        history.multi_objective_algorithm = weights
        for point, losses in zip(trained, self.losses(trained), strict=True):
            history.add(self.configuration(point.params), cost=[float(loss) for loss in losses], seed=0)
        encoder = Facade.get_runhistory_encoder(self.scenario)
        encoder.multi_objective_algorithm = weights
        encoder.runhistory = history
        x, y = encoder.transform()
        return x, y


class ForestHypervolume(Forest):
    """Expected improvement of the front's hypervolume, with the forest's score and the exact bytes."""

    def growth(self, trained: list[KnownPoint]) -> tuple[Any, Callable[[Array], Array]]:
        """Return the closed form with a forest for the score; trials in training count with its prediction."""
        model = self.forest(log_y=False)
        model.train(self.encoded([point.params for point in trained]), self.losses(trained)[:, :1])
        at = self.encoded([point.params for point in self.history.known])
        known, _ = model.predict_marginalized(at)
        known_bytes, limits = self._bytes_at(at)[:, None], np.array([self.limit])

        def of(rows: Array) -> Array:
            mean, variance = model.predict_marginalized(rows)
            costs = self._bytes_at(rows)[:, None]
            deviation = np.sqrt(variance[:, 0])
            return front_improvement(mean[:, 0], deviation, costs, known[:, 0], known_bytes, self.chance, limits)

        return model, of


def within(growth: Callable[[Array], Array], fits: Callable[[Array], Any], model: Any) -> Any:
    """Return an acquisition function of SMAC's: `growth` of what fits, the lowest value for all else.

    Args:
        growth: of encoded points.
        fits: whether encoded points are within the limit.
        model: by whose predicted cost SMAC orders the trials that its local search begins at.
    """
    from smac.acquisition.function import AbstractAcquisitionFunction

    class Within(AbstractAcquisitionFunction):  # type: ignore[misc]
        def _compute(self, X: Array) -> Array:
            return np.where(fits(X), growth(X), -np.finfo(float).max)[:, None]

    function = Within()
    function.model = model
    return function
