"""How fast are features, WAV file to log-mel, beside librosa called the plain way? In one process, in turn, in pairs.

    python tests/benchmarks/features.py [--clips 60] [--rounds 7] [--esc10 FOLDER]

Each candidate reads and transforms every clip in turn, on one thread; a round's figure is the mean over its clips,
printed is the median over the rounds, and a ratio is the median over the rounds' ratios, so that a slow moment of the
machine hits both sides. Clips are 10 s of noise at 44.1 kHz, mono, 16 bits; their files are in the system's cache.

  plain:   soundfile (float64) + librosa.feature.melspectrogram + log
  scipy:   ours without the compiled transform
  ours:    `read_clip` + `LogMel`
  floor:   the file's bytes + a bare float32 transform of the framed clip, once by SciPy and once by our own
  two:     clips a second of two processes over those of one
ESC-10 is Ogg, whose decoding costs as much as everything else: it stands apart.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from data_prep.audio.decode import read_clip
from data_prep.config import FeatureSpec
from data_prep.features.log_mel import LogMel, mel_filters, window_of
from data_prep.features.plain import PlainMelPower

Candidate = Callable[[Path], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--esc10", type=Path, help="ESC-10 in TAU's layout")
    options = parser.parse_args()
    if "OPENBLAS_NUM_THREADS" not in os.environ:  # libraries ask when they are loaded
        os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
        os.execv(sys.executable, [sys.executable, *sys.argv])
    spec = FeatureSpec()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_clips(Path(folder), options.clips, spec)
        print(f"{options.clips} clips of 10 s, 44.1 kHz, mono, 16-bit WAV → {spec.n_mels} × {spec.n_frames} log-mel")
        seconds = compare(candidates(spec), paths, options.rounds)
        print_table(seconds)
        for name in ("floor, SciPy's transform", "floor, our transform"):
            share = np.median(np.array(seconds[name]) / np.array(seconds["ours"]))
            print(f"reached of the {name}: {share:.0%}")
        two_processes(paths, options.rounds)
    if options.esc10 is not None:
        spec = FeatureSpec(clip_seconds=5.0)
        paths = sorted(options.esc10.rglob("*.ogg"))[:: max(1, 400 // options.clips)]
        print(f"\n{len(paths)} clips of ESC-10, 5 s, Ogg → {spec.n_mels} × {spec.n_frames}")
        chosen = {name: run for name, run in candidates(spec).items() if not name.startswith("floor")}
        chosen["decoding alone"] = lambda path: soundfile.read(path, dtype="float32")
        print_table(compare(chosen, paths, options.rounds))


def write_clips(folder: Path, n: int, spec: FeatureSpec) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.wav" for i in range(n)]
    for path in paths:
        soundfile.write(path, 0.1 * rng.standard_normal(spec.n_samples), spec.sample_rate, subtype="PCM_16")
    return paths


def candidates(spec: FeatureSpec) -> dict[str, Candidate]:
    import librosa
    from scipy.fft import rfft

    ours, scipys = LogMel(spec), LogMel(spec)
    scipys._mel_power = PlainMelPower(spec, window_of(spec), mel_filters(spec))
    frames = np.lib.stride_tricks.sliding_window_view(np.zeros(spec.n_samples + spec.n_fft, np.float32), spec.n_fft)[
        :: spec.hop_length
    ].copy()

    def plain(path: Path) -> object:
        y, rate = soundfile.read(path)
        mel = librosa.feature.melspectrogram(
            y=y, sr=rate, n_fft=spec.n_fft, hop_length=spec.hop_length, n_mels=spec.n_mels, htk=spec.htk, norm=spec.norm
        )
        return np.log(mel + spec.log_offset)

    def floor_of_scipy(path: Path) -> object:
        path.read_bytes()
        return rfft(frames, axis=1)

    def floor_of_ours(path: Path) -> object:
        path.read_bytes()
        return transform_alone(ours)

    return {
        "plain": plain,
        "scipy": lambda path: scipys(read_clip(path, spec)),
        "ours": lambda path: ours(read_clip(path, spec)),
        "floor, SciPy's transform": floor_of_scipy,
        "floor, our transform": floor_of_ours,
    }


def transform_alone(extract: LogMel) -> None:
    """The compiled transform as often as a clip has blocks, on whatever lies in its buffer."""
    from data_prep.features import compiled as melpower

    compiled = extract._mel_power
    assert isinstance(compiled, melpower.CompiledMelPower)
    block = compiled._buffers[1]
    block[:] = 0
    for _ in range(-(-extract.spec.n_frames // melpower.N_LANES)):
        melpower._transform(block, extract.spec.n_fft // 2, compiled._tables[1])


def compare(runs: dict[str, Candidate], paths: list[Path], n_rounds: int) -> dict[str, list[float]]:
    """Seconds a clip of each candidate, one figure a round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for path in paths[:2]:
        for run in runs.values():
            run(path)
    for _ in range(n_rounds):
        sums = dict.fromkeys(runs, 0.0)
        for path in paths:
            for name, run in runs.items():
                start = time.perf_counter()
                run(path)
                sums[name] += time.perf_counter() - start
        for name in runs:
            seconds[name].append(sums[name] / len(paths))
    return seconds


def print_table(seconds: dict[str, list[float]]) -> None:
    plain = np.array(seconds["plain"])
    ours = np.array(seconds["ours"])
    print(f"{'':26}{'ms a clip':>10}{'plain / this':>14}{'this / ours':>13}")
    for name, values in seconds.items():
        row = np.array(values)
        print(f"{name:26}{1000 * np.median(row):10.2f}{np.median(plain / row):14.1f}{np.median(row / ours):13.2f}")


def two_processes(paths: list[Path], n_rounds: int) -> None:
    """Print how many times the clips a second of one process two have: median of pairs."""
    context = multiprocessing.get_context("spawn")
    ratios = []
    with context.Pool(2) as pool:
        pool.map(extract_many, [paths[:2]] * 8, chunksize=1)  # both have compiled code and warm caches
        repeated = paths * max(1, 400 // len(paths))
        for _ in range(n_rounds):
            start = time.perf_counter()
            pool.map(extract_many, [repeated], chunksize=1)
            one = time.perf_counter() - start
            start = time.perf_counter()
            pool.map(extract_many, [repeated, repeated], chunksize=1)
            ratios.append(2 * one / (time.perf_counter() - start))
    print(f"two processes: {np.median(ratios):.2f} times the clips a second of one ({len(repeated)} clips each)")


def extract_many(paths: list[Path]) -> int:
    """What a worker of `prepare` does with clips, float16 included."""
    from data_prep.prepare.extract import extract

    return sum(extract(path, FeatureSpec()).log_mel is not None for path in paths)


if __name__ == "__main__":
    main()
