"""`asc bench`: latency and memory of an exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import JsonOption, terminal


def bench(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A candidate or ensemble, as a folder or zip, or a .tflite file.",
            show_default=False,
        ),
    ],
    n_clips: Annotated[int, typer.Option("--clips", min=1, help="Number of clips to time.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Measure latency per clip on one thread, and peak memory, in a separate process.

    The members of an ensemble are loaded together and run in turn on each clip.
    """
    from dataclasses import asdict

    from asc_models.ensemble import opened_system
    from asc_models.tflite.bench import bench as run

    screen = terminal()
    if model.suffix == ".tflite" and not model.is_dir():
        cost = run(model, n_clips)
    else:
        with opened_system(model) as system:
            cost = run(system.model_paths, n_clips)
    if as_json:
        screen.json(asdict(cost))
        return
    rows = [
        ("ms per clip, median", cost.median_ms),
        ("ms per clip, 95th percentile", cost.p95_ms),
        ("clips timed", cost.n_clips),
        ("peak memory, bytes", cost.peak_rss_bytes),
        ("of which before loading the model", cost.idle_rss_bytes),
    ]
    screen.table(f"{model} on one thread, without feature extraction", ("quantity", "value"), rows)
