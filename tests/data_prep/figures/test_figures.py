"""Figures of prepared data show what the shards hold, repeat byte for byte, and name what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_support import asc
from data_prep_support import SMALL, scene_rows, write_lists, write_tree
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import signal

from data_prep.config import PrepareConfig
from data_prep.copies.correction import correction_name
from data_prep.errors import DataError
from data_prep.figures.all import write_figures
from data_prep.figures.counts import count_figure
from data_prep.figures.data import PlotData, read_plot_data
from data_prep.figures.log_mels import DB, log_mel_figure, mel_centres_hz
from data_prep.figures.spectra import average_spectra, distance_db, spectra_figure
from data_prep.figures.style import LIGHT, styled
from data_prep.prepare.prepare import prepare

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes on devices a and b, b being a with a filter, with corrected and mixed copies."""
    root = tmp_path_factory.mktemp("figures")
    rows = scene_rows()
    write_lists(root / "corpus", rows)
    for row in rows:
        path = root / "corpus" / row.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        y = 0.1 * np.random.default_rng(int(row.identifier.split("-")[1])).standard_normal(8000)
        y = signal.lfilter([1.0, -0.7], [1.0], y) if row.device == "b" else y
        soundfile.write(path, y, 8000, subtype="FLOAT")
    config = PrepareConfig(features=SMALL, augmentations=("spectrum_correction", "mix"))
    prepare(root / "corpus", root / "shards", config)
    return root / "shards"


@pytest.fixture(scope="module")
def data(shards: Path) -> PlotData:
    return read_plot_data(shards)


def drawn(draw, data: PlotData) -> tuple[Figure, list[str]]:
    with styled():
        figure = draw(data, LIGHT)

    def texts() -> Iterator[str]:
        for text in figure.findobj(Text):
            yield text.get_text()

    return figure, list(texts())


def test_the_data_are_the_clips_as_recorded(data):
    """Every recorded clip once, with its split; copies are in no figure; means are those of the stored frames."""
    assert len(data.clips) == len(data.means) == 24
    assert not data.clips["clip_id"].str.contains("+", regex=False).any()
    assert data.clips["split"].value_counts().to_dict() == {"train": 12, "test": 8, "validation": 4}
    for scene, examples in data.examples.items():
        first = examples[0]
        rows = data.clips[(data.clips["scene"] == scene) & (data.clips["device"] == first.device)]
        row = rows[(rows["location"] == first.location) & (rows["split"] == "train")].index[0]
        np.testing.assert_allclose(first.log_mel.mean(axis=1, dtype=np.float64), data.means[row])


def test_examples_show_different_devices_first(data):
    """Of three clips of a scene the first two are of the two devices, the third of another place."""
    for examples in data.examples.values():
        assert [example.device for example in examples[:2]] == ["a", "b"]
        assert len(examples) == 3
        assert examples[2].location != examples[0].location


def test_the_log_mel_figure_has_three_pictures_a_clip(data):
    """Each clip has log-mel, delta and delta of deltas, titled with device and place, on scales shared by all."""
    figure, texts = drawn(log_mel_figure, data)
    pictures = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(pictures) == 2 * 3 * 3
    assert len({(image.norm.vmin, image.norm.vmax) for image in pictures[::3]}) == 1
    first = data.examples["bus"][0].log_mel.astype(np.float32) * DB
    np.testing.assert_allclose(pictures[0].get_array(), first, rtol=1e-5)
    np.testing.assert_allclose(pictures[1].get_array()[:, 0], _delta(first), atol=1e-4)
    for wanted in ("bus", "park", f"device b, {data.examples['bus'][1].location}", "ΔΔ", "log-mel, dB", "1 kHz"):
        assert wanted in texts


def _delta(x: np.ndarray) -> np.ndarray:
    return (x[:, 3] - x[:, 1]) / 10 + (x[:, 4] - x[:, 0]) / 5


@pytest.mark.parametrize(("n_frames", "n_orders"), [(3, 0), (4, 0), (5, 1), (8, 1), (9, 2)])
def test_short_clips_have_the_deltas_that_their_frames_allow(data, n_frames, n_orders):
    """A valid delta takes five frames, its delta nine: pictures, scales and the subtitle have no others."""
    spec = data.spec.updated(clip_seconds=(n_frames - 1) / 16, hop_length=500, n_fft=512)
    assert spec.n_frames == n_frames
    short = {
        scene: tuple(replace(example, log_mel=example.log_mel[:, :n_frames]) for example in found)
        for scene, found in data.examples.items()
    }
    figure, texts = drawn(log_mel_figure, replace(data, spec=spec, examples=short))
    figure.canvas.draw()
    assert len([axes for axes in figure.axes if axes.images]) == 2 * 3 * (1 + n_orders)
    assert [unit in texts for unit in ("Δ, dB a frame", "ΔΔ, dB a frame²")] == [n_orders > 0, n_orders > 1]
    assert any("with first" in text for text in texts) == (n_orders > 0)


def test_mel_centres_rise_from_fmin_to_fmax():
    """Centres lie between the edges, in order, and on HTK's scale nearly evenly."""
    centres = mel_centres_hz(SMALL)
    assert (np.diff(centres) > 0).all()
    mels = 2595 * np.log10(1 + centres / 700)
    assert np.ptp(np.diff(mels)) < 25
    assert 0 < centres[0] < centres[-1] < 4000


def test_average_spectra_tell_devices_from_what_they_heard(data):
    """Device b's average differs from a's by its filter alone (0.3 dB), and correction takes most of that away."""
    averages = average_spectra(data)
    assert averages.n_clips == {"a": 6, "b": 6}
    gain_db = 20 * np.log10(np.abs(signal.freqz([1.0, -0.7], worN=mel_centres_hz(SMALL), fs=8000)[1]))
    np.testing.assert_allclose(averages.curves["b"] - averages.curves["a"], gain_db, atol=0.3)
    before = distance_db(averages, averages.curves["a"])
    assert before > 3
    _, texts = drawn(spectra_figure, data)
    said = next(text for text in texts if "before" in text)
    after = float(said.split("before, ")[1].split(" dB")[0])
    assert said.startswith(f"Device a from the others: {before:.1f} dB before")
    assert after < 0.3
    assert "Factors on device a's spectrum" in texts
    assert "b (6 clips)" in texts


def test_without_a_correction_or_twins_there_are_still_spectra(data):
    """One panel with the devices' plain averages; one device alone is a curve too."""
    alone = data.clips["device"] == "a"
    one = replace(data, correction=None, clips=data.clips[alone].reset_index(drop=True), means=data.means[alone])
    for chosen, n_lines in ((replace(data, correction=None), 2), (one, 1)):
        figure, _ = drawn(spectra_figure, chosen)
        assert [len(axes.lines) for axes in figure.axes] == [n_lines]


def test_counts_add_up_to_the_clips(data):
    """Bars of scenes and of devices, split by split, are the clips' counts; totals are written beside them."""
    figure, texts = drawn(count_figure, data)
    for axes in figure.axes:
        assert sum(bar.get_width() for bar in axes.patches) == 24
        assert sorted(tick.get_text() for tick in axes.get_yticklabels()) in (["a", "b"], ["bus", "park"])
    assert texts.count("12") >= 4


def test_figures_are_written_twice_the_same(shards, tmp_path):
    """Three figures as PNG and SVG; drawn again they are the same bytes."""
    written = [write_figures(shards, tmp_path / name) for name in ("one", "two")]
    assert [path.name for path in written[0]] == ["log_mels.png", "spectra.png", "counts.png"]
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(f"{stem}.{kind}" for stem in ("log_mels", "spectra", "counts") for kind in ("png", "svg"))
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_evaluation_set_has_its_counts_only(tmp_path):
    """Without training clips there are neither examples nor spectra, and no error."""
    root = write_tree(tmp_path / "data", {}, ["0.wav", "1.wav"])
    prepare(root, tmp_path / "shards", PrepareConfig(features=SMALL.updated(clip_seconds=0.11)))
    assert [path.name for path in write_figures(tmp_path / "shards", tmp_path / "out")] == ["counts.png"]


def test_what_is_missing_is_named(shards, tmp_path):
    """A fold that isn't there, a correction that was lost: the message names them."""
    with pytest.raises(DataError, match="no fold 7; folds: 1"):
        write_figures(shards, tmp_path, fold=7)
    lost = shards / correction_name(1)
    text = lost.read_bytes()
    lost.unlink()
    try:
        with pytest.raises(DataError, match=r"spectrum_correction-fold1\.csv: no such file"):
            read_plot_data(shards)
    finally:
        lost.write_bytes(text)


def test_inspect_draws_where_it_is_told(shards, tmp_path):
    """`asc inspect SHARDS --plot OUT` writes the figures and names them."""
    done = asc("inspect", shards, "--plot", tmp_path / "out")
    assert "counts.png" in done.stdout + done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 6
