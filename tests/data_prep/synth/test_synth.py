"""The embedded corpus."""

from __future__ import annotations

import csv
import hashlib
import resource
import signal as signals
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from process_support import ROOT
from scipy import fft, signal

from data_prep.config import SynthConfig
from data_prep.errors import AscError, DataError
from data_prep.synth import synthesize
from data_prep.synth.devices import DEVICES, compress, response
from data_prep.synth.example import example
from data_prep.synth.layout import EVALUATE_DEVICES, TRAIN_DEVICES, plan
from data_prep.synth.scenes import SCENES
from data_prep.synth.sources import SAMPLE_RATE
from data_prep.synth.streams import stream

TINY = SynthConfig(seed=3, clip_seconds=1.0, n_locations=3, n_segments=1, n_cities=2, evaluate_share=1.0)
SMALL = SynthConfig(clip_seconds=2.0, n_locations=12, n_segments=1, evaluate_share=0.5)
"""Large enough for a classifier to learn something from it."""
TAU_SCENES = (
    *("airport", "bus", "metro", "metro_station", "park"),
    *("public_square", "shopping_mall", "street_pedestrian", "street_traffic", "tram"),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "corpus"
    synthesize(out, TINY)
    return out


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def digests(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_settings_give_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    """Two folders with the same settings hold the same files, byte for byte; a second call changes none."""
    before = digests(tiny)
    synthesize(tmp_path / "again", TINY)
    synthesize(tiny, TINY)
    assert digests(tmp_path / "again") == before == digests(tiny)


def test_a_clip_does_not_depend_on_what_else_is_made(tiny: Path) -> None:
    """A clip that is made alone, because all others are there, has the bytes it has in a whole corpus."""
    before = digests(tiny)
    victims = [path for path in sorted((tiny / "audio").iterdir()) if path.stem.endswith(("-a", "-s6"))][::7]
    for path in victims:
        path.unlink()
    (tiny / "meta.csv").unlink()
    synthesize(tiny, TINY)
    assert digests(tiny) == before


def test_another_seed_gives_other_sounds(tiny: Path, tmp_path: Path) -> None:
    """The seed changes every clip that both corpora have."""
    synthesize(tmp_path / "other", TINY.updated(seed=4))
    mine, other = digests(tiny), digests(tmp_path / "other")
    common = [name for name in mine if name in other and name.startswith("audio/")]
    assert common
    assert all(mine[name] != other[name] for name in common)


def test_the_layout_is_taus(tiny: Path) -> None:
    """Lists, names and audio format are those of TAU Urban Acoustic Scenes 2020 Mobile, and agree with each other."""
    meta = read_table(tiny / "meta.csv")
    assert list(meta[0]) == ["filename", "scene_label", "identifier", "source_label"]
    for row in meta:
        scene, city, location, segment, device = Path(row["filename"]).stem.split("-")
        assert (scene, f"{city}-{location}", device) == (row["scene_label"], row["identifier"], row["source_label"])
        assert row["filename"].startswith("audio/")
        assert segment.isdigit()
        info = soundfile.info(tiny / row["filename"])
        assert (info.samplerate, info.channels, info.frames, info.subtype) == (44_100, 1, 44_100, "PCM_16")
    train = read_table(tiny / "evaluation_setup/fold1_train.csv")
    evaluate = read_table(tiny / "evaluation_setup/fold1_evaluate.csv")
    test = read_table(tiny / "evaluation_setup/fold1_test.csv")
    assert list(train[0]) == list(evaluate[0]) == ["filename", "scene_label"]
    assert [list(row) for row in test] == [["filename"]] * len(evaluate)
    assert [row["filename"] for row in test] == [row["filename"] for row in evaluate]
    listed = {(row["filename"], row["scene_label"]) for row in train + evaluate}
    assert listed == {(row["filename"], row["scene_label"]) for row in meta}
    assert len(list((tiny / "audio").iterdir())) == len(meta) == len(train) + len(evaluate)


def test_the_scenes_are_taus_in_taus_order() -> None:
    """The ten scenes stand in the order of TAU's own lists."""
    assert SCENES == TAU_SCENES


@pytest.mark.parametrize(
    "config", [TINY, SMALL, SynthConfig(), SynthConfig(n_cities=10, n_locations=20, train_share=0.07)]
)
def test_who_hears_what(config: SynthConfig) -> None:
    """No location is in both lists, a hears everything and dominates training, s4–s6 are in evaluate only."""
    moments = plan(config)
    places = {flag: {moment.identifier for moment in moments if moment.evaluate is flag} for flag in (False, True)}
    assert not places[False] & places[True]
    assert len(places[False]) > len(places[True]) > 0
    assert all(moment.devices[0] == "a" and len(set(moment.devices)) == len(moment.devices) for moment in moments)
    heard = {
        flag: Counter(device for moment in moments if moment.evaluate is flag for device in moment.devices)
        for flag in (False, True)
    }
    assert set(heard[False]) == {"a", *TRAIN_DEVICES}
    assert set(heard[True]) == {"a", *EVALUATE_DEVICES} == set(DEVICES)
    for flag in (False, True):
        assert len({n for device, n in heard[flag].items() if device != "a"}) == 1, "devices have unequal shares"
    names = [(moment.scene, moment.location, moment.segment) for moment in moments]
    assert len(set(names)) == len(names)
    owners: dict[str, set[str]] = {}
    for moment in moments:
        owners.setdefault(moment.location, set()).add(moment.identifier)
    assert all(len(found) == 1 for found in owners.values()), "a location number is used in two cities"


def test_by_default_device_a_dominates_training_and_every_city_is_on_both_sides() -> None:
    """With the defaults a has two thirds of the train list or more, and both lists know every city."""
    train = [moment for moment in plan(SynthConfig()) if not moment.evaluate]
    evaluate = [moment for moment in plan(SynthConfig()) if moment.evaluate]
    assert len(train) >= 2 / 3 * sum(len(moment.devices) for moment in train)
    assert {moment.city for moment in train} == {moment.city for moment in evaluate}


def test_a_share_of_one_lets_every_device_hear_everything() -> None:
    """With TAU's own share of 1 every evaluate moment has all nine devices."""
    evaluate = [moment for moment in plan(SynthConfig(evaluate_share=1.0)) if moment.evaluate]
    assert all(set(moment.devices) == set(DEVICES) for moment in evaluate)


def test_twins_are_aligned_in_time(tiny: Path) -> None:
    """The cross-correlation of a clip with its twin on device a peaks at lag zero, within a tenth of a millisecond."""
    twins = [moment for moment in plan(TINY) if len(moment.devices) > 1]
    assert {device for moment in twins for device in moment.devices[1:]} == set(EVALUATE_DEVICES)
    for moment in twins:
        reference, _ = soundfile.read(tiny / moment.filename("a"))
        for device in moment.devices[1:]:
            clip, _ = soundfile.read(tiny / moment.filename(device))
            correlation = signal.correlate(clip, reference, mode="same", method="fft")
            assert abs(int(np.argmax(correlation)) - len(clip) // 2) <= 4, moment.filename(device)


def test_device_responses_differ(tiny: Path) -> None:
    """Any two devices differ by 1.5 dB rms or more over 100 Hz–10 kHz, s1–s6 from a by 2.5 dB; recordings show it."""
    n_samples = 44_100
    hz = fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    band = np.unique(np.searchsorted(hz, np.geomspace(100.0, 10_000.0, 200)))
    shapes = {name: 20 * np.log10(response(0, name, n_samples)[band]) for name in DEVICES}
    names = list(DEVICES)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            extreme = one == "a" and other.startswith("s")
            assert np.std(shapes[one] - shapes[other]) > (2.5 if extreme else 1.5), (one, other)
    for moment in plan(TINY):
        for device in moment.devices[1:]:
            spectra = [
                signal.welch(soundfile.read(tiny / moment.filename(name))[0], SAMPLE_RATE, nperseg=1024)[1][3:232]
                for name in ("a", device)
            ]
            assert np.std(10 * np.log10(spectra[1] / spectra[0])) > 1.0, moment.filename(device)


def test_compression_narrows_the_level_range() -> None:
    """A compressor lowers loud parts against soft ones; with ratio 1 it leaves the wave alone."""
    loudness = np.repeat(np.array([0.01, 0.1], np.float32), 22_050)
    wave = loudness * stream(0, "test").standard_normal(44_100, np.float32)

    def range_db(x: NDArray[np.float32]) -> float:
        return float(20 * np.log10(x[33_075:].std() / x[11_025:22_050].std()))

    assert range_db(wave) == pytest.approx(20.0, abs=0.5)
    assert range_db(compress(wave, -30.0, 2.0)) == pytest.approx(10.0, abs=0.7)
    np.testing.assert_array_equal(compress(wave, -30.0, 1.0), wave)


def test_no_clip_is_silent_or_clipped(tiny: Path) -> None:
    """Every clip has a sensible level and next to no sample at full scale."""
    for path in (tiny / "audio").iterdir():
        clip, _ = soundfile.read(path, dtype="int16")
        level_dbfs = 20 * np.log10(clip.astype(float).std() / 32_768)
        assert -45.0 < level_dbfs < -15.0, path.name
        assert np.mean(np.abs(clip.astype(int)) >= 32_767) < 1e-3, path.name


def test_progress_is_told(tmp_path: Path) -> None:
    """Progress grows to the number of clips, which is also what the call returns."""
    told: list[tuple[int, int]] = []
    n_clips = synthesize(tmp_path / "out", TINY, lambda done, total: told.append((done, total)))
    assert told[-1] == (n_clips, n_clips)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


@pytest.mark.system
def test_a_corpus_that_is_there_costs_nothing(tiny: Path) -> None:
    """Nothing is computed, and what computes is not even imported; the answer and the progress are the same."""
    script = (
        "import sys, json\nfrom pathlib import Path\nfrom data_prep.config import SynthConfig\n"
        "from data_prep.synth import synthesize\n"
        f"config = SynthConfig.model_validate_json({TINY.model_dump_json()!r})\n"
        f"told = []\nprint(synthesize(Path({str(tiny)!r}), config, lambda *at: told.append(at)), told)\n"
        "print('scipy.signal' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT).stdout.split("\n")
    n_clips = len(list((tiny / "audio").iterdir()))
    assert said[:2] == [f"{n_clips} [({n_clips}, {n_clips})]", "False"]


@pytest.mark.parametrize("content", ["meta.csv", "synth.json"])
def test_a_folder_with_something_else_is_refused(tmp_path: Path, content: str) -> None:
    """A folder that holds other files, or a corpus of other settings, is left alone."""
    out = tmp_path / "mine"
    out.mkdir()
    (out / content).write_text("{}")
    with pytest.raises(DataError, match=str(out)):
        synthesize(out, TINY)
    assert [path.name for path in out.iterdir()] == [content]


@lru_cache
def mel_bank() -> NDArray[np.float32]:
    """Return 40 triangular bands (40, 1025) on HTK's mel scale."""
    hz = fft.rfftfreq(2048, 1 / SAMPLE_RATE)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 22_050 / 700), 42) / 2595) - 1)
    up = (hz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - hz) / np.diff(edges)[1:, None]
    return np.asarray(np.clip(np.minimum(up, down), 0.0, None), np.float32)


def mean_band_energies(path: Path) -> NDArray[np.float32]:
    """Return the mean over time of 40 log mel-band energies."""
    clip, _ = soundfile.read(path, dtype="float32")
    frames = clip[: len(clip) // 2048 * 2048].reshape(-1, 2048) * np.hanning(2048).astype(np.float32)
    energies = np.log(np.abs(fft.rfft(frames)) ** 2 @ mel_bank().T + 1e-8)
    return np.asarray(energies.mean(axis=0), np.float32)


def linear_model_on_unseen_devices(out: Path) -> float:
    """Return the macro accuracy on s4–s6 of a logistic regression on mean band energies of the train list."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train = read_table(out / "evaluation_setup/fold1_train.csv")
    evaluate = read_table(out / "evaluation_setup/fold1_evaluate.csv")
    unseen = [row for row in evaluate if Path(row["filename"]).stem.split("-")[-1] in ("s4", "s5", "s6")]
    X, X_unseen = (np.stack([mean_band_energies(out / row["filename"]) for row in rows]) for rows in (train, unseen))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(X, [row["scene_label"] for row in train])
    return float(balanced_accuracy_score([row["scene_label"] for row in unseen], model.predict(X_unseen)))


@pytest.mark.system
def test_mean_spectra_tell_something_but_not_enough(tmp_path: Path) -> None:
    """A linear model on mean band energies gets between 25 and 80 % on unseen devices: neither noise nor trivial."""
    synthesize(tmp_path / "corpus", SMALL)
    assert 0.25 < linear_model_on_unseen_devices(tmp_path / "corpus") < 0.8


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
def test_mean_spectra_are_not_enough_over_five_seeds(tmp_path: Path, seed: int) -> None:
    """On a corpus of the demo's size, with any seed, the linear model stays between 25 and 80 % on unseen devices."""
    config = SMALL.updated(seed=seed, clip_seconds=3.0, n_segments=3)
    synthesize(tmp_path / "corpus", config)
    assert 0.25 < linear_model_on_unseen_devices(tmp_path / "corpus") < 0.8


def test_a_corpus_that_does_not_fit_on_the_disk_is_told(tmp_path):
    """Where a recording cannot be written the file and the reason are named, and no part of it stays."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signals.signal(signals.SIGXFSZ, signals.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
        with pytest.raises(AscError, match=r"\.wav: cannot be written: File too large"):
            synthesize(tmp_path / "corpus", TINY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signals.signal(signals.SIGXFSZ, handler)
    assert [*(tmp_path / "corpus").rglob("*.wav*")] == []


@pytest.mark.parametrize("scene", SCENES)
def test_an_example_is_a_recording_of_its_scene(scene):
    """Of the asked length and full scale, not silent; the same again, other samples with another seed."""
    y = example(scene, 1.5)
    assert y.shape == (66_150,)
    assert 0.01 < np.abs(y).max() <= 1.0
    np.testing.assert_array_equal(y, example(scene, 1.5))
    assert not np.array_equal(y, example(scene, 1.5, seed=1))
    assert example(scene, 0.2).shape == (44_100,)
