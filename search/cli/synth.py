"""`asc synth`: write the synthesized corpus of the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import terminal


def synth(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the data set.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    clip_seconds: Annotated[float, typer.Option(help="Length of a clip in seconds.")] = 10.0,
    locations: Annotated[int, typer.Option(help="Locations per scene; about a third are in the test split.")] = 12,
    segments: Annotated[int, typer.Option(help="Recorded segments per location.")] = 4,
    cities: Annotated[int, typer.Option(help="Number of cities that the locations are spread over.")] = 4,
) -> None:
    """Synthesize a corpus in the layout of TAU Urban Acoustic Scenes 2020 Mobile: ten scenes, nine devices."""
    from data_prep.config import SynthConfig
    from data_prep.schema import parse_config
    from data_prep.synth import synthesize

    config = parse_config(
        SynthConfig,
        {
            "seed": seed,
            "clip_seconds": clip_seconds,
            "n_locations": locations,
            "n_segments": segments,
            "n_cities": cities,
        },
        "asc synth",
    )
    screen = terminal()
    with screen.stage("Synthesize", "clips") as on_progress:
        n_clips = synthesize(out, config, on_progress)
    screen.say(f"{out}: {n_clips:,} clips of {config.clip_seconds:g} s")
