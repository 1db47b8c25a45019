import numpy as np
import pytest
from benchmarks.search_simulator import (
    CHANCE,
    OptunaWithAsha,
    Ours,
    Table,
    curves,
    front_of,
    read_table,
    simulate,
    volume_of,
)
from process_support import ROOT

from search.objectives import Value
from search.space.config import SpaceConfig
from search.space.point import build
from search.space.space import Space

TABLE = ROOT / "tests" / "benchmarks" / "search_table.parquet"
SPACE = SpaceConfig(
    stem_filters=16, n_blocks=1, base_filters=(8, 16, 24, 32), growth=1.0, n_strided=1, kernel_size=(3, 5),
    expansion=1, attention="none", dropout=0.0,
)  # fmt: skip
"""Eight networks."""


class Fixed:
    """A method that trains given points to given rungs, whatever they come to."""

    def __init__(self, works):
        self.works = list(works)
        self.told = []

    def next_work(self):
        if not self.works:
            return None
        number, (params, self_rungs) = len(self.told) + len(self.works), self.works.pop(0)
        self.rungs = {**getattr(self, "rungs", {}), f"t{number}-{params['base_filters']}": self_rungs}
        return f"t{number}-{params['base_filters']}", params, 0

    def reached(self, trial_id, rung, value):
        self.told.append((trial_id, rung, value))
        return rung + 1 < self.rungs[trial_id]


def tiny_table(limit=1500):
    """Eight networks whose accuracy grows with the width of their block; rungs at 2 and 6."""
    space = Space(SPACE)
    values = {}
    for number, params in enumerate(space.points()):
        top = 0.4 + params["base_filters"] / 100 + (0.01 if params["kernel_size"] == 5 else 0.0)
        n_bytes = 40 * params["base_filters"] + number % 2
        values[build("inverted_residual", params).model.hash()] = (
            Value(top - 0.2, 1.0, n_bytes),
            Value(top, 1.0, n_bytes),
        )
    return Table(space, (2, 6), values, limit)


def point(filters, kernel=3):
    return next(p for p in Space(SPACE).points() if (p["base_filters"], p["kernel_size"]) == (filters, kernel))


def test_epochs_are_counted_and_values_looked_up():
    """Two workers: rungs come in the order in which they would be reached, with the epochs spent by then."""
    table = tiny_table()
    method = Fixed([(point(8), 2), (point(16), 1), (point(24), 2)])
    history = simulate(table, method, n_workers=2, max_epochs=100)
    assert [(step.params["base_filters"], step.rung, step.spent) for step in history] == [
        (8, 0, 2),
        (16, 0, 4),
        (24, 0, 6),
        (8, 1, 10),
        (24, 1, 14),
    ]
    assert [step.value for step in history] == [table.value_at(s.params, s.rung) for s in history]


def test_nothing_is_reached_beyond_the_epochs_allowed():
    """A rung that would be reached with more epochs than allowed is not counted."""
    history = simulate(tiny_table(), Fixed([(point(8), 2)]), n_workers=1, max_epochs=5)
    assert [step.spent for step in history] == [2]


def test_curves_of_a_search_whose_answers_are_known():
    """Regret, hypervolume and waste from a search through three networks, one of them over the limit."""
    table = tiny_table(limit=1000)
    history = simulate(table, Fixed([(point(8), 2), (point(32), 2), (point(24), 2)]), n_workers=1, max_epochs=100)
    found = curves(table, history, [5, 6, 12, 18])
    best = max(v[-1].macro_accuracy for v in table.values.values() if v[-1].weight_bytes <= 1000)
    assert best == pytest.approx(0.65)
    assert found.regret == pytest.approx([best - CHANCE, best - 0.48, best - 0.48, best - 0.64])
    whole = volume_of(table.front, 1000)
    one, both = 0.38 * 680 / 1000, (0.38 * 640 + 0.54 * 40) / 1000
    sizes = [table.value_at(point(filters), 0).weight_bytes for filters in (8, 24)]
    assert sizes == [320, 960]
    assert found.hypervolume == pytest.approx([0, one / whole, one / whole, both / whole])
    assert found.infeasible_share == pytest.approx([0, 0, 0.5, 1 / 3])


def test_the_front_and_its_area_by_hand():
    """Dominated values are left out, those over the limit count nothing, and the area is that of a drawing."""
    values = [Value(0.5, 1, 200), Value(0.4, 1, 300), Value(0.7, 1, 600), Value(0.9, 1, 1200)]
    assert [value.weight_bytes for value in front_of(values)] == [200, 600, 1200]
    assert volume_of(values, 1000) == pytest.approx((0.4 * 400 + 0.6 * 400) / 1000)
    assert volume_of([], 1000) == 0


@pytest.mark.parametrize(("scheduler", "least"), [("pareto", 0.0), ("asha", 0.0), ("none", 1.0)])
def test_ours_trains_what_fits_and_nothing_twice(scheduler, least):
    """All networks inside the limit are begun, each once, none over it; without halving all of them are finished."""
    table = tiny_table(limit=1000)
    history = simulate(
        table, Ours(table, 0, strategy="front", scheduler=scheduler, eta=2, n_startup=3), n_workers=2, max_epochs=10**6
    )
    begun = [table.key_of(step.params) for step in history if step.rung == 0]
    assert len(begun) == len(set(begun)) == 6
    assert max(step.value.weight_bytes for step in history) <= 1000
    (volume,) = curves(table, history, [10**6]).hypervolume
    assert least - 1e-9 <= volume <= 1 + 1e-9


@pytest.mark.system
def test_the_peer_trains_what_is_over_the_limit_too_and_stops_by_ashas_rule():
    """OptunaSearch with ASHA wastes epochs over the limit, and stops trials at the first rung."""
    table = tiny_table(limit=700)
    history = simulate(table, OptunaWithAsha(table, 0, eta=2), n_workers=2, max_epochs=120)
    assert curves(table, history, [120]).infeasible_share[0] > 0
    n_begun, n_finished = (sum(step.rung == rung for step in history) for rung in (0, 1))
    assert 0 < n_finished < n_begun


@pytest.mark.skipif(not TABLE.exists(), reason="the table has not been made")
def test_the_table_has_what_the_benchmark_needs():
    """At least 400 networks with all rungs, 200 of them inside the limit, and 100 with a second seed."""
    import pandas as pd

    table = read_table(TABLE)
    sizes = np.array([values[-1].weight_bytes for values in table.values.values()])
    assert len(sizes) >= 400
    assert (sizes <= table.limit).sum() >= 200
    assert table.epochs == (2, 6, 14, 30)
    rows = pd.read_parquet(TABLE)
    assert ((rows["seed"] == 1) & (rows["epochs"] == 30)).sum() >= 100
    assert set(table.values) <= {table.key_of(params) for params in table.space.points()}
