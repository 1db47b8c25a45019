"""Importance of the knobs of a search for the score of its trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

MIN_TRIALS = 12
"""Fewest trials at a rung from which importance is estimated."""
ENOUGH_TRIALS = 30
"""Trials from which a higher rung is preferred to one with more trials."""
MAX_TRIALS = 400
"""Most trials that it is estimated from; of more, random ones."""
N_PARTS = 5
N_TREES = 50
N_SHUFFLES = 5
PREFIX = "param_"


class KnobImportance(NamedTuple):
    """How much worse trials are predicted without knowing a knob."""

    knob: str
    importance: float
    """Drop of R² when the knob's values are shuffled."""
    deviation: float
    """Its standard deviation over parts and shuffles."""


@dataclass(frozen=True, eq=False)
class KnobEffects:
    """Trials at one rung, and the importance of their knobs for macro accuracy."""

    epochs: int
    """Of the rung."""
    trials: pd.DataFrame
    """One row per trial: its knobs, by name, that have several values, and `macro_accuracy` at the rung."""
    r_squared: float
    """Share of the variance of accuracy over held-out trials that their knobs predict."""
    importances: tuple[KnobImportance, ...]
    """Most important first."""


def knob_effects(trials: pd.DataFrame, rungs: pd.DataFrame) -> KnobEffects | None:
    """Return the importance of the knobs at the highest rung that at least `ENOUGH_TRIALS` trials have reached.

    With fewer trials at every rung, at the lowest.

    Permutation importance (Breiman, 2001, "Random Forests") of a random forest that predicts macro accuracy from the
    knobs: each fifth of the trials is predicted by a forest of the others, once with each knob shuffled. None with too
    few trials, or if no knob has several values.
    """
    epochs = _rung(rungs)
    if epochs is None:
        return None
    table = _trials_at(trials, rungs, epochs)
    knobs = [name for name in table.columns if name != "macro_accuracy"]
    if not knobs or table["macro_accuracy"].nunique() < 2:
        return None
    r_squared, drops = _shuffled(_encoded(table[knobs]), table["macro_accuracy"].to_numpy(dtype=np.float64))
    found = [
        KnobImportance(name, float(drop.mean()), float(drop.std())) for name, drop in zip(knobs, drops, strict=True)
    ]
    found.sort(key=lambda one: (-one.importance, one.knob))
    return KnobEffects(epochs, table, r_squared, tuple(found))


def _rung(rungs: pd.DataFrame) -> int | None:
    """Return the epochs of the highest rung with enough scored trials, else of the one with most; None with too few."""
    scored = rungs[rungs["macro_accuracy"].notna()]
    counts = scored.groupby("epochs")["trial_id"].nunique()
    enough = counts[counts >= ENOUGH_TRIALS]
    if not enough.empty:
        return int(enough.index.max())
    most = int(counts.max()) if len(counts) else 0
    return int(counts.index[counts == most].min()) if most >= MIN_TRIALS else None


def _trials_at(trials: pd.DataFrame, rungs: pd.DataFrame, epochs: int) -> pd.DataFrame:
    """Return knobs that vary and macro accuracy of the trials scored at `epochs`, at most `MAX_TRIALS` of them."""
    at = rungs[(rungs["epochs"] == epochs) & rungs["macro_accuracy"].notna()]
    accuracy = at.drop_duplicates("trial_id", keep="last").set_index("trial_id")["macro_accuracy"]
    names = [name for name in trials.columns if name.startswith(PREFIX)]
    known = trials.set_index("trial_id").loc[lambda rows: rows.index.isin(accuracy.index), names]
    if len(known) > MAX_TRIALS:
        chosen = np.sort(np.random.default_rng(0).choice(len(known), MAX_TRIALS, replace=False))
        known = known.iloc[chosen]
    varied = [name for name in names if len(known[name].unique()) > 1]
    table = known[varied].rename(columns=lambda name: name.removeprefix(PREFIX))
    return table.assign(macro_accuracy=accuracy.reindex(known.index).astype("float64"))


def _encoded(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the knobs as numbers, shape (n_trials, n_knobs): texts by their order, −1 where a knob has no effect."""
    columns = []
    for name in table.columns:
        column = table[name]
        if pd.api.types.is_numeric_dtype(column):
            columns.append(column.astype("float64").fillna(-1.0).to_numpy(dtype=np.float64))
        else:
            columns.append(pd.Categorical(column).codes.astype(np.float64))
    return np.column_stack(columns)


def _shuffled(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
    """Return R² over held-out trials, and its drop for each knob, shape (n_knobs, n_parts × n_shuffles)."""
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    part_of = rng.permutation(np.arange(len(y)) % N_PARTS)
    total = float(((y - y.mean()) ** 2).mean())
    errors, drops = np.zeros(len(y)), []
    for part in range(N_PARTS):
        held = part_of == part
        forest = RandomForestRegressor(N_TREES, min_samples_leaf=2, random_state=0).fit(x[~held], y[~held])
        errors[held] = (forest.predict(x[held]) - y[held]) ** 2
        # One call for all shuffles of all knobs: a forest's cost is mostly per call.
        changed = np.tile(x[held], (x.shape[1] * N_SHUFFLES, 1)).reshape(x.shape[1], N_SHUFFLES, int(held.sum()), -1)
        for knob in range(x.shape[1]):
            for shuffle in range(N_SHUFFLES):
                changed[knob, shuffle, :, knob] = rng.permutation(x[held, knob])
        guessed = forest.predict(changed.reshape(-1, x.shape[1])).reshape(changed.shape[:3])
        drops.append((((guessed - y[held]) ** 2).mean(axis=2) - errors[held].mean()) / total)
    return 1.0 - float(errors.mean()) / total, np.concatenate(drops, axis=1)
