"""`asc predict`: scenes of recordings, by an exported candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import JsonOption, terminal


def predict(
    candidate: Annotated[
        Path,
        typer.Argument(
            metavar="CANDIDATE",
            help="A candidate's folder, RUN/candidates/NAME, or its zip.",
            show_default=False,
        ),
    ],
    audio: Annotated[list[Path], typer.Argument(metavar="AUDIO...", help="Audio files.", show_default=False)],
    top: Annotated[int, typer.Option("--top", min=1, help="Scenes to print per recording.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Classify recordings with an exported candidate, including feature extraction."""
    from asc_models.classifier import Classifier

    screen = terminal()
    probabilities = Classifier(candidate).predict(audio)
    if as_json:
        rows = probabilities.astype(float).to_dict("records")
        screen.json([{"file": str(path), "probabilities": row} for path, row in zip(audio, rows, strict=True)])
        return
    for path, row in probabilities.iterrows():  # one line each, without a table: paths are long
        best = row.sort_values(ascending=False, kind="stable").head(top)
        screen.say(f"{path}: {', '.join(f'{scene} {share:.2f}' for scene, share in best.items())}")
