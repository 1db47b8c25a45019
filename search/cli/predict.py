"""`asc predict`: an exported candidate on recordings."""

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
            help="A candidate's folder, RUN/candidates/NAME, or the zip in it (or anywhere else).",
            show_default=False,
        ),
    ],
    audio: Annotated[list[Path], typer.Argument(metavar="AUDIO...", help="Recordings.", show_default=False)],
    top: Annotated[int, typer.Option("--top", min=1, help="Scenes to print for each recording.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Name the scene of recordings with an exported file, features and all."""
    from asc_models.candidate import CONFIG, MODEL, opened_candidate, read_candidate_config
    from asc_models.tflite.artifact import Artifact
    from data_prep.reader.reader import extract_files

    screen = terminal()
    with opened_candidate(candidate) as folder:
        config = read_candidate_config(folder / CONFIG)
        artifact = Artifact(folder / MODEL)
    features = extract_files(audio, config.features, config.reader, config.classes, config.statistics)
    probabilities = artifact.predict(features)
    if as_json:
        named = (dict(zip(config.classes, map(float, row), strict=True)) for row in probabilities)
        screen.json([{"file": str(path), "probabilities": row} for path, row in zip(audio, named, strict=True)])
        return
    for path, row in zip(audio, probabilities, strict=True):  # one line each: paths are long, and lines are cut up
        best = row.argsort()[::-1][:top]
        screen.say(f"{path}: {', '.join(f'{config.classes[i]} {row[i]:.2f}' for i in best)}")
