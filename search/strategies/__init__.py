"""Strategies that propose candidates, by name: one file each, registered here."""

from collections.abc import Callable

from search.strategies.base import History, KnownPoint, Strategy
from search.strategies.chance import RandomStrategy
from search.strategies.front import FrontStrategy
from search.strategies.tpe import RejectStrategy, RepairStrategy

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "random": RandomStrategy,
    "reject": RejectStrategy,
    "repair": RepairStrategy,
    "front": FrontStrategy,
}
"""{name in `search.strategy`: its class}."""

__all__ = ["STRATEGIES", "History", "KnownPoint", "Strategy"]
