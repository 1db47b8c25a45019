"""`asc status`: how far a run has come."""

from __future__ import annotations

from typing import Any

from search.cli.options import JsonOption, RunArgument, terminal


def status(run: RunArgument, as_json: JsonOption = False) -> None:
    """Say how far a run has come, from its ledger; works while it runs."""
    from results.candidates import read_candidates
    from results.ledger import Ledger
    from results.rundir import RunDirectory
    from results.trials import trials_table
    from search.opening import read_run

    directory = RunDirectory(run)
    config = read_run(directory)
    trials = trials_table(Ledger(directory.ledger_path).events())
    states = {str(state): int(n) for state, n in trials["state"].value_counts().items()} if len(trials) else {}
    candidates = read_candidates(directory)
    summary: dict[str, Any] = {
        "run": str(directory.root),
        "n_trials": config.search.n_trials if config.search else 0,
        "states": states,
        "candidates": [candidate.name for candidate in candidates],
        "has_ensemble": directory.ensembles_path.exists(),
        "has_report": (directory.report_dir / "index.html").exists(),
    }
    screen = terminal()
    if as_json:
        screen.json(summary)
        return
    n_ended = sum(states.get(state, 0) for state in ("finished", "stopped", "failed"))
    screen.say(f"{directory.root}: {n_ended} of {summary['n_trials']} trials ended, {len(candidates)} retrained")
    if states:
        screen.table("Trials", ("state", "trials"), sorted(states.items()))
    best = trials[trials["macro_accuracy"].notna()] if len(trials) else trials
    if len(best):
        best = best.sort_values(["epochs", "macro_accuracy", "log_loss"], ascending=[False, False, True]).head(5)
        columns = ["trial_id", "state", "epochs", "macro_accuracy", "log_loss", "weight_bytes", "macs"]
        rows = [[_plain(value) for value in row] for row in best[columns].itertuples(index=False)]
        screen.table("Furthest and best so far (validation)", columns, rows)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
