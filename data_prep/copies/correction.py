"""Spectrum correction: device a's clips heard as the other devices hear them on average.

From time-aligned pairs, moments that device a and another device both recorded, the factor of a device d over frequency

    c_d(f) = exp( mean over pairs and frames of  log(|X_d(f)| + ε) − log(|X_a(f)| + ε) )

and of all of them c(f) = mean over d of c_d(f). A copy of a device-a clip has its magnitude spectrum multiplied by
c(f): `LogMel(spec)(y, gain=c)`. After Nguyen, Pernkopf and Kosmider (ICASSP 2020) in the form of Hu et al. (DCASE 2020,
Task 1A). The code that Hu et al. published sets the index into its array of differences back to zero for every device,
so each overwrites the one before, and what comes out is a fifth of the last one's (s3): here is the mean that the text
means.
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
"""The `device` of the combined factors in a file."""
EPSILON = 1e-8
"""Added to magnitudes before the logarithm, so that digital silence has one."""
COLUMNS = ("frequency_hz", "device", "factor", "n_pairs")
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Correction:
    """Factors on the magnitude spectrum that turn device a's into another's."""

    devices: tuple[str, ...]
    """Those that have pairs with device a, sorted."""
    factors: Spectrum
    """(n_devices, n_bins)."""
    combined: Spectrum
    """(n_bins,): mean over the devices."""
    n_pairs: tuple[int, ...]
    """Pairs that each device's factors rest on."""
    frequency_hz: Spectrum
    """(n_bins,): centre of each bin."""


def correction_name(fold: int) -> str:
    """Return the file name of a fold's correction inside a folder of shards."""
    return f"spectrum_correction-fold{fold}.csv"


def mean_log_spectrum(y: npt.NDArray[np.float32], spec: FeatureSpec) -> Spectrum:
    """Return the mean over frames of log(|X(f)| + ε), float64 (n_fft // 2 + 1,).

    Args:
        y: waveform (n_samples,) float32.
        spec: frames and window are those of the stored feature, centred; a preemphasis is the same for all devices
            and left out.
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
    """What tells twins: a `Clip`, or a row of a table of clips."""

    @property
    def scene(self) -> str | None:
        """Its label."""

    @property
    def device(self) -> str:
        """What recorded it."""

    @property
    def location(self) -> str | None:
        """Where."""

    @property
    def segment(self) -> str | None:
        """When: the recorded moment."""


R = TypeVar("R", bound=Recording)


def pairs(clips: Iterable[R]) -> dict[str, list[tuple[R, R]]]:
    """Return {device: [(its clip, device a's clip of the same moment), …]}, devices sorted, pairs as the clips come.

    A moment is one segment of one location and scene; clips of which one of these is unknown have no twin. Give the
    training clips of one fold and no others: the factors are learned from them.
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
    """Return the correction that `pairs` give.

    Args:
        spectra: `mean_log_spectrum` by clip_id. A pair with a clip that has none (corrupt, silent) is left out.
        pairs: what `pairs` found.
        spec: the stored feature, for the bins' frequencies.

    Raises:
        DataError: if no pair is left.
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
            "scene, location and segment) among the training clips; there are none. Take it out of "
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
    """Return the correction as CSV with the columns of COLUMNS, device by device, the combined factors last."""
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
    """Return the correction in `text`, as `correction_to_csv` gave it, the same to the last bit.

    Raises:
        DataError: naming `source`, if it is damaged.
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
        raise DataError(f"{source}: no spectrum correction can be read from it: {error}") from None
