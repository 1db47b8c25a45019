"""Kinds of successive halving, by name: they decide which trials continue at a rung."""

from collections.abc import Callable, Sequence

from search.halving.asha import Hyperband, NoHalving, StoppingHalving
from search.halving.base import Decision, Halving, rung_epochs, rung_folds
from search.halving.pareto import ParetoHalving
from search.objectives import Objectives

HALVINGS: dict[str, Callable[[Sequence[int], int, Objectives], Halving]] = {
    "pareto": ParetoHalving,
    "asha": StoppingHalving,
    "hyperband": Hyperband,
    "none": NoHalving,
}
"""{name in `search.scheduler`: its class}."""

__all__ = ["HALVINGS", "Decision", "Halving", "rung_epochs", "rung_folds"]
