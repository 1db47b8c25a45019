"""Tables of finished searches: means with their errors, paired differences, ranks, and hypervolume against time.

The error of a mean is over all searches of a method. That of a difference to the first method is over tasks and limits,
since seeds of a task share its surface; of a single task it is over its searches, and says nothing of other tasks.
Ranks are compared by the tests of Friedman and Nemenyi, of two methods by Wilcoxon's (Demšar, 2006, "Statistical
Comparisons of Classifiers over Multiple Data Sets", JMLR).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from search_task import full_epochs

from data_prep.files.files import written_whole

if TYPE_CHECKING:
    import pandas as pd

MARKS = {"third": 1 / 3, "two_thirds": 2 / 3, "all": 1.0}
"""Shares of the epochs at which is reported."""
QUANTITIES = ("volume", "log_volume", "regret")
TIMES = (0.25, 1 / 3, 0.5, 2 / 3, 1.0, 1.25, 1.5, 2.0)
"""Of the simulated time that all epochs would take without any decision: where the curve of hypervolume has points."""
PAIR = ["task", "share", "seed"]
"""Columns by which searches of two methods are paired."""


def table_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as numbers, but for the method's and the task's name."""
    import pandas as pd

    table = pd.DataFrame(rows)
    numbers = [column for column in table.columns if column not in {"method", "task"}]
    table[numbers] = table[numbers].astype(float)
    return table


def summary(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Return the report's lines: of methods that have rows, differences to the first of them."""
    if not rows:
        return ["no searches"]
    table = table_of(rows)
    names = [name for name in names if name in set(table["method"])]
    lines = []
    for mark, share in MARKS.items():
        lines += ["", f"after {share:.0%} of the epochs; in brackets the paired difference to {names[0]}", ""]
        lines += [f"{'method':24s}  searches  hypervolume on test            over ln(bytes)  regret on test, points"]
        for name in names:
            lines.append(_line(table, names[0], name, mark))
        if len(names) > 1:
            lines += ["", ranks(table, names, f"volume_{mark}")]
    lines += ["", *costs(table, names), "", *curve(table, names)]
    return lines


def _line(table: pd.DataFrame, first: str, name: str, mark: str) -> str:
    mine = table[table["method"] == name]
    volume = mean_and_error(mine[f"volume_{mark}"].to_numpy())
    regret = mean_and_error(100 * mine[f"regret_{mark}"].to_numpy())
    log_volume = mine[f"log_volume_{mark}"].mean()
    texts = [with_error(*volume, ".3f"), with_error(*regret, ".1f")]
    if name != first:
        for index, (quantity, scale, digits) in enumerate([("volume", 1, 3), ("regret", 100, 1)]):
            mean, error = difference(table, first, name, f"{quantity}_{mark}")
            texts[index] += f" ({with_error(scale * mean, scale * error, f'.{digits}f', sign='+')})"
    return f"{name:24s}  {len(mine):8d}  {texts[0]:31s}  {log_volume:12.3f}  {texts[1]}"


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Return a mean and its standard error, which is unknown of a single value."""
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
    return float(values.mean()), error


def with_error(mean: float, error: float, digits: str, sign: str = "") -> str:
    """Return a mean with its error, if that is known."""
    return f"{mean:{sign}{digits}}" + ("" if math.isnan(error) else f" ± {error:{digits}}")


def blocks_of(table: pd.DataFrame) -> list[str]:
    """Return the columns that tell apart what differences are over: tasks and limits, or one task's searches."""
    return PAIR if len(set(table["task"])) == 1 else ["task", "share"]


def difference(table: pd.DataFrame, first: str, name: str, column: str) -> tuple[float, float]:
    """Return the mean difference of a method to another on the searches of both, and its error."""
    wide = table[table["method"].isin([first, name])].pivot_table(column, index=PAIR, columns="method").dropna()
    if wide.empty:
        return math.nan, math.nan
    return mean_and_error((wide[name] - wide[first]).groupby(level=blocks_of(table)).mean().to_numpy())


def ranks(table: pd.DataFrame, names: Sequence[str], column: str) -> str:
    """Return a line of the average ranks over the tasks and limits (`blocks_of`) that all methods have, 1 the best.

    Two methods are compared by Wilcoxon's signed-rank test, more by Friedman's.
    """
    from scipy.stats import friedmanchisquare, wilcoxon

    blocks = blocks_of(table)
    of_what = "searches of one task" if "seed" in blocks else "tasks and limits"
    means = table.pivot_table(column, index=blocks, columns="method")[list(names)].dropna()
    n, k = means.shape
    if n < 2:
        return f"ranks need two {of_what} that all methods have; there are {n}"
    average = means.rank(axis=1, ascending=False).mean().sort_values()
    text = ", ".join(f"{name} {rank:.2f}" for name, rank in average.items())
    values = means.T.to_numpy()
    if k == 2:
        return f"ranks ({n} {of_what}, Wilcoxon p = {float(wilcoxon(*values).pvalue):.2g}): {text}"
    p = float(friedmanchisquare(*values).pvalue)
    return f"ranks ({n} {of_what}, Friedman p = {p:.2g}, differ from {critical_difference(n, k):.2f} on): {text}"


def critical_difference(n: int, k: int) -> float:
    """Return from which difference on two of `k` average ranks over `n` tasks differ at 5 %, by Nemenyi's test."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(0.95, k, np.inf) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n)))


def costs(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return lines of what methods cost."""
    lines = [f"{'method':24s}  trials  ms a proposal  % of epochs over the limit  seconds a search"]
    for name in names:
        mine = table[table["method"] == name].mean(numeric_only=True)
        over = f"{100 * mine['over_share']:27.1f}"
        lines.append(f"{name:24s}  {mine['trials']:6.0f}  {mine['ms_a_proposal']:13.0f}{over}  {mine['seconds']:16.0f}")
    return lines


def curve(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return lines of hypervolume against simulated time."""
    ideal, training, workers = ideal_minutes(table), table["training_s"].iloc[0], table["workers"].iloc[0]
    columns = "".join(f"{factor * ideal:8.1f}" for factor in TIMES)
    lines = [
        f"hypervolume on test against simulated minutes: a full training takes {training:g} s, {workers:g} at a time, "
        f"proposals their measured time, one after the other; {ideal:.1f} minutes are all epochs without any",
        "",
        f"{'method':24s}{columns}",
    ]
    for name in names:
        mine = table[table["method"] == name].mean(numeric_only=True)
        lines.append(f"{name:24s}" + "".join(f"{mine[f'volume_at_{factor:g}']:8.3f}" for factor in TIMES))
    return lines


def ideal_minutes(table: pd.DataFrame) -> float:
    """Return the minutes that all epochs take if no worker ever waits."""
    first = table.iloc[0]
    return float(first["epochs"] * first["training_s"] / full_epochs(first["task"]) / first["workers"] / 60)


def draw(rows: Sequence[Mapping[str, Any]], names: Sequence[str], path: Path) -> None:
    """Draw the mean hypervolume against simulated time, a line for each method."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    table = table_of(rows)
    figure, axis = plt.subplots(figsize=(9, 5.5), layout="constrained")
    minutes = [factor * ideal_minutes(table) for factor in TIMES]
    colours = plt.get_cmap("tab20").colors  # type: ignore[attr-defined]
    for index, name in enumerate(name for name in names if name in set(table["method"])):
        mine = table[table["method"] == name].mean(numeric_only=True)
        style = "--" if name.endswith("none") else "-"
        volumes = [mine[f"volume_at_{factor:g}"] for factor in TIMES]
        axis.plot(minutes, volumes, style, color=colours[index % len(colours)], label=name)
    axis.set(xlabel="simulated minutes", ylabel="hypervolume on test, share of the random points'")
    axis.legend(fontsize=7, ncols=2)
    axis.grid(alpha=0.3)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=130, format=path.suffix[1:])
    plt.close(figure)
