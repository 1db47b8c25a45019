"""Every figure of prepared data, drawn and written."""

from __future__ import annotations

from pathlib import Path

from data_prep.figures.counts import count_figure
from data_prep.figures.data import read_plot_data
from data_prep.figures.log_mels import log_mel_figure
from data_prep.figures.spectra import spectra_figure
from data_prep.figures.style import LIGHT, styled, write_figure
from data_prep.store import Location


def write_figures(shards: Location, folder: Path, *, fold: int | None = None, n_examples: int = 3) -> list[Path]:
    """Draw what the shards hold into `folder`, each figure as PNG and SVG, and return the PNGs.

    Figures: `log_mels` (a few training clips of each scene, with deltas), `spectra` (device averages, before and after
    spectrum correction where it was prepared) and `counts` (by scene, device and split).

    Args:
        shards: where the shards are.
        folder: made if need be.
        fold: which fold; None is the lowest.
        n_examples: clips of each scene in `log_mels`.

    Raises:
        DataError: as `read_plot_data`.
    """
    data = read_plot_data(shards, fold, n_examples)
    written = []
    for stem, draw in (("log_mels", log_mel_figure), ("spectra", spectra_figure), ("counts", count_figure)):
        with styled():
            figure = draw(data, LIGHT)
        write_figure(figure, folder, stem)
        written.append(folder / f"{stem}.png")
    return written
