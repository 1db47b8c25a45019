"""Sizes by closed form beside sizes by building: the same figures, and how long each takes.

    python tests/benchmarks/estimate.py

For every preset and a random sample of the search space: microseconds of `estimate`, milliseconds of building the Keras
model and counting its parameters, and their ratio. Medians; both in this process, in turn, after one call of each.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from asc_models.networks.estimate import estimate
from asc_models.networks.network import NetworkConfig
from asc_models.networks.presets import PRESETS
from asc_models.networks.topology import Shape
from data_prep.config import FeatureSpec, ReaderSpec
from search.space.config import SpaceConfig
from search.space.space import Space

N_POINTS = 10
N_ESTIMATES = 1000


def seconds_of(call: Callable[[], object], n: int) -> float:
    """Return the seconds of one call, the average of `n`."""
    started = time.perf_counter()
    for _ in range(n):
        call()
    return (time.perf_counter() - started) / n


def compare(networks: list[tuple[NetworkConfig, Shape]]) -> tuple[float, float]:
    """Return the median seconds of estimating and of building one of `networks`; their parameters must agree."""
    from asc_models.training.builder import build

    quick, slow = [], []
    for network, shape in networks:
        assert build(network, shape, 10).count_params() == estimate(network, shape, 10).n_params
        quick.append(seconds_of(lambda network=network, shape=shape: estimate(network, shape, 10), N_ESTIMATES))
        slow.append(seconds_of(lambda network=network, shape=shape: build(network, shape, 10).count_params(), 1))
    return statistics.median(quick), statistics.median(slow)


def main() -> None:
    """Print the table."""
    shape = ReaderSpec().input_shape(FeatureSpec())
    rows = {
        name: [(facts.network, facts.input_shape(facts.seconds) if facts.input_shape else shape)]
        for name, facts in PRESETS.items()
    }
    space = Space(SpaceConfig())
    points = np.random.default_rng(0).integers(space.size, size=N_POINTS)
    rows[f"{N_POINTS} of the search space"] = [(space.settings(space.point(int(i))).model, shape) for i in points]
    compare(rows["cao2021-system4"])  # the first model of a process pays for more than itself
    print(f"{'network':<24}{'estimate':>12}{'build':>12}{'ratio':>10}")
    for name, networks in rows.items():
        quick, slow = compare(networks)
        print(f"{name:<24}{quick * 1e6:>9.1f} µs{slow * 1e3:>9.0f} ms{slow / quick:>10,.0f}")


if __name__ == "__main__":
    main()
