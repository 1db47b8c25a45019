"""Mixes of two clips of different classes, and random gains, on stored log-mels as they are drawn.

Both are applied to mel power: min–max scaling would undo a gain and distort a sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data_prep.augment.logmel import LogMels, band_offsets, to_log_mel, to_power
from data_prep.augmentation import Augmentation
from data_prep.config import FeatureSpec
from data_prep.errors import DataError

if TYPE_CHECKING:  # the reader imports pandas and Arrow, which listing the augmentations must not load
    from data_prep.reader.reader import FeatureSet

Rows = npt.NDArray[np.integer]
Labels = npt.NDArray[np.float32]
Draw = Callable[[Rows, np.random.Generator], tuple[npt.NDArray[np.floating], Labels]]
"""(rows of the training set, generator) → log-mels (b, n_mels, n_frames) and labels (b, n_classes)."""


def a_weighting(hz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the A-weighting of the magnitude at each frequency (IEC 61672-1), 1 at 1 kHz."""

    def response(f: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the weighting up to a constant factor."""
        f2 = np.square(f, dtype=np.float64)
        low = np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2))
        return np.asarray(f2**2 / ((f2 + 20.6**2) * low * (f2 + 12_194.0**2)))

    return response(hz) / response(np.array(1000.0))


def band_weights(spec: FeatureSpec) -> npt.NDArray[np.float32]:
    """Return the A-weighting of the power in each mel band, averaged over the band, (n_mels,)."""
    hz = np.linspace(0, spec.sample_rate / 2, spec.n_fft // 2 + 1)
    return np.exp(band_offsets(a_weighting(hz), spec))


def loudness_db(power: LogMels, weights: npt.NDArray[np.float32]) -> float:
    """Return the A-weighted level of the loudest frame, in dB relative to the log-mel's offset; 0 for silence.

    Args:
        power: (n_mels, n_frames) mel power in units of the offset, from `to_power`.
        weights: (n_mels,), from `band_weights`.
    """
    return float(10 * np.log10(max(1.0, (weights @ power).max())))


def share_of_first(ratio: float, level_db: float, level2_db: float) -> float:
    """Return t, the first sound's share of the amplitude for a perceived share of `ratio` in the mix.

    t = 1 / (1 + 10^((g₁ − g₂) / 20) · (1 − r) / r): equation 2 of Tokozume et al. (arXiv 1711.10282).
    """
    return float(ratio / (ratio + 10 ** ((level_db - level2_db) / 20) * (1 - ratio))) if ratio > 0 else 0.0


def mix_classes(power: LogMels, power2: LogMels, t: float) -> LogMels:
    """Return the mel power (t² p₁ + (1 − t)² p₂) / (t² + (1 − t)²) of a mix of two sounds.

    The powers of independent recordings add; the denominator preserves the level of equally loud sounds.
    """
    total = t**2 + (1 - t) ** 2
    mixed: LogMels = power * np.float32(t**2 / total)
    mixed += power2 * np.float32((1 - t) ** 2 / total)
    return mixed


class ClassMix:
    """Mixes examples with clips of other classes, and changes their level.

    Between-class learning (Tokozume, Ushiku, Harada: "Learning from between-class examples for deep sound recognition",
    ICLR 2018, arXiv 1711.10282): for each mix r ~ U(0, 1) is the share of the first class, both in the label and in
    perceived loudness.

    Args:
        features: the training split, from which partners are drawn.
        class_mix_p: probability of mixing an example.
        gain_db: gains are uniform over −gain_db … gain_db, in dB.

    Raises:
        DataError: if `class_mix_p` is not 0 and there is only one class.
    """

    def __init__(self, features: FeatureSet, *, class_mix_p: float = 0.0, gain_db: float = 0.0) -> None:
        self._spec, self._labels = features.spec, features.labels
        self._p, self._gain_db = class_mix_p, gain_db
        self._weights = band_weights(features.spec)
        known = np.flatnonzero(features.labels >= 0)
        self._others = {int(label): known[features.labels[known] != label] for label in np.unique(features.labels)}
        if class_mix_p and not all(len(others) for others in self._others.values()):
            raise DataError(
                "train.class_mix_p mixes clips of different classes, but the training clips have only one class. Set "
                "it to 0."
            )

    def __call__(self, rows: Rows, draw: Draw, rng: np.random.Generator) -> tuple[LogMels, Labels]:
        """Return the examples at `rows`, (b, n_mels, n_frames) float32, and their labels (b, n_classes).

        Args:
            rows: indices into the training set.
            draw: returns the log-mels of rows, cut to the network's input, and their labels.
            rng: random generator.
        """
        drawn, labels = draw(rows, rng)
        ratios = np.ones(len(rows))
        mixed = np.flatnonzero(rng.random(len(rows)) < self._p)
        ratios[mixed] = rng.random(len(mixed))
        partners, labels2 = draw(self._partners(rows[mixed], rng), rng) if len(mixed) else (drawn[:0], labels[:0])
        gains = 10 ** (rng.uniform(-self._gain_db, self._gain_db, len(rows)) / 10)
        out = np.empty(drawn.shape, dtype=np.float32)
        partner_of = dict(zip(mixed.tolist(), partners, strict=True))
        for i, clip in enumerate(drawn):
            power = to_power(clip.astype(np.float32), self._spec)
            if i in partner_of:
                power = self._mixed(power, to_power(partner_of[i].astype(np.float32), self._spec), ratios[i])
            power *= np.float32(gains[i])
            out[i] = to_log_mel(power, self._spec)
        share = ratios[mixed, None].astype(np.float32)
        labels[mixed] = share * labels[mixed] + (1 - share) * labels2
        return out, labels

    def _mixed(self, power: LogMels, power2: LogMels, ratio: float) -> LogMels:
        levels = loudness_db(power, self._weights), loudness_db(power2, self._weights)
        return mix_classes(power, power2, share_of_first(ratio, *levels))

    def _partners(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Return for each row a random row of another class, uniform over their clips."""
        pools = [self._others[int(label)] for label in self._labels[rows]]
        return np.array([pool[rng.integers(len(pool))] for pool in pools], dtype=np.int64)


MIXED: tuple[Augmentation[type[ClassMix]], ...] = (
    Augmentation("class_mix", {"class_mix_p": "between-class mixing"}, ClassMix, {"class_mix_p": "class_mix_p"}),
    Augmentation("gain", {"gain_db": "random gain"}, ClassMix, {"gain_db": "gain_db"}),
)
"""In the order in which they are applied. They share one step, which takes the arguments of both."""
