"""Drawing of all figures of prepared data."""

from __future__ import annotations

from pathlib import Path

from data_prep.figures.counts import count_figure
from data_prep.figures.data import read_plot_data
from data_prep.figures.log_mels import log_mel_figure
from data_prep.figures.spectra import spectra_figure
from data_prep.figures.style import LIGHT, styled, write_figure
from data_prep.store.store import Location


def write_figures(shards: Location, folder: Path, *, fold: int | None = None, n_examples: int = 3) -> list[Path]:
    """Draw the figures of prepared data into `folder`, each as PNG and SVG, and return the paths of the PNGs.

    Figures: `log_mels` (a few training clips of each scene, with deltas), `spectra` (averages of devices, before and
    after spectrum correction if it was prepared) and `counts` (by scene, device and split). The first two need training
    clips: a fold without any, such as that of an evaluation set, has `counts` only.

    Args:
        shards: folder or URI of the shards.
        folder: created if missing.
        fold: number of the fold; None is the lowest.
        n_examples: clips per scene in `log_mels`.

    Raises:
        DataError: as `read_plot_data`.
    """
    data = read_plot_data(shards, fold, n_examples)
    figures = [("log_mels", log_mel_figure), ("spectra", spectra_figure)] if data.examples else []
    written = []
    for stem, draw in (*figures, ("counts", count_figure)):
        with styled():
            figure = draw(data, LIGHT)
        write_figure(figure, folder, stem)
        written.append(folder / f"{stem}.png")
    return written
