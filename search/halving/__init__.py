"""Which trials train on: kinds of successive halving over rungs, by name."""

from collections.abc import Callable, Sequence

from search.halving.asha import Hyperband, NoHalving, StoppingHalving, bracket_shares
from search.halving.base import Decision, Halving, rung_epochs
from search.halving.pareto import ParetoHalving
from search.objectives import Objectives

HALVINGS: dict[str, Callable[[Sequence[int], int, Objectives], Halving]] = {
    "pareto": ParetoHalving,
    "asha": StoppingHalving,
    "hyperband": Hyperband,
    "none": NoHalving,
}
"""{name in `search.scheduler`: its class}."""

__all__ = ["HALVINGS", "Decision", "Halving", "expected_trials", "rung_epochs"]


def expected_trials(name: str, n_trials: int, n_rungs: int, eta: int) -> list[int]:
    """Return how many of `n_trials` come to each rung, about: for estimates of the time left."""
    if name == "none":
        return [n_trials] * n_rungs
    if name == "hyperband":
        shares = bracket_shares(n_rungs, eta)
        brackets = [_halved(share * n_trials, n_rungs, eta, first_rung) for first_rung, share in enumerate(shares)]
        return [max(1, round(sum(counts))) for counts in zip(*brackets, strict=True)]
    counts = _halved(n_trials, n_rungs, eta, 0)
    # Where trials are stopped, the first to reach a rung goes on always; where they are promoted, one in eta does.
    return [max(int(name == "asha"), int(count)) for count in counts]


def _halved(n: float, n_rungs: int, eta: int, first_rung: int) -> list[float]:
    return [n / eta ** max(0, rung - first_rung) for rung in range(n_rungs)]
