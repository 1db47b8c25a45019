"""Augmentation of training batches in NumPy: pure functions of a batch and an explicit random generator.

Batches are float32 (b, n_mels, n_frames, n_channels). Functions return a new array and leave their argument unchanged.
`composed` combines several steps into one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.augmentation import Augmentation

Batch = npt.NDArray[np.float32]
Step = Callable[[Batch, Batch, np.random.Generator], tuple[Batch, Batch]]
"""(inputs, labels, generator) → inputs, labels. Mixup halves both; the others leave the labels unchanged."""


def composed(steps: Sequence[Step]) -> Step:
    """Return one step that applies all steps in order, drawing from the same generator."""

    def step(x: Batch, y: Batch, rng: np.random.Generator) -> tuple[Batch, Batch]:
        """Apply all steps."""
        for one in steps:
            x, y = one(x, y, rng)
        return x, y

    return step


def on_inputs(augmentation: Callable[..., Batch], **settings: Any) -> Step:
    """Return `augmentation(x, rng=…, **settings)` as a step."""
    return lambda x, y, rng: (augmentation(x, **settings, rng=rng), y)


def on_both(augmentation: Callable[..., tuple[Batch, Batch]], **settings: Any) -> Step:
    """Return `augmentation(x, y, rng=…, **settings)`, such as mixup, as a step."""
    return lambda x, y, rng: augmentation(x, y, **settings, rng=rng)


def mixup(x2: Batch, y2: Batch, alpha: float, rng: np.random.Generator) -> tuple[Batch, Batch]:
    """Return a batch mixed from the halves of `x2`, and its labels (Zhang et al. 2018; halves as in Hu et al. 2020).

    Args:
        x2: two concatenated batches, (2b, ...).
        y2: their labels, (2b, n_scenes), one-hot or soft.
        alpha: λ ~ Beta(alpha, alpha), drawn for each example; 0 returns the first half unmixed.
        rng: random generator.

    Raises:
        ValueError: if the number of examples is odd or differs from the number of labels.
    """
    if len(x2) % 2 or len(x2) != len(y2):
        raise ValueError(f"mixup takes two batches of equal size with their labels, got {len(x2)} and {len(y2)}")
    b = len(x2) // 2
    lam = rng.beta(alpha, alpha, b).astype(np.float32) if alpha > 0 else np.ones(b, dtype=np.float32)

    def mixed(z2: Batch) -> Batch:
        """Return the halves of `z2` mixed by λ."""
        share = lam.reshape(b, *[1] * (z2.ndim - 1))
        return share * z2[:b] + (1 - share) * z2[b:]

    return mixed(x2.astype(np.float32, copy=False)), mixed(y2.astype(np.float32, copy=False))


def cut_mix(x: Batch, y: Batch, p: float, rng: np.random.Generator) -> tuple[Batch, Batch]:
    """Return the batch with ranges of bands or of frames cut from other examples, and its labels mixed likewise.

    With probability `p`, an example has one range of mel bands or one of frames, either as likely, from another example
    of the batch at the same place. Of n bands or frames the range has round(u · n), u ~ U(0, 1), at a uniform position.
    Labels are mixed by the shares of the area (CutMix, Yun et al. 2019, arXiv 1905.04899; along time and frequency as
    in SpecMix, Kim et al. 2021, arXiv 2108.03020).

    Args:
        x: the batch.
        y: its labels, (b, n_scenes), one-hot or soft.
        p: probability for an example.
        rng: random generator.
    """
    out, labels = x.copy(), y.astype(np.float32)
    other = rng.permutation(len(x))
    axes, shares = rng.integers(0, 2, len(x)), rng.random(len(x))
    for i in np.flatnonzero(rng.random(len(x)) < p):
        size = x.shape[1 + axes[i]]
        width = round(float(shares[i]) * size)
        start = int(rng.integers(0, size - width + 1))
        cut = (slice(None),) * axes[i] + (slice(start, start + width),)
        out[i][cut] = x[other[i]][cut]
        labels[i] += (width / size) * (y[other[i]] - y[i])
    return out, labels


def random_crop(x: Batch, fraction: float, rng: np.random.Generator) -> Batch:
    """Return `fraction` of the frames of each example (rounded), from a random position; 400/423 in Hu et al. (2020).

    Raises:
        ValueError: if the fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"the fraction of frames that a crop keeps must be in (0, 1], got {fraction}")
    n_frames = x.shape[2]
    n_kept = max(1, round(fraction * n_frames))
    starts = rng.integers(0, n_frames - n_kept + 1, len(x))
    return np.stack([example[:, start : start + n_kept] for example, start in zip(x, starts, strict=True)])


def time_roll(x: Batch, rng: np.random.Generator) -> Batch:
    """Return each example rolled along time by a random number of frames, uniform over 0 … n_frames − 1."""
    n_frames = x.shape[2]
    out = np.empty_like(x)
    for example, shift, target in zip(x, rng.integers(0, n_frames, len(x)), out, strict=True):
        target[:, shift:] = example[:, : n_frames - shift]
        target[:, :shift] = example[:, n_frames - shift :]
    return out


def spec_augment(
    x: Batch, frequency_mask: int, time_mask: int, rng: np.random.Generator, *, per_channel: bool = False
) -> Batch:
    """Return each example with one range of mel bands and one range of frames set to 0 (Park et al. 2019).

    Widths are uniform over 0 … mask − 1 and never exceed the example; a mask of 0 masks nothing. Hu et al. (2020) use
    13 bands and 40 frames. 0 is the minimum of a min–max scaled clip, and the delta of a constant.

    Args:
        x: the batch.
        frequency_mask: upper bound (exclusive) of the number of masked mel bands.
        time_mask: upper bound (exclusive) of the number of masked frames.
        rng: random generator.
        per_channel: draw separate masks for each channel; otherwise the channels share them.
    """
    out = x.copy()
    # A picture gets one pair of masks: (n_mels, n_frames, channels that share them).
    pictures = [channel for example in out for channel in np.split(example, x.shape[3], axis=2)] if per_channel else out
    for axis, mask in ((0, frequency_mask), (1, time_mask)):
        size = x.shape[axis + 1]
        widths = rng.integers(0, max(1, min(mask, size + 1)), len(pictures))
        starts = rng.integers(0, size - widths + 1)
        for picture, start, width in zip(pictures, starts, widths, strict=True):
            picture[(slice(None),) * axis + (slice(start, start + width),)] = 0
    return out


def freq_mixstyle(x: Batch, p: float, alpha: float, rng: np.random.Generator) -> Batch:
    """Return the batch with frequency-wise statistics mixed among the examples (Kim et al. 2022), or unchanged.

    With probability `p`, the batch is changed: mean and standard deviation of each example per mel band, over time and
    channels, become λ · its own + (1 − λ) · those of another example, λ ~ Beta(alpha, alpha) per example. This
    simulates recordings by other devices.
    """
    if rng.random() >= p:
        return x.copy()
    bands = x.reshape(*x.shape[:2], -1)  # (b, n_mels, frames and channels)
    # Example by example, here and below: an example fits the processor's cache, a batch does not.
    mean = np.stack([example.mean(axis=1, keepdims=True) for example in bands])
    deviation = np.stack([np.sqrt(example.var(axis=1, keepdims=True) + np.float32(1e-6)) for example in bands])
    lam = rng.beta(alpha, alpha, (len(x), 1, 1)).astype(np.float32)
    other = rng.permutation(len(x))
    scale = (lam * deviation + (1 - lam) * deviation[other]) / deviation
    offset = lam * mean + (1 - lam) * mean[other] - scale * mean
    out = np.empty_like(bands)
    for example, factor, summand, target in zip(bands, scale, offset, out, strict=True):
        np.multiply(example, factor, out=target)
        target += summand
    return out.reshape(x.shape)


def frequency_shift(x: Batch, max_bands: int, rng: np.random.Generator) -> Batch:
    """Return each example shifted by a random number of mel bands, uniform over −max_bands … max_bands.

    On the mel scale this approximates a pitch shift. Uncovered bands repeat the edge band.
    """
    n_mels = x.shape[1]
    out = np.empty_like(x)
    for example, shift, target in zip(x, rng.integers(-max_bands, max_bands + 1, len(x)), out, strict=True):
        up, down = (min(max(step, 0), n_mels - 1) for step in (shift, -shift))
        target[up : n_mels - down] = example[down : n_mels - up]
        target[:up] = example[0]
        target[n_mels - down :] = example[-1]
    return out


def time_stretch(x: Batch, factor: float, rng: np.random.Generator) -> Batch:
    """Return each example at another speed, between 1/factor and factor (log-uniform).

    Frames are interpolated linearly; a faster example is repeated from its start. Deltas are slopes in time, so channel
    k (deltas of order k) is multiplied by speed^k.

    Raises:
        ValueError: if the factor is under 1.
    """
    if factor < 1:
        raise ValueError(f"the factor of a time stretch must be at least 1, got {factor}")
    n_mels, n_frames, n_channels = x.shape[1:]
    channels = np.arange(n_channels)
    out = np.empty(x.shape, dtype=np.float32)  # C order regardless of x: rows are written through views
    for example, speed, target in zip(x, factor ** rng.uniform(-1, 1, len(x)), out, strict=True):
        position = (np.arange(n_frames) * speed) % max(1, n_frames - 1)
        left = position.astype(np.int64)[:, None]
        share = (position[:, None] - left).astype(np.float32)
        steeper = (speed**channels).astype(np.float32)
        rows, played = example.reshape(n_mels, -1), target.reshape(n_mels, -1)  # frames and channels side by side
        np.take(rows, (left * n_channels + channels).ravel(), axis=1, out=played, mode="clip")
        played *= ((1 - share) * steeper).ravel()
        right = np.minimum(left + 1, n_frames - 1)
        after = np.take(rows, (right * n_channels + channels).ravel(), axis=1, mode="clip")
        after *= (share * steeper).ravel()
        played += after
    return out


def _of_inputs(
    function: Callable[..., Batch],
    switches: Mapping[str, str],
    arguments: Mapping[str, str],
    *,
    off: float = 0,
    changes_length: bool = False,
) -> Augmentation[Callable[..., Step]]:
    name, step = function.__name__, partial(on_inputs, function)
    return Augmentation(name, switches, step, arguments, off=off, changes_length=changes_length)


BATCHES: tuple[Augmentation[Callable[..., Step]], ...] = (
    _of_inputs(time_stretch, {"time_stretch": "time stretching"}, {"factor": "time_stretch"}, off=1),
    _of_inputs(frequency_shift, {"frequency_shift": "frequency shifting"}, {"max_bands": "frequency_shift"}),
    _of_inputs(time_roll, {"time_roll": "time rolling"}, {}),
    _of_inputs(
        random_crop, {"crop_fraction": "random cropping"}, {"fraction": "crop_fraction"}, off=1, changes_length=True
    ),
    Augmentation("mixup", {"mixup_alpha": "mixup"}, partial(on_both, mixup), {"alpha": "mixup_alpha"}),
    Augmentation("cut_mix", {"cut_mix_p": "time and frequency CutMix"}, partial(on_both, cut_mix), {"p": "cut_mix_p"}),
    _of_inputs(
        freq_mixstyle, {"freq_mixstyle_p": "Freq-MixStyle"}, {"p": "freq_mixstyle_p", "alpha": "freq_mixstyle_alpha"}
    ),
    _of_inputs(
        spec_augment,
        {"frequency_mask": "frequency masking", "time_mask": "time masking"},
        {"frequency_mask": "frequency_mask", "time_mask": "time_mask", "per_channel": "mask_per_channel"},
    ),
)
"""In the order in which they are applied. The step of an entry takes the arguments and returns a `Step`."""
