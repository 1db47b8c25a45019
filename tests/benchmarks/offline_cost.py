"""What augmented copies cost on TAU Urban Acoustic Scenes 2020 Mobile, beside the same computed as clips are drawn.

    python tests/benchmarks/offline_cost.py [--data FOLDER] [--clips 30] [--rounds 3]

Copies are made the way `asc prepare` makes them (file read, copy computed, log-mel taken, rounded to float16), in one
process, of clips of the synthesized corpus (10 s, 44.1 kHz) or of audio files in FOLDER. The counts are the lists of
the current release: 13,962 training clips, 10,215 of them of device a and 3,747 with a twin, a tenth of the locations
kept for validation. Spectrum correction's time includes the pass over the pairs that its factors come from.

On the fly: what one drawn example costs more in a training process on stored log-mels, and after how many epochs of
that many examples the copies would have been cheaper in processor time (they still cost the disk). `near` is how far
the log-mel is from that of the copy from audio, rms dB within 60 dB of the clip's maximum; a shift of mel bands and a
stretch of frames are what stands in for pitch and speed, at settings that agree as well as can be.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from data_prep.audio.decode import read_clip
from data_prep.augment import batch, logmel
from data_prep.config import FeatureSpec, OfflineAugmentation, OfflineSpec, SynthConfig
from data_prep.copies import waveforms as offline
from data_prep.copies.correction import mean_log_spectrum
from data_prep.features.log_mel import LogMel
from data_prep.prepare.extract import Copying, Source, Task, extract_task
from data_prep.synth import synthesize

SPEC = FeatureSpec()
TRAIN, OF_A, WITH_TWIN, KEPT = 13_962, 10_215, 3_747, 0.9
BYTES = 2 * SPEC.n_mels * SPEC.n_frames
DB = 10 / np.log(10)
THE_FOUR = "the paper's four"
LogMels = list[np.ndarray]


@dataclass(frozen=True)
class OnTheFly:
    """The form on stored log-mels: its ms an example and its distance from the copy, or none."""

    ms: float
    near_db: float


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that `work` takes in this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def copying(kind: OfflineAugmentation, folder: Path) -> Copying:
    """Return what makes copies of this kind: a made-up correction, a made-up response."""
    if kind == "spectrum_correction":
        return Copying(kind, OfflineSpec(), gain=np.linspace(1.5, 0.5, SPEC.n_fft // 2 + 1))
    if kind != "device_response":
        return Copying(kind, OfflineSpec())
    taps = np.random.default_rng(0).normal(size=2000) * np.exp(-np.arange(2000) / 200)
    soundfile.write(folder / "response.wav", taps / np.abs(taps).max(), SPEC.sample_rate)
    return Copying(kind, OfflineSpec(), responses=folder)


def seconds_a_copy(files: list[Path], folder: Path, n_rounds: int) -> dict[str, float]:
    """Return the seconds of one clip as recorded and of one copy of each kind, and of one clip of the pairs' pass."""
    kinds: tuple[OfflineAugmentation, ...] = (
        "spectrum_correction",
        "pitch_shift",
        "speed_change",
        "mix",
        "device_response",
    )
    plain = tuple(Source(path, path.stem) for path in files)
    mixed = tuple(Source(path, path.stem, other) for path, other in zip(files, files[1:] + files[:1], strict=True))
    tasks = {"none": Task(plain, SPEC)}
    tasks |= {kind: Task(mixed if kind == "mix" else plain, SPEC, copying(kind, folder)) for kind in kinds}
    works: dict[str, Callable[[], object]] = {k: lambda task=task: extract_task(task) for k, task in tasks.items()}
    works["pairs"] = lambda: [mean_log_spectrum(read_clip(path, SPEC), SPEC) for path in files]
    for work in works.values():
        work()  # imports, compiled code, the disk's cache
    taken = {name: [] for name in works}
    for _ in range(n_rounds):
        for name, work in works.items():
            taken[name].append(seconds(work) / len(files))
    return {name: float(np.median(found)) for name, found in taken.items()}


def rms_db(x: np.ndarray, exact: np.ndarray) -> float:
    """Return the rms difference in dB within 60 dB of the maximum of `exact`."""
    heard = exact > exact.max() - 60 / DB
    return float(DB * np.sqrt(np.mean(np.square((x - exact)[heard]))))


def on_the_fly(waveforms: LogMels) -> dict[str, OnTheFly]:
    """Return the forms on log-mels: of correction, mix and responses as in training, of pitch and speed the nearest."""
    model = LogMel(SPEC)
    own = [model(y) for y in waveforms]
    gain = np.linspace(1.5, 0.5, SPEC.n_fft // 2 + 1)
    offsets = logmel.band_offsets(gain, SPEC)
    stacked = np.repeat(np.stack(own)[..., None], 3, axis=3)

    def correct(x: np.ndarray) -> np.ndarray:
        """Return a clip corrected."""
        return logmel.to_log_mel(logmel.scale_bands(logmel.to_power(x, SPEC), offsets), SPEC)

    def mix(x: np.ndarray, x2: np.ndarray) -> np.ndarray:
        """Return two clips mixed."""
        return logmel.to_log_mel(logmel.mix_scenes(logmel.to_power(x, SPEC), logmel.to_power(x2, SPEC), 0.7, 0.8), SPEC)

    pairs = list(zip(own, own[1:] + own[:1], strict=True))
    both = list(zip(own, waveforms, strict=True))
    mixes = zip(pairs, waveforms, waveforms[1:] + waveforms[:1], strict=True)
    near = {
        "spectrum_correction": [rms_db(correct(x), model(y, gain=gain)) for x, y in both],
        "mix": [rms_db(mix(*pair), model(offline.mix(y, y2, 0.7, 0.8))) for pair, y, y2 in mixes],
        "pitch_shift": [nearest_shift(x, model(offline.pitch_shift(y, SPEC.sample_rate, 3.0))) for x, y in both],
        "speed_change": [
            rms_db(stretched(x, 1.4), model(offline.speed_change(y, SPEC.sample_rate, 1.4, len(y)))) for x, y in both
        ],
    }
    rng = np.random.default_rng(0)
    works: dict[str, Callable[[], object]] = {
        "spectrum_correction": lambda: [correct(x) for x in own],
        "mix": lambda: [mix(x, x2) for x, x2 in pairs],
        "pitch_shift": lambda: batch.frequency_shift(stacked, 6, rng),
        "speed_change": lambda: batch.time_stretch(stacked, 2.0, rng),
    }
    found = {}
    for name, work in works.items():
        ms = 1000 * float(np.median([seconds(work) for _ in range(5)])) / len(own)
        found[name] = OnTheFly(ms, float(np.sqrt(np.mean(np.square(near[name])))))
    return found


def nearest_shift(x: np.ndarray, exact: np.ndarray) -> float:
    """Return the distance of the best shift by whole mel bands."""
    shifts = (np.clip(np.arange(SPEC.n_mels) - shift, 0, SPEC.n_mels - 1) for shift in range(-10, 11))
    return min(rms_db(x[bands], exact) for bands in shifts)


def stretched(x: np.ndarray, speed: float) -> np.ndarray:
    """Return the log-mel played at another speed, as `time_stretch` interpolates it."""
    place = (np.arange(x.shape[1]) * speed) % (x.shape[1] - 1)
    left = place.astype(int)
    return x[:, left] + (place - left) * (x[:, left + 1] - x[:, left])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of audio files in place of the synthesized corpus")
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = arguments.data
        if root is None:
            root = folder / "corpus"
            synthesize(root, SynthConfig(n_locations=3, n_segments=1, n_cities=2))
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".wav", ".flac", ".ogg"))
        files = files[:: max(1, len(files) // arguments.clips)][: arguments.clips]
        a_copy = seconds_a_copy(files, folder, arguments.rounds)
        instead = on_the_fly([read_clip(path, SPEC) for path in files[:10]])
    print(f"TAU 2020 Mobile, {KEPT:.0%} of {TRAIN:,} training clips; one process; {len(files)} clips measured")
    print(f"{'':<22}{'clips/s':>8}{'copies':>8}{'GB':>6}{'core-hours':>11} | {'ms':>5}{'near, dB':>9}{'epochs':>8}")
    total = np.zeros(3)
    for kind, taken in a_copy.items():
        if kind == "pairs":
            continue
        n = KEPT * (OF_A if kind == "spectrum_correction" else TRAIN)
        hours = (n * taken + (2 * KEPT * WITH_TWIN * a_copy["pairs"] if kind == "spectrum_correction" else 0)) / 3600
        name = "as recorded" if kind == "none" else kind
        row = f"{name:<22}{1 / taken:>8.0f}{n:>8,.0f}{n * BYTES / 1e9:>6.2f}{hours:>11.3f} |"
        other = instead.get(kind)
        if other is not None:
            row += f"{other.ms:>6.2f}{other.near_db:>9.1f}{hours * 3.6e6 / (n * other.ms):>8.0f}"
        print(row)
        if kind not in ("none", "device_response"):
            total += np.array([n, n * BYTES / 1e9, hours])
    print(f"{THE_FOUR:<30}{total[0]:>8,.0f}{total[1]:>6.2f}{total[2]:>11.3f} |")


if __name__ == "__main__":
    main()
