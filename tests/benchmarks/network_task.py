"""A search over really trained networks with recipe knobs, as a task: a surrogate of network_table.parquet.

    python tests/benchmarks/network_task.py

prints how well the surrogate predicts points that it was not fitted to, and the noise between seeds.

The surrogate is a forest of randomized trees (Geurts et al., 2006) over knobs, bytes and MACs. Trees, so that no
searcher whose model is a Gaussian process, ours among them, has a surface of its own kind. Noise is that measured
between seeds: normal, with the covariance of the accuracies at all rungs and of the held-out one. The limit is a
quantile of the sizes of random points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from network_table import EPOCHS, FEATURES, READER, TABLE, space, without_gaps
from search_task import NETWORKS, Measured, Task
from trained_table import N_CLASSES

from asc_models.networks.estimate import estimate
from data_prep.schema import canonical_json
from search.space.space import Params

N_TREES = 300
LEAF = 3
"""Fewest trainings in a leaf."""
N_SIZED = 2_000
"""Random points whose sizes place the limit."""


def forest() -> Any:
    """Return the untrained model."""
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(N_TREES, min_samples_leaf=LEAF, max_features=0.5, random_state=0)


class NetworkSurrogate:
    """Networks' curves by the table.

    Args:
        table: the Parquet file.
    """

    def __init__(self, table: Path = TABLE) -> None:
        rows = pd.read_parquet(table)
        self.space = space()
        points = {canonical_json(without_gaps(row)): row for row in rows.to_dict("records")}
        rows["point"] = [canonical_json(without_gaps(row)) for row in rows.to_dict("records")]
        values = ["macro_accuracy", "log_loss", "hidden_macro_accuracy"]
        wide = rows.pivot_table(index=["point", "seed"], columns="epochs", values=values).dropna()
        hidden = wide["hidden_macro_accuracy"][EPOCHS[-1]]
        self.targets = np.column_stack([wide[values[:2]].to_numpy(), hidden.to_numpy()])
        """Accuracies at the rungs, log losses at the rungs, held-out accuracy: a row per training."""
        trained = wide.index.get_level_values("point")
        self.inputs = np.array([self.features(self._point(points[point])) for point in trained])
        self.groups = np.unique(trained, return_inverse=True)[1]
        """Number of each training's point."""

    def _point(self, row: Mapping[str, Any]) -> Params:
        point = self.space.parse(without_gaps(row))
        if point is None:
            raise ValueError(f"{TABLE.name} has a point outside the space of network_table.py: {dict(row)}")
        return point

    def features(self, params: Mapping[str, Any]) -> np.ndarray:
        """Return what the forest sees of a point."""
        return np.append(self.space.features(params), np.log(self.cost_of(params)))

    def cost_of(self, params: Mapping[str, Any]) -> tuple[int, int]:
        """Return a network's bytes and MACs."""
        return _cost(self.space.settings(params).model)

    @cached_property
    def _forest(self) -> Any:
        return forest().fit(self.inputs, self.targets)

    def curves(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return each point's targets, without noise."""
        found: np.ndarray = self._forest.predict(np.array([self.features(params) for params in points]))
        return found

    @cached_property
    def noise(self) -> np.ndarray:
        """Covariance, between seeds, of the accuracies at the rungs and the held-out one."""
        accuracies = pd.DataFrame(np.delete(self.targets, range(len(EPOCHS), 2 * len(EPOCHS)), axis=1))
        n_seeds = accuracies.groupby(self.groups)[0].transform("size")
        several = accuracies[n_seeds > 1]
        apart = several - several.groupby(self.groups[n_seeds > 1]).transform("mean")
        n_free = len(several) - several.groupby(self.groups[n_seeds > 1]).ngroups
        found: np.ndarray = apart.to_numpy().T @ apart.to_numpy() / n_free
        return found

    def held_out(self, n_parts: int = 10) -> np.ndarray:
        """Return predictions of all trainings by forests that saw none of the same point."""
        from sklearn.model_selection import GroupKFold

        found = np.empty_like(self.targets)
        for seen, others in GroupKFold(n_parts).split(self.inputs, groups=self.groups):
            found[others] = forest().fit(self.inputs[seen], self.targets[seen]).predict(self.inputs[others])
        return found


@cache
def _cost(network: Any) -> tuple[int, int]:
    cost = estimate(network, READER.input_shape(FEATURES), N_CLASSES)
    return cost.weight_bytes_as("int8_weights"), cost.macs


class NetworkTask(Task):
    """The search with one limit.

    Args:
        surrogate: of the trainings.
        share: of the space's points, by size, that the limit lets through.
        seed: of the trainings' noise.
    """

    epochs = EPOCHS
    n_drawn = 5_000
    name, n_classes = NETWORKS, N_CLASSES

    def __init__(self, surrogate: NetworkSurrogate, share: float, seed: int = 0) -> None:
        super().__init__(NETWORKS, seed)
        self._surrogate, self.space = surrogate, surrogate.space
        rng = np.random.default_rng(0)
        sizes = sorted(self.cost_of(self.space.draw(rng))[0] for _ in range(N_SIZED))
        self.limit = sizes[round(share * len(sizes)) - 1]
        self.smallest = self.cost_of(self.space.smallest())[0]
        self._spread = np.linalg.cholesky(surrogate.noise + 1e-12 * np.eye(len(surrogate.noise)))

    def cost_of(self, params: Mapping[str, Any]) -> tuple[int, int]:
        """Return a network's bytes and MACs."""
        return self._surrogate.cost_of(params)

    def true_accuracies(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return held-out accuracies by the surrogate."""
        found: np.ndarray = self._surrogate.curves(points)[:, -1]
        return found

    def measured(self, params: Mapping[str, Any], rng: np.random.Generator) -> Measured:
        """Return the surrogate's curve with noise as between seeds."""
        noise = self._spread @ rng.normal(size=len(self._spread))
        (curve,) = self._surrogate.curves([params])
        n = len(EPOCHS)
        return Measured(list(zip(curve[:n] + noise[:n], curve[n : 2 * n], strict=True)), curve[-1] + noise[-1])


def main() -> None:
    """Print how good the surrogate is."""
    from scipy.stats import spearmanr

    surrogate = NetworkSurrogate()
    predicted, noise = surrogate.held_out(), np.sqrt(np.diag(surrogate.noise))
    names = [*(f"validation, epoch {epochs}" for epochs in EPOCHS), f"held out, epoch {EPOCHS[-1]}"]
    n_points = surrogate.groups.max() + 1
    print(f"{len(surrogate.targets)} trainings of {n_points} points, by forests that saw none of their point")
    print(f"{'accuracy':22s}  mean    sd  sd between seeds  R²    rank correlation")
    columns = [*range(len(EPOCHS)), 2 * len(EPOCHS)]
    for name, column, sd in zip(names, columns, noise, strict=True):
        true, found = surrogate.targets[:, column], predicted[:, column]
        r2 = 1 - ((true - found) ** 2).sum() / ((true - true.mean()) ** 2).sum()
        rank = spearmanr(true, found)[0]
        print(f"{name:22s}  {true.mean():.3f}  {true.std():.3f}  {sd:16.3f}  {r2:.2f}  {rank:.2f}")
    ends = surrogate.targets[:, len(EPOCHS) - 1], surrogate.targets[:, -1]
    print(f"rank correlation of validation and held out at the end: {spearmanr(*ends)[0]:.2f}")


if __name__ == "__main__":
    main()
