"""Spectrum correction: clips of device a filtered to the average response of the other devices.

From time-aligned pairs (moments that device a and another device both recorded), the factor of a device d is

    c_d(f) = exp( mean over pairs and frames of  log(|X_d(f)| + ε) − log(|X_a(f)| + ε) )

and the combined factor c(f) is the mean of c_d(f) over the devices. The magnitude spectrum of a device-a clip is
multiplied by c(f): `LogMel(spec)(y, gain=c)`. After Nguyen, Pernkopf and Kosmider (ICASSP 2020), in the form of Hu et
al. (DCASE 2020, Task 1A). The code published by Hu et al. resets the index into its array of differences for every
device, so each device overwrites the one before, and the result is a fifth of the difference of the last one (s3). This
module computes the mean as described in their text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from data_prep.config import FeatureSpec
from data_prep.corpora.corpus import Clip
from data_prep.errors import DataError
from data_prep.features.log_mel import window_of

Spectrum = npt.NDArray[np.float64]
Pairs = Mapping[str, Sequence[tuple[Clip, Clip]]]

REFERENCE_DEVICE = "a"
COMBINED = "mean"
"""Value of the column `device` for the combined factors in a file."""
EPSILON = 1e-8
"""Added to magnitudes before the logarithm, so that it is finite for digital silence."""
COLUMNS = ("frequency_hz", "device", "factor", "n_pairs")
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Correction:
    """Factors on the magnitude spectrum of device a that give the spectra of other devices."""

    devices: tuple[str, ...]
    """Devices that have pairs with device a, sorted."""
    factors: Spectrum
    """(n_devices, n_bins)."""
    combined: Spectrum
    """(n_bins,): mean over the devices."""
    n_pairs: tuple[int, ...]
    """Number of pairs for each device."""
    frequency_hz: Spectrum
    """(n_bins,): centre of each bin in Hz."""


def correction_name(fold: int) -> str:
    """Return the file name of a fold's correction in a folder of shards."""
    return f"spectrum_correction-fold{fold}.csv"


def mean_log_spectrum(y: npt.NDArray[np.float32], spec: FeatureSpec) -> Spectrum:
    """Return the mean over frames of log(|X(f)| + ε), float64 (n_fft // 2 + 1,).

    Args:
        y: waveform (n_samples,) float32.
        spec: the stored feature, whose frames and window are used. Pre-emphasis is left out, since it is the same for
            all devices.
    """
    from scipy.fft import rfft

    window = window_of(spec).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(y, spec.n_fft // 2), spec.n_fft)[:: spec.hop_length]
    total = np.zeros(spec.n_fft // 2 + 1)
    for start in range(0, len(frames), _BLOCK):
        magnitude = np.abs(rfft(frames[start : start + _BLOCK] * window, axis=1)) + np.float32(EPSILON)
        total += np.log(magnitude).sum(axis=0, dtype=np.float64)
    return total / len(frames)


class Recording(Protocol):
    """What identifies pairs: a `Clip`, or a row of a table of clips."""

    @property
    def scene(self) -> str | None:
        """Its label."""

    @property
    def device(self) -> str:
        """The recording device."""

    @property
    def location(self) -> str | None:
        """Where it was recorded."""

    @property
    def segment(self) -> str | None:
        """The recorded moment."""


R = TypeVar("R", bound=Recording)


def pairs(clips: Iterable[R]) -> dict[str, list[tuple[R, R]]]:
    """Return {device: [(its clip, device a's clip of the same moment), …]}, sorted by device, pairs in input order.

    A moment is a segment of a location and scene; clips for which one of these is unknown have no pair. Pass only the
    training clips of one fold, since the factors are estimated from the pairs.
    """
    clips = list(clips)
    moments = {_moment(clip): clip for clip in clips if clip.device == REFERENCE_DEVICE}
    found: dict[str, list[tuple[R, R]]] = {}
    for clip in clips:
        moment = _moment(clip)
        known = all(isinstance(part, str) for part in moment)
        if known and clip.device != REFERENCE_DEVICE and moment in moments:
            found.setdefault(clip.device, []).append((clip, moments[moment]))
    return {device: found[device] for device in sorted(found)}


def _moment(clip: Recording) -> tuple[str | None, str | None, str | None]:
    return clip.scene, clip.location, clip.segment


def estimate_correction(spectra: Mapping[str, Spectrum], pairs: Pairs, spec: FeatureSpec) -> Correction:
    """Return the correction estimated from `pairs`.

    Args:
        spectra: {clip_id: `mean_log_spectrum`}. Pairs with a clip that has none (corrupt, silent) are left out.
        pairs: result of `pairs`.
        spec: the stored feature, for the frequencies of the bins.

    Raises:
        DataError: if no pairs remain.
    """
    devices, factors, counts = [], [], []
    for device in sorted(pairs):
        known = [(b.clip_id, a.clip_id) for b, a in pairs[device] if b.clip_id in spectra and a.clip_id in spectra]
        if known:
            devices.append(device)
            factors.append(np.exp(np.mean([spectra[b] - spectra[a] for b, a in known], axis=0)))
            counts.append(len(known))
    if not devices:
        raise DataError(
            f"spectrum_correction needs moments that device {REFERENCE_DEVICE} and another device both recorded (same "
            "scene, location and segment) among the training clips; there are none. Remove it from "
            "prepare.augmentations."
        )
    return Correction(
        devices=tuple(devices),
        factors=np.stack(factors),
        combined=np.mean(factors, axis=0),
        n_pairs=tuple(counts),
        frequency_hz=np.asarray(np.fft.rfftfreq(spec.n_fft, 1 / spec.sample_rate), dtype=np.float64),
    )


def correction_to_csv(correction: Correction) -> str:
    """Return the correction as CSV with the columns `COLUMNS`, device by device, the combined factors last."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = [*zip(correction.devices, correction.factors, correction.n_pairs, strict=True)]
    rows.append((COMBINED, correction.combined, sum(correction.n_pairs)))
    for device, factors, n_pairs in rows:
        for hz, factor in zip(correction.frequency_hz.tolist(), factors.tolist(), strict=True):
            writer.writerow((repr(hz), device, repr(factor), n_pairs))
    return text.getvalue()


def parse_correction(text: str, source: str) -> Correction:
    """Return the correction in `text`, the output of `correction_to_csv`, bit-identical to the original.

    Raises:
        DataError: if the text is damaged; the message names `source`.
    """
    try:
        by_device: dict[str, list[tuple[float, float, int]]] = {}
        for row in csv.DictReader(io.StringIO(text)):
            line = (float(row["frequency_hz"]), float(row["factor"]), int(row["n_pairs"]))
            by_device.setdefault(row["device"], []).append(line)
        tables = {device: np.array(lines, dtype=np.float64) for device, lines in by_device.items()}
        combined = tables.pop(COMBINED)
        return Correction(
            devices=tuple(tables),
            factors=np.stack([table[:, 1] for table in tables.values()]),
            combined=combined[:, 1],
            n_pairs=tuple(int(table[0, 2]) for table in tables.values()),
            frequency_hz=combined[:, 0],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{source}: cannot be read as a spectrum correction: {error}") from None
