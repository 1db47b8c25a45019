"""Progress of a search as tables that fit the terminal, for the live view and `asc status`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from data_prep.wording import duration_text, shortened

if TYPE_CHECKING:
    from results.ledger.progress import RankedTrial, RungCount, SearchProgress

WIDE = 92
"""Terminal width, in columns, from which the best value of each rung is shown."""
NARROW = 72
"""Terminal width below which the two tables are stacked."""
MIN_ROWS = 4
"""Fewest rows of the front, on a low terminal."""
MAX_RUNNING = 8
"""Most running trials that are shown; fewer on a low terminal."""
DAY_S = 86_400.0


class ProgressView:
    """A search's progress; what is shown depends on the terminal's size."""

    def __init__(self, progress: SearchProgress, note: str = "") -> None:
        """Create a view.

        Args:
            progress: of the search.
            note: whether a process works on the run; empty in the process that does.
        """
        self._progress = progress
        self._note = note

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the tables for the terminal's size."""
        progress, width = self._progress, options.max_width
        height = options.height or console.height
        running = _running(progress, min(MAX_RUNNING, max(2, height // 6)))
        n_other_lines = 7 + len(progress.failures) + bool(self._note) + (running.row_count + 2 if running else 0)
        scored = scores_line(progress)
        n_other_lines += bool(scored)
        is_narrow = width < NARROW
        n_rows = max(MIN_ROWS, height - n_other_lines - (len(progress.rungs) + 2 if is_narrow else 0))
        rungs, front = _rungs(progress.rungs, is_wide=width >= WIDE), _front(progress, n_rows)
        tables: RenderableType = front
        if progress.rungs:
            tables = Group(rungs, Text(), front) if is_narrow else _side_by_side(rungs, front)
        yield Text(headline(progress), style="bold")
        yield Text(states_line(progress))
        if scored:
            yield Text(scored)
        if self._note:
            yield Text(self._note, style="dim")
        yield Text()
        if running:
            yield running
            yield Text()
        yield tables
        for reason, count in progress.failures:
            text = Text(f"failed, {count:,} ×: {' '.join(reason.split())}", style="yellow")
            text.truncate(width, overflow="ellipsis")
            yield text


def headline(progress: SearchProgress) -> str:
    """Return counts, rate and estimated time left in one line."""
    session = progress.session
    asked = f" of {progress.n_trials:,}" if progress.n_trials is not None else ""
    rate = f" ({rate_text(session.epochs_per_s)})" if session.epochs_per_s else ""
    parts = [f"Search: {progress.n_started:,}{asked} trials"]
    if progress.epochs:
        parts.append(f"{progress.epochs:,} epochs{rate}")
    if session.started is not None:
        parts.append(f"{duration_text(session.seconds)} {'in total' if session.end else 'so far'}")
    if progress.seconds_left is not None:
        left = progress.seconds_left
        parts.append(f"about {duration_text(left)} left{_end_text(progress)}" if left >= 5 else "nearly done")
    return ", ".join(parts)


def _end_text(progress: SearchProgress) -> str:
    """Return the estimated end in local time, if it is not within the next minutes: ` (until 18:40)`."""
    if progress.ends is None or progress.seconds_left is None or progress.seconds_left < 99.5:
        return ""
    pattern = "%H:%M" if progress.seconds_left < DAY_S else "%a %d %b %H:%M"
    return f" (until {time.strftime(pattern, time.localtime(progress.ends))})"


def states_line(progress: SearchProgress) -> str:
    """Return the number of trials in each state, and of proposals over the limit."""
    parts = [f"{n:,} {state}" for state, n in progress.states.items()]
    if progress.n_retries:
        parts.append(f"{progress.n_retries:,} retried")
    return "; ".join([", ".join(parts) or "none yet", f"{progress.n_infeasible:,} over the limit, not trained"])


def scores_line(progress: SearchProgress) -> str:
    """Return over how many parts trials are scored out of fold at the rungs; empty if they are on validation."""
    if all(rung.folds == 1 for rung in progress.rungs):
        return ""
    each = ", ".join(f"{rung.folds:,}" for rung in progress.rungs)
    return f"scores out of fold, by {each} networks a trial"


def one_line(progress: SearchProgress) -> str:
    """Return the progress as one line for a log."""
    best = progress.front[-1] if progress.front else None
    text = f"{headline(progress)}; {states_line(progress)}"
    if best is None:
        return text
    return f"{text}; best finished: {100 * best.macro_accuracy:.1f} % in {best.weight_bytes:,} bytes"


def rate_text(epochs_per_s: float) -> str:
    """Return a rate per second, or per minute if it is below 0.1/s."""
    if epochs_per_s < 0.1:
        return f"{60 * epochs_per_s:.2g}/min"
    return f"{epochs_per_s:.2g}/s" if epochs_per_s < 10 else f"{epochs_per_s:.0f}/s"


def _side_by_side(left: Table, right: Table) -> Table:
    grid = Table.grid(padding=(0, 4, 0, 0))
    grid.add_row(left, right)
    return grid


def _running(progress: SearchProgress, n_rows: int) -> Table | None:
    """Return what each running trial is doing, the longest running first; None if none has reported."""
    if not progress.running:
        return None
    now = (progress.session.started or 0.0) + progress.session.seconds
    table = _table()
    for name in ("running", "node"):
        table.add_column(name, no_wrap=True)
    for name in ("rung", "epoch", "loss", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in sorted(progress.running, key=lambda trial: trial.started)[:n_rows]:
        doing = f"{trial.epoch:,} of {trial.epochs:,}" if trial.phase == "training" else trial.phase
        table.add_row(
            Text(shortened(trial.trial_id, 10)),
            Text(shortened(trial.node, 16)),
            f"{trial.rung + 1} of {len(progress.rungs)}",
            doing,
            "–" if trial.loss is None else f"{trial.loss:.3f}",
            duration_text(max(0.0, now - trial.started)),
        )
    n_others = max(progress.states.get("running", 0), len(progress.running)) - min(n_rows, len(progress.running))
    if n_others:
        table.add_row(Text(f"and {n_others:,} more"), style="dim")
    return table


def _rungs(rungs: Sequence[RungCount], *, is_wide: bool) -> Table:
    table = _table()
    for name in ("epochs", "reached", "promoted", "paused", *(["best"] if is_wide else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for rung in rungs:
        is_last = rung is rungs[-1]
        cells = [rung.n_reached, "" if is_last else rung.n_went_on, "" if is_last else rung.n_paused]
        best = ["–" if rung.best is None else f"{100 * rung.best:.1f} %"] if is_wide else []
        style = None if rung.n_reached else "dim"
        table.add_row(f"{rung.epochs:,}", *(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells), *best,
                      style=style)  # fmt: skip
    return table


def _front(progress: SearchProgress, n_rows: int) -> Table:
    """Return the front of the finished trials, largest first, then in grey the best of the unfinished ones."""
    table = _table()
    table.add_column("front so far", no_wrap=True)
    for name in ("epochs", "accuracy", "bytes"):
        table.add_column(name, justify="right", no_wrap=True)
    n_later = min(len(progress.provisional), max(2, n_rows - len(progress.front) - 2))
    finished = _spread(progress.front[::-1], max(1, n_rows - n_later - 2))
    for trial in finished:
        table.add_row(*_cells(trial, trial.trial_id))
    if len(finished) < len(progress.front):
        table.add_row(f"and {len(progress.front) - len(finished):,} more", style="dim")
    if not progress.front:
        table.add_row("none finished yet", style="dim")
    if n_later:
        table.add_row("not finished:", style="dim")
    for trial in progress.provisional[::-1][:n_later]:
        table.add_row(*_cells(trial, f"{trial.trial_id} {trial.state}"), style="dim")
    return table


def _spread(trials: Sequence[RankedTrial], n: int) -> list[RankedTrial]:
    """Return at most `n` trials, evenly spaced, including the first and the last."""
    if len(trials) <= n or n < 2:
        return list(trials[: max(1, n)]) if len(trials) > n else list(trials)
    return [trials[round(number * (len(trials) - 1) / (n - 1))] for number in range(n)]


def _cells(trial: RankedTrial, name: str) -> list[str]:
    return [name, f"{trial.epochs:,}", f"{100 * trial.macro_accuracy:.1f} %", f"{trial.weight_bytes:,}"]


def _table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
