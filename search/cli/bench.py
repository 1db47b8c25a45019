"""`asc bench`: latency, memory and energy of an exported file."""

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
    energy: Annotated[
        bool,
        typer.Option("--energy", help="Measure the energy per clip, too: by RAPL, else an estimate by codecarbon."),
    ] = False,
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
        cost = run(model, n_clips, energy=energy)
    else:
        with opened_system(model) as system:
            cost = run(system.model_paths, n_clips, energy=energy)
    if as_json:
        screen.json({name: value for name, value in asdict(cost).items() if value is not None})
        return
    rows: list[tuple[str, object]] = [
        ("ms per clip, median", cost.median_ms),
        ("ms per clip, 95th percentile", cost.p95_ms),
        ("clips timed", cost.n_clips),
        ("peak memory, bytes", cost.peak_rss_bytes),
        ("of which before loading the model", cost.idle_rss_bytes),
    ]
    if cost.joules_per_clip is not None:
        rows += [("millijoules per clip", 1e3 * cost.joules_per_clip), ("energy by", cost.energy_source)]
    screen.table(f"{model} on one thread, without feature extraction", ("quantity", "value"), rows)
