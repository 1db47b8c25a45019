"""`asc score`: score a system's output file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import JsonOption, terminal


def score(
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT.csv", help="Output file in the challenge's format.", show_default=False)
    ],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH.csv", help="Labels: columns filename and scene_label.", show_default=False)
    ],
    as_json: JsonOption = False,
) -> None:
    """Score an output file: macro accuracy and log loss, in total, by scene and by device."""
    from results.score import score_submission

    metrics = score_submission(output, truth)
    screen = terminal()
    if as_json:
        screen.json(metrics)
        return
    columns = ("macro accuracy", "log loss", "clips")
    screen.table("Overall", columns, [(metrics["macro_accuracy"], metrics["log_loss"], metrics["n_clips"])])
    if absent := metrics.get("absent_scenes"):
        screen.say(
            f"macro accuracy: over {len(metrics['by_scene'])} scenes; the truth has no clip of {', '.join(absent)}"
        )
    for group in ("by_scene", "by_device"):
        rows = [(name, *values.values()) for name, values in metrics.get(group, {}).items()]
        if rows:
            screen.table(group.replace("_", " ").capitalize(), (group.removeprefix("by_"), *columns), rows)
