"""What a finished run comes to, as the terminal shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search.cli.terminal import Terminal

if TYPE_CHECKING:
    from results.rundir import RunDirectory


def show_outcome(screen: Terminal, run: RunDirectory, page: Path, seconds: float) -> None:
    """Print the candidates and the ensemble, best validation log loss first, and where the report is."""
    from results.candidates import read_candidates
    from results.ensemble import read_ensembles
    from results.limits import read_size_limit

    limit = read_size_limit(run.read_config())
    rows: list[tuple[object, ...]] = []
    for candidate in read_candidates(run):
        metrics = candidate.metrics
        rows.append(
            (
                candidate.name,
                getattr(metrics, limit.quantity),
                metrics.file_bytes,
                metrics.n_params,
                metrics.value("validation", "macro_accuracy"),
                metrics.value("validation", "log_loss"),
                metrics.value("test", "macro_accuracy"),
                metrics.value("test", "log_loss"),
            )
        )
    for ensemble in read_ensembles(run):
        validation, test = (ensemble.metrics.get(split, {}) for split in ("validation", "test"))
        rows.append(
            (
                f"{ensemble.name} ({len(ensemble.members)})",
                ensemble.total_bytes,
                None,
                None,
                validation.get("macro_accuracy"),
                validation.get("log_loss"),
                test.get("macro_accuracy"),
                test.get("log_loss"),
            )
        )
    columns = ("model", "bytes", "file", "params", "val acc", "loss", "test acc", "loss")
    counted = limit.quantity.replace("_", " ")
    screen.table("Exported files, best validation log loss first", columns, rows)
    screen.say(f"bytes: {counted}, at most {limit.limit:,} ({limit.rule}); acc: macro accuracy; loss: log loss in nats")
    screen.say(f"Report: {page}  ({seconds / 60:.1f} min)")
