"""Which stretcher makes pitch-shifted and speed-changed copies? Speed, quality and repeatability side by side.

    python tests/benchmarks/stretchers.py [--data FOLDER] [--clips 8]

Candidates: librosa's phase vocoder (2048 points, hop 512; ISC) and Signalsmith Stretch through `python-stretch` (MIT;
what `audiomentations` stretches with) with its two presets; TDHS through `audiostretchy` (BSD; speed only) where it is
installed. Not run: Rubber Band (pedalboard, pylibrb, pyrubberband), pytsmod and SoX are GPL; torchaudio needs PyTorch.

Columns, over semitones −4, −1.5, 1.5, 4 and speeds 0.5, 0.75, 1.5, 2 on 5 s at 44.1 kHz:
  pitch, speed: time in units of librosa's, every candidate on every clip in turn (median of ratios).
  cents: largest error of a tone's pitch. purity: power outside the tone's line, dB under it (median).
  sweep: rms dB between the log-mel and that of the sweep which should come out, within 40 dB of the maximum.
  level, texture: white noise: largest error of a band's mean log-mel in dB (400 Hz to 10 kHz); standard deviation of
    the log-mel over time, in units of noise's own (1 is best: less is a smoothed texture, more a rough one).
  click: median spread of a click in ms (root of the mean square distance from where it should be).
  scene: rms dB between the log-mel of the faster or slower clip and the clip's own at the same moments, within
    60 dB of the maximum.
  same: a second process gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from data_prep.audio.decode import read_clip
from data_prep.config import FeatureSpec
from data_prep.features.log_mel import LogMel, mel_filters

RATE = 44_100
SPEC = FeatureSpec(clip_seconds=5.0)
SEMITONES = (-4.0, -1.5, 1.5, 4.0)
SPEEDS = (0.5, 0.75, 1.5, 2.0)
DB = 10 / np.log(10)
Signal = np.ndarray


@dataclass(frozen=True)
class Stretcher:
    """One way to change pitch and speed; both keep the sample rate."""

    name: str
    speed: Callable[[Signal, float], Signal]
    pitch: Callable[[Signal, float], Signal] | None


def candidates() -> list[Stretcher]:
    """Return those that are installed, librosa first."""
    from librosa.effects import pitch_shift, time_stretch

    found = [
        Stretcher("librosa", lambda y, f: time_stretch(y, rate=f), lambda y, s: pitch_shift(y, sr=RATE, n_steps=s))
    ]
    if find_spec("python_stretch"):
        found += [
            Stretcher(
                f"signalsmith{', cheaper' if cheap else ''}",
                lambda y, f, cheap=cheap: signalsmith(y, f, 0.0, cheap),
                lambda y, s, cheap=cheap: signalsmith(y, 1.0, s, cheap),
            )
            for cheap in (False, True)
        ]
    if find_spec("audiostretchy"):
        found.append(Stretcher("tdhs", tdhs, None))
    return found


def signalsmith(y: Signal, speed: float, semitones: float, cheaper: bool) -> Signal:
    """Return `y` stretched by Signalsmith Stretch; the seed makes it repeatable."""
    from python_stretch.Signalsmith import Stretch

    stretcher = Stretch(0)
    stretcher.preset(1, RATE, cheaper)
    stretcher.setTransposeSemitones(semitones)
    stretcher.timeFactor = speed
    return stretcher.process(y[None])[0]


def tdhs(y: Signal, speed: float) -> Signal:
    """Return `y` stretched by time-domain harmonic scaling (16-bit samples)."""
    from audiostretchy.interface.tdhs import TDHSAudioStretch

    stretcher = TDHSAudioStretch(RATE // 333, RATE // 55, 1, 1)
    samples = np.int16(np.clip(y, -1, 1) * 32_767)
    out = np.zeros(stretcher.output_capacity(len(samples), 1 / speed), np.int16)
    n = stretcher.process_samples(samples, len(samples), out, 1 / speed)
    n += stretcher.flush(out[n:])
    return out[:n].astype(np.float32) / 32_767


def log_mel(y: Signal) -> np.ndarray:
    """Return the log-mel of a waveform of any length, (n_mels, n_frames)."""
    return LogMel(SPEC.updated(clip_seconds=len(y) / RATE))(y)


def fit(y: Signal, n: int) -> Signal:
    """Return `y` cut or zero-padded to n samples."""
    return np.pad(y[:n], (0, max(0, n - len(y)))).astype(np.float32)


def cases(s: Stretcher, y: Signal) -> Iterator[tuple[Signal, float, float]]:
    """Yield (result, pitch ratio, speed) for every setting."""
    for semitones in SEMITONES if s.pitch is not None else ():
        yield s.pitch(y, semitones), 2 ** (semitones / 12), 1.0
    for speed in SPEEDS:
        yield s.speed(y, speed), 1.0, speed


def tones(s: Stretcher) -> tuple[float, float]:
    """Return the largest error of a tone's pitch in cents and the median power outside its line in dB."""
    errors, outside = [], []
    for hz in (150.0, 440.0, 1234.5, 5000.0):
        y = (0.3 * np.sin(2 * np.pi * hz * np.arange(SPEC.n_samples) / RATE)).astype(np.float32)
        for out, ratio, _ in cases(s, y):
            middle = out[len(out) // 4 : -len(out) // 4]
            power = np.abs(np.fft.rfft(middle * np.blackman(len(middle)), 4 * len(middle))) ** 2
            k = int(power.argmax())
            left, peak, right = np.log(power[k - 1 : k + 2])
            step = RATE / (4 * len(middle))
            found = (k + 0.5 * (left - right) / (left - 2 * peak + right)) * step
            errors.append(abs(1200 * np.log2(found / (hz * ratio))))
            line = np.abs(np.arange(len(power)) * step - found) < 8.0
            outside.append(10 * np.log10(power[~line].sum() / power[line].sum()))
    return max(errors), float(np.median(outside))


def sweep(s: Stretcher) -> float:
    """Return the rms difference in dB from the log-mel of the exponential sweep that should come out."""

    def signal(seconds: float, ratio: float) -> Signal:
        """Return a sweep of three octaves from 300 Hz × ratio."""
        t = np.arange(round(seconds * RATE)) / RATE
        rate = np.log(8) / seconds
        return (0.3 * np.sin(2 * np.pi * 300 * ratio / rate * np.expm1(rate * t))).astype(np.float32)

    squares = []
    for out, ratio, speed in cases(s, signal(5.0, 1.0)):
        ideal = signal(5.0 / speed, ratio)
        a, b = log_mel(fit(out, len(ideal)))[:, 8:-8], log_mel(ideal)[:, 8:-8]
        squares.append(np.mean(np.square(DB * (a - b))[b > b.max() - 40 / DB]))
    return float(np.sqrt(np.mean(squares)))


def noise(s: Stretcher) -> tuple[float, float]:
    """Return the largest error of a band's mean level in dB, and the texture in units of noise's own."""
    y = np.random.default_rng(0).normal(0, 0.1, SPEC.n_samples).astype(np.float32)
    own = log_mel(y)
    errors, textures = [], []
    bands = slice(25, 100)
    for out, ratio, _ in cases(s, y):
        x = log_mel(out)[:, 8:-8]
        # Played r times as fast, a sound's power spreads over r times the band.
        expected = own.mean(axis=1)[bands] - np.log(ratio)
        errors.append(np.abs(DB * (x.mean(axis=1)[bands] - expected)).max())
        textures.append((x.std(axis=1) / own.std(axis=1))[bands].mean())
    return max(errors), float(np.mean(textures))


def clicks(s: Stretcher) -> float:
    """Return the median spread of clicks in ms."""
    y = np.zeros(SPEC.n_samples, np.float32)
    places = (np.arange(8) + 0.75) * 0.6 * RATE
    y[places.astype(int)] = 1.0
    spreads = []
    for out, _, speed in cases(s, y):
        for place in places / speed:
            near = np.arange(max(0, int(place - 0.1 * RATE)), min(len(out), int(place + 0.1 * RATE)))
            power = np.square(out[near], dtype=np.float64)
            if power.sum() > 0:
                spreads.append(1000 / RATE * np.sqrt(np.average(np.square(near - place), weights=power)))
    return float(np.median(spreads))


def scenes(s: Stretcher, clips: list[Signal]) -> float:
    """Return the rms difference in dB of faster and slower clips from the clip's own frames at the same moments."""
    filters, window = mel_filters(SPEC), np.hanning(SPEC.n_fft + 1)[:-1]
    squares = []
    for y in clips:
        padded = np.pad(y, SPEC.n_fft)
        for speed in SPEEDS:
            out = s.speed(y, speed)
            x = log_mel(out)
            moments = np.round(np.arange(x.shape[1]) * SPEC.hop_length * speed).astype(int)
            moments = moments[moments < len(y)]
            frames = np.lib.stride_tricks.sliding_window_view(padded, SPEC.n_fft)[moments + SPEC.n_fft // 2]
            own = np.log(filters @ np.square(np.abs(np.fft.rfft(frames * window))).T + SPEC.log_offset)
            inner = slice(4, own.shape[1] - 4)
            heard = own[:, inner] > own.max() - 60 / DB
            squares.append(np.mean(np.square(DB * (x[:, inner] - own[:, inner])[heard])))
    return float(np.sqrt(np.mean(squares)))


def seconds(work: Callable[[Signal, float], Signal] | None, y: Signal, setting: float) -> float:
    """Return how long `work` takes, NaN where there is none."""
    if work is None:
        return np.nan
    start = time.perf_counter()
    work(y, setting)
    return time.perf_counter() - start


def speeds(all_of_them: list[Stretcher], clips: list[Signal]) -> dict[str, tuple[float, float, float]]:
    """Return each candidate's ms for a 10 s clip (pitch and speed in equal parts) and its shares of librosa's time."""
    taken = np.array(
        [
            [[seconds(s.pitch, np.tile(y, 2), semitones), seconds(s.speed, np.tile(y, 2), speed)] for s in all_of_them]
            for y in clips
            for semitones, speed in zip(SEMITONES, SPEEDS, strict=True)
        ]
    )  # (cases, candidates, pitch and speed)
    shares = np.median(taken / taken[:, :1], axis=0)
    ms = 1000 * np.median(np.nanmean(taken, axis=2), axis=0)
    return {s.name: (ms[i], *shares[i]) for i, s in enumerate(all_of_them)}


def digest(s: Stretcher) -> str:
    """Return a hash of everything that a candidate makes of noise."""
    y = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    return hashlib.sha256(b"".join(out.tobytes() for out, _, _ in cases(s, y))).hexdigest()


def digest_elsewhere(name: str) -> str:
    """Return `digest` as another process computes it."""
    command = [sys.executable, __file__, "--digest", name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def read_clips(folder: Path, n: int) -> list[Signal]:
    """Return n clips spread over the data set's files."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".ogg", ".wav", ".flac"))
    return [read_clip(path, SPEC) for path in files[:: max(1, len(files) // n)][:n]]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ASC_ESC10"), help="folder of clips (ASC_ESC10)")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--digest", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    found = candidates()
    if arguments.digest:
        print(next(digest(s) for s in found if s.name == arguments.digest))
        return
    if arguments.data is None:
        parser.error("--data FOLDER (or ASC_ESC10) must name a folder of recordings")
    clips = read_clips(arguments.data, arguments.clips)
    times = speeds(found, clips)
    head = f"{'':<22}{'ms':>6}{'pitch':>7}{'speed':>7}{'cents':>7}{'purity':>8}{'sweep':>7}{'level':>7}"
    print(f"{head}{'texture':>9}{'click':>7}{'scene':>7}  same")
    for s in found:
        ms, pitch, speed = times[s.name]
        cents, purity = tones(s)
        level, texture = noise(s)
        row = (
            f"{s.name:<22}{ms:>6.0f}{pitch:>7.2f}{speed:>7.2f}{cents:>7.2f}{purity:>8.0f}{sweep(s):>7.1f}{level:>7.1f}"
        )
        same = "yes" if digest(s) == digest_elsewhere(s.name) else "NO"
        print(f"{row}{texture:>9.2f}{clicks(s):>7.1f}{scenes(s, clips):>7.1f}  {same}", flush=True)


if __name__ == "__main__":
    main()
