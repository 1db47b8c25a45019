"""The methods that the benchmark of searches compares, by name: ours and peers. A method is one entry of `SEARCHERS`.

A method's name is `searcher + halving`; a peer with a halving of its own stands alone. Peers' modules are imported when
a method is made; requirements-peers.txt and requirements-primo.txt beside this folder pin their packages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from search.halving import HALVINGS
from search.objectives import Objectives

from .base import ETA, Problem, Searched, Searcher

__all__ = [
    "ETA",
    "SEARCHERS",
    "Entry",
    "Problem",
    "Searched",
    "Searcher",
    "make_method",
    "method_names",
    "missing_packages",
]


@dataclass(frozen=True)
class Entry:
    """A searcher, or a whole method that halves itself."""

    make: Callable[[Problem, int], Any]
    """Of a problem and a seed."""
    packages: tuple[str, ...] = ()
    """That it needs beside the product's own, by the names that are imported."""
    halves_itself: bool = False
    """Whether it decides how far a trial is trained: what is made is a method of the simulator."""
    proposal_s: float = 0.02
    """Seconds of processor time of a proposal, about, for forecasts; measured without halving where there is any."""


def _lazy(module: str, name: str, **arguments: Any) -> Callable[[Problem, int], Any]:
    """Return the making of a class in a module of this package, which is imported then."""

    def make(problem: Problem, seed: int) -> Any:
        return getattr(import_module(f".{module}", __package__), name)(problem, seed, **arguments)

    return make


SEARCHERS: dict[str, Entry] = {
    "front": Entry(_lazy("ours", "Ours", strategy="front")),
    "front-after": Entry(_lazy("ours", "AfterAnother")),
    "repair": Entry(_lazy("ours", "Ours", strategy="repair")),
    "reject": Entry(_lazy("ours", "Ours", strategy="reject")),
    "random": Entry(_lazy("ours", "Ours", strategy="random")),
    "spread": Entry(_lazy("ours", "Spread")),
    "neighbours": Entry(_lazy("ours", "Neighbours")),
    "optuna-tpe": Entry(_lazy("optuna_samplers", "Tpe")),
    "optuna-nsga2": Entry(_lazy("optuna_samplers", "Nsga2")),
    "optuna-gp": Entry(_lazy("optuna_samplers", "GaussianProcess"), ("torch",), proposal_s=0.8),
    "botorch-nehvi": Entry(_lazy("botorch_nehvi", "NoisyHypervolume"), ("torch", "botorch"), proposal_s=1.7),
    "smac-parego": Entry(_lazy("smac_forests", "ParEgo"), ("smac",), proposal_s=0.7),
    "smac-forest": Entry(_lazy("smac_forests", "ForestHypervolume"), ("smac",), proposal_s=0.8),
    "mo-rea": Entry(_lazy("syne_tune_searchers", "RegularizedEvolution"), ("syne_tune",)),
    "mo-asha": Entry(_lazy("syne_tune_searchers", "MultiObjectiveAsha"), ("syne_tune",), halves_itself=True),
    "primo": Entry(_lazy("neps_primo", "PriMo"), ("torch", "neps"), halves_itself=True, proposal_s=1.0),
}
"""{name: entry}; the first seven are ours and rules without a model."""


def method_names(halvings: Sequence[str] = ("pareto", "none")) -> list[str]:
    """Return the names of all methods with these halvings of ours."""
    return [
        name
        for searcher, entry in SEARCHERS.items()
        for name in ([searcher] if entry.halves_itself else [f"{searcher} + {halving}" for halving in halvings])
    ]


def missing_packages(name: str) -> list[str]:
    """Return the packages of a method that are not installed."""
    return [package for package in _entry(name)[0].packages if find_spec(package) is None]


def make_method(name: str, problem: Problem, seed: int) -> Any:
    """Return a method of the simulator.

    Args:
        name: as in `method_names`, with any halving of search.halving.
        problem: what is searched.
        seed: of all draws.

    Raises:
        ValueError: if there is no such method.
    """
    entry, halving = _entry(name)
    made = entry.make(problem, seed)
    return made if halving is None else Searched(made, HALVINGS[halving](problem.epochs, ETA, Objectives()))


def _entry(name: str) -> tuple[Entry, str | None]:
    """Return a method's searcher and the name of its halving."""
    searcher, _, halving = name.partition(" + ")
    entry = SEARCHERS.get(searcher)
    if entry is None or (entry.halves_itself if halving else not entry.halves_itself) or halving not in {"", *HALVINGS}:
        raise ValueError(
            f"no method {name!r}: a method is one of {', '.join(SEARCHERS)} with one of "
            f"{', '.join(f'+ {halving}' for halving in HALVINGS)}; those that halve themselves have none"
        )
    return entry, halving or None
