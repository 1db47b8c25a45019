"""The compared searchers: one interface, exact rejection, rows that survive a kill, and the report's statistics."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import search_methods
import search_simulator
import search_tasks_report
from search_methods import SEARCHERS, Entry, Searched, make_method, method_names, missing_packages
from search_methods.base import MAX_ASKS, Rejecting
from search_methods.optuna_samplers import CONSTRAINT, Tpe
from search_simulator import Ours, simulate
from search_task import Task
from search_tasks_report import Search, forecast, row_of, to_do
from search_tasks_rows import append_row, read_rows
from search_tasks_summary import MARKS, critical_difference, summary
from tasks_support import SmallTask

from search.halving import HALVINGS
from search.objectives import Objectives

EPOCHS = 240
INSTALLED = [name for name in method_names() if not missing_packages(name)]
PEERS = [name for name in INSTALLED if name.startswith("optuna")]


@pytest.fixture(scope="module")
def task() -> Task:
    return SmallTask()


def test_every_peer_is_in_the_registry() -> None:
    """A searcher of ours or a peer stands with each halving; one that halves itself stands alone."""
    names = method_names()
    assert names[0] == "front + pareto"
    assert {"optuna-tpe + none", "optuna-gp + pareto", "botorch-nehvi + none", "smac-forest + none"} <= set(names)
    assert {"mo-rea + none", "mo-asha", "primo"} <= set(names)
    assert not {"mo-asha + none", "primo + pareto"} & set(names)
    assert {"front + pareto", "optuna-tpe + none", "optuna-nsga2 + none"} <= set(INSTALLED)


@pytest.mark.parametrize("name", ["nobody + none", "front", "mo-asha + pareto", "front + sideways"])
def test_an_unknown_method_is_refused(task: Task, name: str) -> None:
    """The message says the name and what a method is."""
    with pytest.raises(ValueError, match=r"no method '.*': a method is one of front, .* \+ pareto"):
        make_method(name, task, 0)


def test_a_method_without_its_package_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The report names the package and goes on."""
    monkeypatch.setitem(SEARCHERS, "absent", Entry(SEARCHERS["front"].make, ("no_such_package",)))
    out = str(tmp_path / "rows.csv")
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path), "--out", out, "--methods", "absent + none"])
    search_tasks_report.main()
    said = capsys.readouterr().out
    assert "left out: absent + none needs no_such_package, not installed here" in said
    assert "0 to do here" in said


@pytest.mark.parametrize(("strategy", "scheduler"), [("front", "pareto"), ("random", "none")])
def test_ours_behind_the_interface_is_the_product(task: Task, strategy: str, scheduler: str) -> None:
    """The same trials in the same order as by the product's own state of a search."""
    ours = Ours(task, 3, strategy=strategy, scheduler=scheduler, eta=search_methods.ETA)
    histories = [
        simulate(task, method, n_workers=2, max_epochs=EPOCHS)
        for method in (ours, make_method(f"{strategy} + {scheduler}", task, 3))
    ]
    steps = [[(step.trial_id, step.rung, step.params, step.value) for step in history] for history in histories]
    assert len(steps[0]) > 4
    assert steps[0] == steps[1]


@pytest.mark.parametrize("name", INSTALLED)
def test_no_epoch_is_spent_over_the_limit(task: Task, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method trains only what fits, and nothing twice."""
    monkeypatch.setattr("search_methods.ours.N_TRAININGS", 6)
    history = simulate(task, make_method(name, task, 1), n_workers=2, max_epochs=EPOCHS)
    assert max(step.value.weight_bytes for step in history) <= task.limit
    begun = [task.key_of(step.params) for step in history if step.rung == 0]
    assert len(begun) == len(set(begun)) >= 4


@pytest.mark.parametrize("name", PEERS)
def test_peers_are_refused_for_free(task: Task, name: str) -> None:
    """Peers do propose what is over the limit, and the same number of epochs is trained all the same."""
    searcher = SEARCHERS[name.split(" + ")[0]].make(task, 1)
    history = simulate(task, Searched(searcher, HALVINGS["none"]((6, 13, 26, 52), 2, Objectives())), n_workers=1,
                       max_epochs=EPOCHS)  # fmt: skip
    assert searcher.n_refused > 0
    assert history[-1].spent > EPOCHS - 26


def test_a_sampler_is_told_how_far_over_the_limit_a_proposal_is(task: Task) -> None:
    """Its study has trained trials at 0 or below, and refused ones above."""
    searcher = Tpe(task, 0)
    for _ in range(6):
        params = searcher.ask()
        assert params is not None
        searcher.tell(params, 52, task.value_at(params, 3), "finish")
    excesses = [trial.constraints[CONSTRAINT] for trial in searcher._trials()]
    assert len(excesses) == 6 + searcher.n_refused
    assert sorted(excess > 0 for excess in excesses) == [False] * 6 + [True] * searcher.n_refused
    assert searcher.n_refused > 0


class Stubborn(Rejecting):
    """Proposes the largest network, always."""

    def propose(self):
        return {**self.space.draw(self.rng), "num_layers": 5, "max_units": 1024}


def test_who_insists_on_what_is_over_the_limit_gets_a_random_point(task: Task) -> None:
    """After so many proposals a point that fits is drawn, and counted."""
    searcher = Stubborn(task, 0)
    params = searcher.ask()
    assert params is not None
    assert task.sizing(params).feasible
    assert (searcher.n_refused, searcher.n_random) == (MAX_ASKS, 1)


class Scripted:
    """Trains two given trials to the end."""

    def __init__(self, task: Task) -> None:
        rng = np.random.default_rng(0)
        self.points = [(f"t{number}", task.space.draw(rng), 0) for number in range(2)]

    def next_work(self):
        return self.points.pop(0) if self.points else None

    def reached(self, trial_id, rung, value):
        return rung < 3


def test_simulated_time_has_the_decisions_in_it(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each decision takes a second here, one after the other; an epoch takes ten; the order is that of epochs."""
    ticks = itertools.count()
    monkeypatch.setattr(search_simulator.time, "process_time", lambda: float(next(ticks)))
    history = simulate(task, Scripted(task), n_workers=2, max_epochs=104, epoch_seconds=10)
    assert [(step.trial_id, step.rung) for step in history[:4]] == [("t0", 0), ("t1", 0), ("t0", 1), ("t1", 1)]
    # Proposals end at 1 and 2 s, 6 epochs later rungs are told, in a second each; 7 epochs lie between the rungs.
    assert [step.seconds for step in history[:4]] == [61.0, 62.0, 132.0, 133.0]


def search(method: str, seed: int) -> Search:
    return Search(method, "3945", 0.25, seed, workers=2, epochs=EPOCHS, training_s=60.0)


def test_finished_searches_are_not_repeated(task: Task, tmp_path: Path) -> None:
    """Rows are kept over a kill in the middle of one; what has none is left to do, and appended."""
    path = tmp_path / "rows.csv"
    every = [search("random + none", seed) for seed in range(3)]
    assert to_do(every, read_rows(path)) == every
    for done in every[:2]:
        append_row(path, row_of(task.with_seed(done.seed), done))
    whole = path.read_text()
    path.write_text(whole + whole.splitlines()[-1][:30])
    assert to_do(every, read_rows(path)) == every[2:]
    append_row(path, row_of(task.with_seed(2), every[2]))
    assert path.read_text().startswith(whole)
    assert to_do(every, read_rows(path)) == []
    assert [row["over_share"] for row in read_rows(path)] == ["0.0"] * 3


def test_a_file_of_something_else_is_not_appended_to(tmp_path: Path) -> None:
    """The message names it, and it stays as it is."""
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"rows\.csv has columns other than .* 'a' to 'b': name another file"):
        append_row(path, {"method": "x"})
    assert path.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(("k", "value"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_nemenyis_critical_values(k: int, value: float) -> None:
    """Demšar, 2006, table 5a, at 5 %."""
    assert critical_difference(1, k) / np.sqrt(k * (k + 1) / 6) == pytest.approx(value, abs=1e-3)


def test_the_reports_numbers_by_hand(task: Task) -> None:
    """Means, paired differences over tasks, ranks and what a method costs."""
    base = row_of(task, search("random + none", 0))
    rows = []
    for method, volumes in {"a": (0.5, 0.7), "b": (0.6, 0.9)}.items():
        for task_id, volume in zip("xy", volumes, strict=True):
            volumes_at = {f"volume_{mark}": volume for mark in MARKS}
            rows.append({**base, **volumes_at, "method": method, "task": task_id, "ms_a_proposal": 7.0})
    lines = summary(rows, ["a", "b"])
    last = next(index for index, line in enumerate(lines) if line.startswith("after 100%"))
    assert "0.600 ± 0.100" in lines[last + 3]
    assert "0.750 ± 0.150 (+0.150 ± 0.050)" in lines[last + 4]
    assert lines[last + 6] == "ranks (2 tasks and limits, Wilcoxon p = 0.5): b 1.00, a 2.00"
    worst = {"method": "c", **{f"volume_{mark}": 0.1 for mark in MARKS}}
    three = summary([*rows, *({**row, **worst} for row in rows[:2])], ["a", "b", "c"])
    expected = "ranks (2 tasks and limits, Friedman p = 0.14, differ from 2.34 on): b 1.00, a 2.00, c 3.00"
    assert [line for line in three if line.startswith("ranks")][-1] == expected
    assert any(line.split()[0::2][:1] == ["b"] and " 7 " in line for line in lines)


def test_searches_of_one_task_are_told_apart_by_their_seeds(task: Task) -> None:
    """With one task, differences and ranks are over its searches; a single search has no error."""
    base = row_of(task, search("random + none", 0))
    rows = [
        {**base, **{f"volume_{mark}": volume for mark in MARKS}, "method": method, "seed": seed}
        for method, volumes in {"a": (0.5, 0.7, 0.6), "b": (0.6, 0.9, 0.9)}.items()
        for seed, volume in enumerate(volumes)
    ]
    lines = summary(rows, ["a", "b"])
    assert "0.800 ± 0.100 (+0.200 ± 0.058)" in lines[5]
    assert lines[7] == "ranks (3 searches of one task, Wilcoxon p = 0.25): b 1.00, a 2.00"
    single = next(line for line in summary(rows[:1], ["a"]) if line.startswith("a "))
    assert single.split()[:3] == ["a", "1", "0.500"]
    assert "±" not in single


def test_the_expected_duration_is_that_of_finished_searches() -> None:
    """Of a method with rows it is their mean, of others that of their proposals; jobs share it."""
    known, unknown = search("random + none", 0), search("front + none", 0)
    rows = [{"method": known.method, "seconds": seconds} for seconds in ("30", "50")]
    assert forecast([known, unknown], rows, jobs=2) == pytest.approx((40 + unknown.forecast_s) / 2)
    assert search("front + pareto", 0).forecast_s > unknown.forecast_s > 0
