"""BoTorch's noisy expected hypervolume improvement (MIT licence, maintained: 0.18.1 of June 2026).

Daulton, Balandat, Bakshy, 2021, "Parallel Bayesian Optimization of Multiple Noisy Objectives with Expected Hypervolume
Improvement", with the logarithm of Ament et al., 2023. Models, priors, numbers of starts and samples are BoTorch's
defaults (qLogNEHVI's 128 quasi-random samples, as in its tutorial). Chosen here: 8 points of Sobol's sequence to begin
with, as many as ours (the library has no default); the size's model also learns from the sizes of refused proposals,
and the limit is an outcome constraint on it; ordered choices are discrete dimensions, stepped through by the mixed
optimizer.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from search.space.space import Params
from search.strategies import KnownPoint

from .base import MAX_REFUSED, Array, Problem, Rejecting

if TYPE_CHECKING:
    import torch

N_RESTARTS = 10
N_RAW = 512
N_SAMPLES = 128
"""Starts, random points to take them from, and samples of the models: those of BoTorch's tutorials."""

EXACT = 1e-6
"""Variance of bytes, as a share of the limit: they are known, and 0 would not be stable."""


class NoisyHypervolume(Rejecting):
    """qLogNEHVI of two Gaussian processes, score and bytes."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        import torch
        from torch.quasirandom import SobolEngine

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        knobs = {name: knob for name, knob in problem.space.knobs.items() if not knob.is_fixed}
        self._units = _Units(knobs)
        self._sobol = SobolEngine(len(knobs), scramble=True, seed=seed)
        self._refused: list[Params] = []

    def propose(self) -> Params:
        """Return the point with the largest improvement; the first ones are of Sobol's sequence."""
        if len(self.history.known) < self.n_startup or len(self.trained) < 2:
            return self._units.params(self._sobol.draw(1)[0].numpy())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._units.params(self._best().numpy())

    def refuse(self, params: Params, excess: float) -> None:
        """Let the size's model learn from the point."""
        self._refused.append(params)

    def _best(self) -> torch.Tensor:
        import torch
        from botorch.optim import optimize_acqf_mixed_alternating

        dims = len(self._units.knobs)
        bounds = torch.stack([torch.zeros(dims), torch.ones(dims)]).double()
        best, _ = optimize_acqf_mixed_alternating(
            self._improvement(), bounds, discrete_dims=self._units.discrete, q=1, raw_samples=N_RAW,
            num_restarts=N_RESTARTS, options={"batch_limit": N_RESTARTS, "init_batch_limit": N_RAW},
        )  # fmt: skip
        return best[0]

    def _improvement(self) -> Any:
        import torch
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.models import ModelListGP
        from botorch.sampling import SobolQMCNormalSampler

        trained, limit = self.trained, self.limit
        losses = self.losses(trained)
        refused = [p for p in self._refused[-MAX_REFUSED:] if not self.history.assess(p).feasible]
        sizes = np.append(losses[:, 1], [float(self.history.assess(p).weight_bytes) for p in refused]) / limit
        at = self._tensor(trained)
        at_refused = np.array([self._units.of(params) for params in refused]).reshape(-1, at.shape[1])
        at_sizes = torch.cat([at, torch.tensor(at_refused)])
        # BoTorch maximizes: minus the losses, bytes as a share of the limit.
        model = ModelListGP(_fitted(at, -losses[:, 0]), _fitted(at_sizes, -sizes, variance=EXACT))
        pending = self.pending
        return qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=[-self.chance, -1.0],
            X_baseline=at,
            sampler=SobolQMCNormalSampler(torch.Size([N_SAMPLES]), seed=int(self.rng.integers(2**31))),
            constraints=[lambda outcomes: -outcomes[..., 1] - 1.0],
            prune_baseline=True,
            X_pending=self._tensor(pending) if pending else None,
        )

    def _tensor(self, points: list[KnownPoint]) -> torch.Tensor:
        import torch

        return torch.tensor(np.array([self._units.of(point.params) for point in points]))


def _fitted(at: torch.Tensor, values: Array, variance: float | None = None) -> Any:
    """Return a Gaussian process with BoTorch's default kernel, priors and standardized outcomes.

    Args:
        at: points, shape (n, d).
        values: outcomes, shape (n,).
        variance: of the outcomes' noise, where it is known.
    """
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    outcomes = torch.tensor(values)[:, None]
    model = SingleTaskGP(at, outcomes, None if variance is None else torch.full_like(outcomes, variance))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


class _Units:
    """Points as positions in the unit cube: ranges on their own scale, ordered choices by index."""

    def __init__(self, knobs: dict[str, Any]) -> None:
        unordered = [name for name, knob in knobs.items() if not knob.is_ordered]
        if unordered:
            raise ValueError(f"only numbers are mapped here, not the choices of {', '.join(unordered)}")
        self.knobs = knobs
        self.discrete = {
            column: [index / (len(knob.choices) - 1) for index in range(len(knob.choices))]
            for column, knob in enumerate(knobs.values())
            if not knob.is_range
        }

    def of(self, params: Params) -> list[float]:
        """Return the position of a point."""
        return [knob.unit(params[name]) for name, knob in self.knobs.items()]

    def params(self, units: Array) -> Params:
        """Return the point at, or nearest to, a position."""
        found: Params = {}
        for (name, knob), unit in zip(self.knobs.items(), units, strict=True):
            unit = min(1.0, max(0.0, float(unit)))
            found[name] = knob.at(unit) if knob.is_range else knob.choices[round(unit * (len(knob.choices) - 1))]
        return found
