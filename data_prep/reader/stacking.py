"""Compiled inner loops of `data_prep.reader.inputs`: scaling, deltas and channels in one pass over each mel band.

Operations are not reordered, so results are bit-identical to NumPy's. The GIL is released.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from data_prep.features.compiling import OPTIONS, compiled, compiled_here

_HALF_TO_FLOAT: Final = np.float32(2.0**112)
"""The exponent and fraction of a float16, moved into those of a float32, are too small by this factor."""
_NEAR, _FAR, _ONE = np.float32(0.1), np.float32(0.2), np.float32(1)


def stack(
    log_mel: npt.NDArray[np.floating],
    shifts: Sequence[npt.NDArray[np.float32]],
    scale: npt.NDArray[np.float32],
    is_minmax: bool,
    margin: int,
    out: npt.NDArray[np.float32],
) -> None:
    """Write the network input of log-mels into `out` (b, n_mels, n_frames', n_channels).

    Args:
        log_mel: (b, n_mels, n_frames), all finite; float16 as stored, or wider.
        shifts: of each clip (n_mels,), subtracted from the bands; unused if `is_minmax`.
        scale: (n_mels,), divides the bands; unused if `is_minmax`.
        is_minmax: scale each clip by its own minimum and maximum.
        margin: how often the first and the last frame are repeated.
        out: has 1 to 3 channels.
    """
    n_mels, n_frames = log_mel.shape[1:]
    plane = np.empty((n_mels, n_frames), dtype=np.float32)
    rows = np.empty((3, n_frames + 2 * margin), dtype=np.float32)
    for clip, shift, target in zip(log_mel, shifts, out, strict=True):
        if clip.dtype == np.float16:
            _decode(np.ascontiguousarray(clip).view(np.uint16).reshape(-1), plane.reshape(-1), _bits_of(plane))
        else:
            plane[:] = clip
        _stack(plane, shift, scale, is_minmax, margin, rows, target)


def _bits_of(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    return plane.reshape(-1).view(np.uint32)


@compiled
def _decode(bits: Any, plane: Any, words: Any) -> None:
    """Decode float16 `bits` into `plane`; `words` is a view of the bits of `plane`."""
    for i in range(len(bits)):
        words[i] = np.uint32(bits[i] & np.uint16(0x7FFF)) << np.uint32(13)
    for i in range(len(bits)):
        plane[i] *= _HALF_TO_FLOAT
    for i in range(len(bits)):
        words[i] |= np.uint32(bits[i] & np.uint16(0x8000)) << np.uint32(16)


@njit(fastmath={"nnan", "nsz"}, **OPTIONS)
def _extremes(plane: Any) -> Any:
    """Return minimum and maximum."""
    low = high = plane[0]
    for value in plane:
        low = value if value < low else low
        high = value if value > high else high
    return low, high


@compiled_here
def _slope(x: Any, out: Any, n: Any) -> None:
    """Write the `n` valid deltas of `x`."""
    for t in range(n):
        out[t] = (x[t + 3] - x[t + 1]) * _NEAR + (x[t + 4] - x[t]) * _FAR


@compiled_here
def _interleave(x: Any, slope: Any, curve: Any, n_channels: Any, target: Any) -> None:
    """Interleave the channels of one mel band frame by frame, each from the middle of its row."""
    n = len(target) // n_channels
    if n_channels == 1:
        for t in range(n):
            target[t] = x[t]
    elif n_channels == 2:
        for t in range(n):
            target[2 * t] = x[t + 2]
            target[2 * t + 1] = slope[t]
    else:
        for t in range(n):
            target[3 * t] = x[t + 4]
            target[3 * t + 1] = slope[t + 2]
            target[3 * t + 2] = curve[t]


@compiled
def _stack(plane: Any, shift: Any, scale: Any, is_minmax: Any, margin: Any, rows: Any, out: Any) -> None:
    """Fill `out` (n_mels, n_frames', n_channels) from one clip."""
    n_mels, n_frames = plane.shape
    x, slope, curve = rows[0], rows[1], rows[2]
    n_channels = out.shape[2]
    low, high = _extremes(plane.reshape(-1))
    for mel in range(n_mels):
        band = plane[mel]
        minus, by = shift[mel], scale[mel]
        if is_minmax:
            minus, by = low, high - low if high > low else _ONE
        for t in range(n_frames):
            x[margin + t] = (band[t] - minus) / by
        for t in range(margin):
            x[t] = x[margin]
            x[margin + n_frames + t] = x[margin + n_frames - 1]
        if n_channels > 1:
            _slope(x, slope, len(x) - 4)
        if n_channels > 2:
            _slope(slope, curve, len(x) - 8)
        _interleave(x, slope, curve, n_channels, out[mel].reshape(-1))
