"""How well searches search: ours, OptunaSearch with ASHA as wired today, and chance, on the table of trained networks.

    python tests/benchmarks/search_report.py [--seeds 20] [--workers 2 8] [--epochs 900] [--out FOLDER]

Replays every method over the table (search_table.parquet; search_table.py made it) with each seed and each number of
simulated workers, and reports, mean ± standard error over seeds: regret (the best macro accuracy in the table at the
last rung inside the limit, less the best of what the method has finished there), hypervolume (of finished trials inside
the limit, in macro accuracy × weight bytes with the reference point at chance and the limit, as a share of the
hypervolume of the table's own front), and the share of epochs spent on networks over the limit. Then the epochs at
which ours has what the peers have at the very end. Trials count where they are finished: paused and stopped ones don't.

Ours was tuned on seeds 100 to 109 (`--tune` prints that comparison of strategies, schedulers and reduction factors);
the report's seeds begin at 0.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from search_simulator import Curves, Method, OptunaWithAsha, Ours, Table, curves, describe_table, read_table, simulate

from data_prep.files.files import written_whole
from search.study.config import SearchConfig

TABLE = Path(__file__).with_name("search_table.parquet")
OUT = Path(__file__).parents[2] / "results" / "reference" / "search"
TUNING_SEEDS = range(100, 110)
N_POINTS = 60
"""Points of a curve."""
TWO = ("macro_accuracy", "weight_bytes")

Make = Callable[[Table, int], Method]


@dataclass(frozen=True)
class Named:
    """A method in the report."""

    name: str
    make: Make
    colour: str
    is_ours: bool = False


def ours(strategy: str, scheduler: str, eta: int) -> Make:
    """Return the making of a search of ours."""
    return lambda table, seed: Ours(table, seed, strategy=strategy, scheduler=scheduler, eta=eta)


def optuna_asha(eta: int, *metrics: str) -> Make:
    """Return the making of the peer."""
    return lambda table, seed: OptunaWithAsha(table, seed, eta=eta, metric=metrics or "macro_accuracy")


def methods(peer_eta: int) -> list[Named]:
    """Return what the report compares; ours with the settings that a search has by default."""
    settings = SearchConfig()
    default = ours(settings.strategy, settings.scheduler, settings.eta)
    return [
        Named("random feasible", ours("random", "none", 2), "#9a9a9a"),
        Named("random feasible + ASHA", ours("random", "asha", 2), "#c9a227"),
        Named("OptunaSearch + ASHA", optuna_asha(peer_eta), "#c0392b"),
        Named("OptunaSearch, two objectives, + ASHA", optuna_asha(peer_eta, *TWO), "#e59866"),
        Named("ours", default, "#1f618d", is_ours=True),
        Named("ours without halving", ours(settings.strategy, "none", settings.eta), "#48a9a6"),
    ]


def replay(table: Table, make: Make, seeds: Sequence[int], n_workers: int, grid: Sequence[int]) -> list[Curves]:
    """Return the curves of a method, one for each seed."""
    found = []
    for seed in seeds:
        history = simulate(table, make(table, seed), n_workers=n_workers, max_epochs=grid[-1])
        found.append(curves(table, history, grid))
    return found


def mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over the first axis and its standard error."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def noise(path: Path) -> list[dict[str, Any]]:
    """Return, rung by rung, how much a second seed differs and how well the rung tells the order at the last."""
    import pandas as pd
    from scipy.stats import spearmanr

    rows = pd.read_parquet(path)
    knobs = list(rows.columns[: rows.columns.get_loc("seed")])
    networks = [rows[knob].fillna(0) for knob in knobs]
    wide = rows.pivot_table("macro_accuracy", index=networks, columns=["seed", "epochs"])
    last = wide.columns.get_level_values("epochs").max()
    found = []
    for epochs in sorted(rows["epochs"].unique()):
        first, both = wide[0][epochs], wide[[(0, epochs), (1, epochs)]].dropna()
        differences = both[0][epochs] - both[1][epochs]
        found.append(
            {
                "epochs": int(epochs),
                "networks": int(first.notna().sum()),
                "with_two_seeds": len(both),
                "mean": round(float(first.mean()), 4),
                "sd_over_networks": round(float(first.std()), 4),
                "sd_over_seeds": round(float(differences.std() / np.sqrt(2)), 4),
                "rank_correlation_with_last": round(float(spearmanr(first, wide[0][last], nan_policy="omit")[0]), 3),
                "rank_correlation_of_seeds": round(float(spearmanr(both[0][epochs], both[1][epochs])[0]), 3),
            }
        )
    return found


def reached_at(grid: Sequence[int], volumes: np.ndarray, target: float) -> float:
    """Return the epochs from which a curve is at least at `target`; infinite where it never is."""
    above = np.flatnonzero(volumes >= target)
    return float(grid[above[0]]) if len(above) else float("inf")


def against(grid: Sequence[int], mine: Sequence[Curves], theirs: Sequence[Curves]) -> dict[str, float]:
    """Return at which share of its epochs ours has the peer's final hypervolume.

    `of_means` from the mean curves; `per_seed` the mean over seeds, each against the peer's mean at the end, where a
    seed of ours that never has it counts as all epochs.
    """
    volumes = np.array([curve.hypervolume for curve in mine])
    target = float(np.mean([curve.hypervolume[-1] for curve in theirs]))
    ratios = np.array([min(1.0, reached_at(grid, volume, target) / grid[-1]) for volume in volumes])
    mean, error = mean_and_error(ratios)
    return {
        "target": target,
        "of_means": reached_at(grid, volumes.mean(axis=0), target) / grid[-1],
        "per_seed": float(mean),
        "per_seed_error": float(error),
    }


def report(table: Table, arguments: argparse.Namespace) -> None:
    """Replay everything and write tables and plots."""
    grid = [round(arguments.epochs * (index + 1) / N_POINTS) for index in range(N_POINTS)]
    marks = [index for index in range(N_POINTS) if (index + 1) * 6 % N_POINTS == 0]
    rows: list[dict[str, Any]] = []
    plots: dict[int, dict[str, tuple[Named, list[Curves]]]] = {}
    for n_workers in arguments.workers:
        found = {
            m.name: (m, replay(table, m.make, range(arguments.seeds), n_workers, grid))
            for m in methods(arguments.peer_eta)
        }
        plots[n_workers] = found
        for name, (_, all_curves) in found.items():
            for index in marks:
                row: dict[str, Any] = {"workers": n_workers, "method": name, "epochs": grid[index]}
                for quantity in ("regret", "hypervolume", "infeasible_share"):
                    mean, error = mean_and_error(np.array([getattr(c, quantity)[index] for c in all_curves]))
                    row |= {quantity: round(float(mean), 4), f"{quantity}_se": round(float(error), 4)}
                rows.append(row)
    ratios = [
        {"workers": n, "peer": name, **{key: round(value, 4) for key, value in against(grid, mine, theirs).items()}}
        for n, found in plots.items()
        for name, (method, theirs) in found.items()
        if not name.startswith("ours")
        for mine in [next(c for m, c in found.values() if m.is_ours)]
    ]
    tables = {"curves": rows, "epochs_to_match": ratios, "table_noise": noise(arguments.table)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, content in tables.items():
        write_csv(arguments.out / f"{name}.csv", content)
    text = summary(table, tables, arguments)
    with written_whole(arguments.out / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)
    for suffix in ("png", "svg"):
        draw(grid, plots, arguments.out / f"search.{suffix}")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with a header."""
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def summary(table: Table, tables: Mapping[str, Sequence[Mapping[str, Any]]], arguments: argparse.Namespace) -> str:
    """Return the report in Markdown."""
    settings = SearchConfig()
    lines = [
        "# The benchmark of search",
        "",
        f"Written by `tests/benchmarks/search_report.py`: {arguments.seeds} seeds, {arguments.epochs} epochs. Ours is "
        f"strategy `{settings.strategy}`, scheduler `{settings.scheduler}`, eta {settings.eta}, n_startup "
        f"{settings.n_startup}: the defaults of `search`. ASHA's reduction factor is {arguments.peer_eta}.",
        "",
        f"Table: {describe_table(table)}",
        "",
        "Regret in macro accuracy; hypervolume as a share of the table's own front's (reference point: an accuracy of "
        "0.1 and the limit); both of finished trials inside the limit. Mean ± standard error over seeds.",
        "",
        "| workers | method | epochs | regret | hypervolume | % of epochs over the limit |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for row in tables["curves"]:
        lines.append(
            f"| {row['workers']} | {row['method']} | {row['epochs']} | {row['regret']:.4f} ± {row['regret_se']:.4f} | "
            f"{row['hypervolume']:.3f} ± {row['hypervolume_se']:.3f} | "
            f"{100 * row['infeasible_share']:.1f} ± {100 * row['infeasible_share_se']:.1f} |"
        )
    lines += [
        "",
        "At which share of all epochs ours has the hypervolume that the other has at the end (of the mean curves; and "
        "the mean over seeds of ours):",
        "",
        "| workers | against | its final hypervolume | share, mean curves | share, over seeds |",
        "|---:|---|---:|---:|---:|",
    ]
    for row in tables["epochs_to_match"]:
        lines.append(
            f"| {row['workers']} | {row['peer']} | {row['target']:.3f} | {row['of_means']:.3f} | "
            f"{row['per_seed']:.3f} ± {row['per_seed_error']:.3f} |"
        )
    lines += ["", "The table's noise, rung by rung:", ""]
    names = list(tables["table_noise"][0])
    lines += ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + "---:|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in tables["table_noise"]]
    return "\n".join([*lines, ""])


def draw(grid: Sequence[int], plots: Mapping[int, Mapping[str, tuple[Named, list[Curves]]]], path: Path) -> None:
    """Draw hypervolume and regret against epochs, a row of panels for each number of workers."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(plots), 2, figsize=(11, 4.2 * len(plots)), squeeze=False, layout="constrained")
    for (n_workers, found), (left, right) in zip(plots.items(), axes, strict=True):
        for axis, quantity, label in (
            (left, "hypervolume", "hypervolume, share of the table's front's"),
            (right, "regret", "regret in macro accuracy"),
        ):
            for name, (method, all_curves) in found.items():
                mean, error = mean_and_error(np.array([getattr(curve, quantity) for curve in all_curves]))
                axis.plot(grid, mean, label=name, color=method.colour, linewidth=2.4 if method.is_ours else 1.5)
                axis.fill_between(grid, mean - error, mean + error, color=method.colour, alpha=0.2, linewidth=0)
            axis.set_xlabel("epochs spent, all workers")
            axis.set_ylabel(label)
            axis.grid(alpha=0.3)
            axis.set_title(f"{n_workers} workers")
        left.set_ylim(0, 1.02)
        right.set_yscale("log")
    axes[0, 0].legend(loc="lower right", fontsize=8)
    with written_whole(path) as temporary:
        figure.savefig(
            temporary, dpi=130, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else None
        )
    plt.close(figure)


def tune(table: Table, arguments: argparse.Namespace) -> None:
    """Print strategies × schedulers × eta, and the peer's eta, on the tuning seeds."""
    grid = [arguments.epochs // 6, arguments.epochs // 3, arguments.epochs]
    makes: dict[str, Make] = {}
    for strategy in arguments.strategies:
        for scheduler, etas in (("pareto", (2, 3, 4)), ("asha", (2, 3)), ("hyperband", (2, 3)), ("none", (2,))):
            makes |= {f"{strategy} {scheduler} {eta}": ours(strategy, scheduler, eta) for eta in etas}
    if arguments.peers:
        makes |= {f"OptunaSearch + ASHA {eta}": optuna_asha(eta) for eta in (2, 3, 4)}
        makes |= {f"OptunaSearch, two objectives, + ASHA {eta}": optuna_asha(eta, *TWO) for eta in (2, 3, 4)}
    for name, make in makes.items():
        found = replay(table, make, TUNING_SEEDS, arguments.workers[0], grid)
        volumes, error = mean_and_error(np.array([curve.hypervolume for curve in found]))
        regrets, _ = mean_and_error(np.array([curve.regret for curve in found]))
        print(f"{name:42s} hypervolume {volumes.round(3)} ± {error.round(3)} regret {regrets.round(4)}", flush=True)


def main() -> None:
    """Report, or compare settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--epochs", type=int, default=900, help="epochs that a search may spend")
    parser.add_argument("--first-rung", type=int, default=1, help="rungs of the table before this one are left out")
    parser.add_argument("--peer-eta", type=int, default=4, help="ASHA's reduction factor: Ray's default")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--tune", action="store_true", help="compare settings on the tuning seeds instead")
    parser.add_argument("--strategies", nargs="+", default=["random", "reject", "repair", "front"])
    parser.add_argument("--peers", action="store_true", help="with --tune: ASHA's reduction factors too")
    arguments = parser.parse_args()
    table = read_table(arguments.table, first_rung=arguments.first_rung)
    if arguments.tune:
        tune(table, arguments)
    else:
        report(table, arguments)


if __name__ == "__main__":
    main()
