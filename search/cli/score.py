"""`asc score`: score a system's output file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.options import JsonOption, terminal

if TYPE_CHECKING:
    from search.cli.screen.terminal import Terminal


def score(
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT",
            help="Output of any system: CSV, TSV or Parquet with file names and one column of scores per scene.",
            show_default=False,
        ),
    ],
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH",
            help="Labels: columns filename and scene_label, optionally source_label (device) and identifier "
            "(location); or predictions of a run.",
            show_default=False,
        ),
    ],
    classes: Annotated[
        str,
        typer.Option(
            "--classes",
            metavar="NAME,NAME",
            help="Scenes in the order of the columns of scores. Default: the header's, or the order in TRUTH if that "
            "is predictions of a run.",
            show_default=False,
        ),
    ] = "",
    values: Annotated[
        str,
        typer.Option(
            "--values",
            metavar="KIND",
            help="What the scores are: probabilities, logits (or log probabilities), or sums (of probabilities, or "
            "percentages). Default: recognised.",
            show_default=False,
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Score the output of any system, in total, by scene and by device.

    A header is optional. Devices and locations are taken from file names as in TAU where TRUTH has none. What was
    recognised is printed; what is ambiguous is refused. The Brier score is the sum over scenes of squared errors (0 to
    2); ECE is the expected calibration error of the most probable scene in 15 bins of equal width.
    """
    from results.outputs.values import parse_values
    from results.score import score_submission

    order = [name.strip() for name in classes.split(",")] if classes else None
    metrics = score_submission(output, truth, classes=order, values=parse_values(values, "--values"))
    screen = terminal()
    if as_json:
        screen.json(metrics)
    else:
        _show(screen, metrics)


def _show(screen: Terminal, metrics: Mapping[str, Any]) -> None:
    """Print the scores: overall, by scene and by device."""
    for note in metrics["notes"]:
        screen.note(note)
    columns = ("macro accuracy", "log loss", "Brier score", "ECE", "clips")
    names = ("macro_accuracy", "log_loss", "brier_score", "calibration_error", "n_clips")
    screen.table("Overall", columns, [[metrics[name] for name in names]])
    if absent := metrics.get("absent_scenes"):
        screen.say(
            f"macro accuracy: over {len(metrics['by_scene'])} scenes; the truth has no clip of {', '.join(absent)}"
        )
    for group in ("by_scene", "by_device"):
        rows = [(name, *scores.values()) for name, scores in metrics.get(group, {}).items()]
        if rows:
            screen.table(
                group.replace("_", " ").capitalize(),
                (group.removeprefix("by_"), "macro accuracy", "log loss", "clips"),
                rows,
            )
