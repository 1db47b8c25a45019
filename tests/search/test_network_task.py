"""The search over trained networks as a task: its table, its surrogate, its noise, and trainings that go on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from asc_models_support import SMALL_MODEL, feature_set
from network_table import costs, space, tasks
from network_task import EPOCHS, NetworkSurrogate, NetworkTask
from search_methods import make_method
from search_simulator import simulate
from search_task import NETWORKS, found, full_epochs
from search_tasks_report import Search, row_of
from trained_table import missing, read_done, task_key, train_through, write_table

from asc_models.config import TrainConfig

SEED_NOISE = 0.03


def accuracy_of(params: dict, epochs: int) -> float:
    """What a made training comes to: larger networks and rates near 0.05 are better, and longer trainings."""
    rate = abs(np.log10(params["train.learning_rate"]) + 1.3)
    return 0.5 + 0.05 * np.log(costs(params)["weight_bytes"] / 1000) - 0.1 * rate - 0.4 / epochs


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of made trainings, written as that of real ones: 120 points, 15 of them with three seeds."""
    work = tmp_path_factory.mktemp("table")
    rng, wanted = np.random.default_rng(1), tasks()[:150]
    with (work / "trainings.jsonl").open("w") as file:
        for params, seed in wanted:
            noise = rng.normal(0, SEED_NOISE)
            scores = [accuracy_of(params, epochs) + noise for epochs in EPOCHS]
            rungs = [
                {"epochs": epochs, "diverged": False, "macro_accuracy": score, "log_loss": 2 - score}
                | {"hidden_macro_accuracy": score - 0.02, "hidden_log_loss": 2.02 - score, "seconds": 1.0}
                for epochs, score in zip(EPOCHS, scores, strict=True)
            ]
            file.write(json.dumps({"params": params, "seed": seed, "wall_s": 1.0, "rungs": rungs}) + "\n")
    asked = argparse.Namespace(work=work, table=work / "networks.parquet")
    write_table(asked, tasks(), costs, {})
    return asked.table


@pytest.fixture(scope="module")
def task(table: Path) -> NetworkTask:
    made = NetworkTask(NetworkSurrogate(table), 0.25)
    made.__class__ = type("SmallNetworkTask", (NetworkTask,), {"n_drawn": 300})
    _ = made.best, made.whole
    return made


def test_points_are_drawn_once_and_a_part_has_three_seeds() -> None:
    """600 points, 75 of them with two seeds more; all differ, and are points of the space."""
    made = tasks()
    assert len(made) == 750
    assert len({task_key(one) for one in made}) == 750
    assert [seed for _, seed in made[:11]] == [0, 1, 2, *[0] * 8]
    assert space().size == np.inf


def test_the_table_has_a_row_for_each_rung(table: Path) -> None:
    """With the knobs, empty where one has no effect, scores and exact sizes."""
    rows = pd.read_parquet(table)
    assert len(rows) == 3 * 150
    assert list(rows["epochs"][:3]) == [6, 14, 30]
    assert rows["reduction_ratio"].isna().equals(~rows["attention"].isin(["channel", "casam"]))
    assert (rows["hidden_macro_accuracy"] < rows["macro_accuracy"]).all()


def test_what_is_in_the_table_is_not_trained_again(table: Path, tmp_path: Path) -> None:
    """Without the trainings' folder the table tells what is done, and is written the same from it."""
    done = read_done(tmp_path, table)
    assert [missing(task, (6, 14, 30, 62), done) for task in tasks()[:150]] == [(62,)] * 150
    assert missing(tasks()[150], (6, 14), done) == (6, 14)
    before = pd.read_parquet(table)
    write_table(argparse.Namespace(work=tmp_path, table=table), tasks(), costs, {})
    pd.testing.assert_frame_equal(pd.read_parquet(table), before)


def test_the_surrogate_knows_what_it_was_fitted_to(table: Path) -> None:
    """It tells points that it was not fitted to apart, and the noise between seeds is that which was put in."""
    surrogate = NetworkSurrogate(table)
    assert surrogate.targets.shape == (150, 7)
    assert np.bincount(surrogate.groups).max() == 3
    noise = np.sqrt(np.diag(surrogate.noise))
    np.testing.assert_allclose(noise, SEED_NOISE, rtol=0.3)
    correlations = surrogate.noise / np.outer(noise, noise)
    np.testing.assert_allclose(correlations, 1, atol=1e-6)  # a seed was given the same noise everywhere
    predicted = surrogate.held_out(5)
    assert np.corrcoef(predicted[:, 2], surrogate.targets[:, 2])[0, 1] > 0.5


def test_a_seed_is_one_training(task: NetworkTask) -> None:
    """The same point and seed measure the same; another seed differs by the noise between seeds."""
    params = task.space.draw(np.random.default_rng(0))
    ends = [task.with_seed(seed).value_at(params, 2).macro_accuracy for seed in (1, 1, *range(2, 60))]
    assert ends[0] == ends[1] != ends[2]
    assert np.std(ends[1:]) == pytest.approx(SEED_NOISE, rel=0.3)
    assert task.true_accuracies([params])[0] == pytest.approx(np.mean(ends[1:]) - 0.02, abs=0.02)


def test_a_quarter_of_the_points_fits(task: NetworkTask) -> None:
    """The limit is a quantile of random points' sizes; the smallest network is within it."""
    rng = np.random.default_rng(7)
    sizes = np.array([task.sizing(task.space.draw(rng)).weight_bytes for _ in range(400)])
    assert (sizes <= task.limit).mean() == pytest.approx(0.25, abs=0.07)
    assert task.smallest <= sizes.min()


@pytest.mark.parametrize("name", ["front + pareto", "optuna-tpe + none"])
def test_methods_search_it(task: NetworkTask, name: str) -> None:
    """Nothing over the limit is trained, and a row has what the report needs."""
    history = simulate(task, make_method(name, task, 0), n_workers=2, max_epochs=300)
    assert max(step.value.weight_bytes for step in history) <= task.limit
    assert 0 < found(task, history, [300])[0].volume < 1.5
    row = row_of(task, Search(name, NETWORKS, 0.25, 0, workers=2, epochs=300, training_s=60.0))
    assert row["over_share"] == 0
    assert row["regret_all"] < 0.3


def test_a_full_training_is_that_of_the_task(task: NetworkTask) -> None:
    """Searches of either kind are counted in their own epochs; this one has no other to begin with."""
    assert (full_epochs(NETWORKS), full_epochs("3945")) == (task.epochs[-1], 52)
    with pytest.raises(ValueError, match="networks is alone: leave out the methods that begin with another task"):
        task.another()


@pytest.mark.system
def test_a_training_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Rungs of two calls are those of one; what is done is not missing any more."""
    data, task = feature_set(), ({"width": 8}, 0)
    recipe = TrainConfig(batch_size=8, learning_rate=0.05)
    lines = []
    for folder, calls in {"once": [(1, 2, 3)], "twice": [(1,), (2, 3)]}.items():
        (tmp_path / folder / "checkpoints").mkdir(parents=True)
        with (tmp_path / folder / "trainings.jsonl").open("w") as file:
            for rungs in calls:
                line = train_through(
                    task, tmp_path / folder, rungs, SMALL_MODEL, recipe, data, {"": data, "hidden_": data}
                )
                file.write(json.dumps(line) + "\n")
        done = read_done(tmp_path / folder, tmp_path / "no table")
        assert missing(task, (1, 2, 3, 4), done) == (4,)
        lines.append([{**row, "seconds": 0} for row in done[task_key(task)].values()])
    assert lines[0] == lines[1]
    assert lines[0][-1]["hidden_log_loss"] == lines[0][-1]["log_loss"]
