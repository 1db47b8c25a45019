"""Mel power spectra of a waveform, sixteen frames at a time, compiled for the processor of the machine.

Each frame is a lane: every butterfly of the Fourier transform and every sum over a mel band works on sixteen frames at
once. This is several times faster than transforming frames one by one with a library, and a block of sixteen frames
stays in the processor's cache from its samples to its mel bands.

The compiler vectorizes a loop over sixteen numbers only if it can prove that writes don't overlap later reads, which it
rarely can. The first half of this module therefore defines a value of sixteen float32 that is loaded, added, multiplied
and stored at once; the second half computes with it.

Compiled code is cached until this file changes, so only the first process on a machine spends seconds on compilation.
"""

from __future__ import annotations

import operator
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from data_prep.features.compiling import compiled, compiled_here

if TYPE_CHECKING:
    from data_prep.config import FeatureSpec

Float32 = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

N_LANES: Final = 16
"""Numbers in one value. The compiler splits it if the processor's registers are narrower."""

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, N_LANES)
_FLAGS = ("contract",)  # allows fused multiply-add, and no other relaxation


class _LanesType(types.Type):
    """Compiler type of the value."""

    def __init__(self) -> None:
        super().__init__(name="Lanes16xFloat32")


_LANES = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    """The value as a vector in one or more registers."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return the lanes `array[index : index + 16]` of a one-dimensional float32 array; the index is not checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Return what the instructions give."""
        address = _address(context, builder, signature.args[0], *args)
        return builder.load(address, align=4)

    return _LANES(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write the lanes to `array[index : index + 16]`; the index is not checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Return what the instructions give."""
        builder.store(args[2], _address(context, builder, signature.args[0], *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _LANES), generate


@intrinsic
def fill(typing: Any, value: Any) -> Any:
    """Return `value` in every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Return what the instructions give."""
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), N_LANES), [0] * N_LANES)
        return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), everywhere)

    return _LANES(types.float32), generate


@intrinsic
def root(typing: Any, lanes: Any) -> Any:
    """Return the square root of every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Return what the instructions give."""
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.sqrt.v{N_LANES}f32"
        )
        return builder.call(function, args)

    return _LANES(_LANES), generate


@intrinsic
def load_turned(typing: Any, target: Any, to: Any, source: Any, at: Any, pitch: Any, factors: Any, first: Any) -> Any:
    """Write `source[at + pitch * lane + i] * factors[first + i]` to `target[to + 16 * i + lane]` for sixteen i.

    Sixteen adjacent samples of each lane's frame become sixteen values; the indices are not checked.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Return what the instructions give."""
        target, to, source, at, pitch, factors, first = args
        arrays = signature.args
        weights = builder.load(_address(context, builder, arrays[5], factors, first), align=4)
        rows = []
        for _ in range(N_LANES):
            samples = builder.load(_address(context, builder, arrays[2], source, at), align=4)
            rows.append(builder.fmul(samples, weights))
            at = builder.add(at, pitch)
        # Shuffling the halves of the block into each other turns its index by one bit; four times swap row and column.
        for _ in range(N_LANES.bit_length() - 1):
            halves = zip(rows[: N_LANES // 2], rows[N_LANES // 2 :], strict=True)
            rows = [builder.shuffle_vector(*pair, mask) for pair in halves for mask in (_LOW, _HIGH)]
        for row in rows:
            builder.store(row, _address(context, builder, arrays[0], target, to), align=4)
            to = builder.add(to, ir.Constant(to.type, N_LANES))
        return context.get_dummy_value()

    indices = (types.intp, types.intp)
    return types.void(target, types.intp, source, *indices, factors, types.intp), generate


def _interleaved(first: int) -> Any:
    pairs = [lane for i in range(first, first + N_LANES // 2) for lane in (i, i + N_LANES)]
    return ir.Constant(ir.VectorType(ir.IntType(32), N_LANES), pairs)


_LOW, _HIGH = _interleaved(0), _interleaved(N_LANES // 2)


def _define(operation: Any, name: str) -> None:
    """Define an arithmetic operation on the values."""

    @type_callable(operation)
    def type_it(context: Any) -> Any:
        """Return the typing rule of the result."""

        def typer(left: Any, right: Any) -> Any:
            """Return the type for two values, None for other operands."""
            return _LANES if isinstance(left, _LanesType) and isinstance(right, _LanesType) else None

        return typer

    @lower_builtin(operation, _LanesType, _LanesType)
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Return what the instructions give."""
        return getattr(builder, name)(*args, flags=_FLAGS)


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")


_ROW: Final = 2 * N_LANES
"""Values of one complex number in every lane: the real parts, then the imaginary parts."""
_ZERO: Final = np.float32(0)
_HALF: Final = np.float32(0.5)


def is_compilable(n_fft: int) -> bool:
    """Return whether `n_fft` is supported (a power of two) and the compiler is enabled."""
    return n_fft >= N_LANES and n_fft & (n_fft - 1) == 0 and not config.DISABLE_JIT


class CompiledMelPower:
    """Mel power of whole clips; tables are allocated once, buffers once in each thread.

    Args:
        spec: the feature; n_fft must be a power of two.
        window: (n_fft,) factors of the samples of a frame.
        filters: (n_mels, n_fft // 2 + 1) mel filters.
    """

    def __init__(self, spec: FeatureSpec, window: npt.NDArray[np.float64], filters: npt.NDArray[np.float64]) -> None:
        n_fft, half, hop = spec.n_fft, spec.n_fft // 2, spec.hop_length
        angles = -2j * np.pi * np.arange(half)
        self._shape = (spec.n_mels, spec.n_frames)
        self._sizes = (hop, half, spec.power == 1)
        self._tables = (
            window.astype(np.float32),
            np.exp(angles / half).astype(np.complex64).view(np.float32),
            np.exp(angles / n_fft).astype(np.complex64).view(np.float32),
            _bin_rows(half),
        )
        self._bands = _bands(filters.astype(np.float32))
        self._no_gain = np.ones(half + 1, dtype=np.float32)
        self._buffer_sizes = ((N_LANES - 1) * hop + n_fft, n_fft * N_LANES, (half + 1) * N_LANES, N_LANES)
        self._of_thread = threading.local()

    def __call__(self, y: Float32, gain: npt.NDArray[np.floating] | None) -> tuple[Float32, Float32]:
        """Return mel power (n_mels, n_frames) and each frame's power over all bins before the gain (n_frames,).

        Args:
            y: (n_samples,) float32, zero-padded at both ends.
            gain: (n_fft // 2 + 1,) factors of the power (of the magnitude for a feature with power 1), or None.
        """
        mel = np.empty(self._shape, dtype=np.float32)
        total = np.empty(self._shape[1], dtype=np.float32)
        factors = self._no_gain if gain is None else np.ascontiguousarray(gain, dtype=np.float32)
        y = np.ascontiguousarray(y, dtype=np.float32)
        _mel_power(y, mel, total, self._sizes, self._tables, factors, self._bands, self._buffers)
        return mel, total

    @property
    def _buffers(self) -> tuple[Float32, ...]:
        """The buffers of this thread: compiled code runs without Python's lock, in several threads at once."""
        if not hasattr(self._of_thread, "buffers"):
            self._of_thread.buffers = tuple(np.empty(size, dtype=np.float32) for size in self._buffer_sizes)
        buffers: tuple[Float32, ...] = self._of_thread.buffers
        return buffers


def _bands(filters: Float32) -> tuple[Indices, Indices, Float32]:
    """Return the first bin of each filter, the offsets of its weights (n_mels + 1,), and all weights in one row."""
    used = [np.flatnonzero(row) for row in filters]
    spans = [(int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0) for bins in used]
    weights = [row[first:stop] for row, (first, stop) in zip(filters, spans, strict=True)]
    begins = np.cumsum([0, *(len(part) for part in weights)])
    return np.array([first for first, _ in spans], dtype=np.intp), begins.astype(np.intp), np.concatenate(weights)


def _bin_rows(n: int) -> Indices:
    """Return the offsets of bins 0 … n − 1 in the buffer after `_transform` of `n` complex numbers.

    A step of radix r leaves the bins that are i modulo r in part i.
    """
    rows, positions, size = np.arange(n), np.zeros(n, dtype=np.intp), n
    while size > 1:
        radix = 4 if size >= 4 else 2
        size //= radix
        positions += rows % radix * size
        rows //= radix
    return positions * _ROW


@compiled_here
def _frames(z: Any, y: Any, begin: Any, hop: Any, window: Any, edge: Any) -> None:
    """Write sixteen windowed frames, the first at `begin`, into `z`: even samples real, odd ones imaginary parts."""
    if begin < 0 or begin + len(edge) > len(y):  # some frames extend past the clip: zeros there
        for i in range(len(edge)):
            edge[i] = y[begin + i] if 0 <= begin + i < len(y) else _ZERO
        y, begin = edge, 0
    for i in range(0, len(window), N_LANES):
        load_turned(z, i * N_LANES, y, begin + i, hop, window, i)


@compiled_here
def _transform(z: Any, n: Any, roots: Any) -> None:
    """Replace `n` complex numbers per lane by their discrete Fourier transform, in the order of `_bin_rows`."""
    size, stride = n, 2  # the roots of unity are stored as pairs of reals
    while size >= 4:
        quarter = size // 4 * _ROW
        for begin in range(0, n * _ROW, size * _ROW):
            k = 0
            for a in range(begin, begin + quarter, _ROW):
                b, c, d = a + quarter, a + 2 * quarter, a + 3 * quarter
                ar, ai, br, bi = load(z, a), load(z, a + N_LANES), load(z, b), load(z, b + N_LANES)
                cr, ci, dr, di = load(z, c), load(z, c + N_LANES), load(z, d), load(z, d + N_LANES)
                sum_r, sum_i, odd_r, odd_i = ar + cr, ai + ci, br + dr, bi + di
                gap_r, gap_i, turn_r, turn_i = ar - cr, ai - ci, bi - di, dr - br  # turn = −i (b − d)
                store(z, a, sum_r + odd_r)
                store(z, a + N_LANES, sum_i + odd_i)
                ur, ui, wr, wi = gap_r + turn_r, gap_i + turn_i, fill(roots[k]), fill(roots[k + 1])
                store(z, b, ur * wr - ui * wi)
                store(z, b + N_LANES, ur * wi + ui * wr)
                ur, ui, wr, wi = sum_r - odd_r, sum_i - odd_i, fill(roots[2 * k]), fill(roots[2 * k + 1])
                store(z, c, ur * wr - ui * wi)
                store(z, c + N_LANES, ur * wi + ui * wr)
                ur, ui, wr, wi = gap_r - turn_r, gap_i - turn_i, fill(roots[3 * k]), fill(roots[3 * k + 1])
                store(z, d, ur * wr - ui * wi)
                store(z, d + N_LANES, ur * wi + ui * wr)
                k += stride
        size //= 4
        stride *= 4
    if size == 2:
        for a in range(0, n * _ROW, 2 * _ROW):
            b = a + _ROW
            ar, ai, br, bi = load(z, a), load(z, a + N_LANES), load(z, b), load(z, b + N_LANES)
            store(z, a, ar + br)
            store(z, a + N_LANES, ai + bi)
            store(z, b, ar - br)
            store(z, b + N_LANES, ai - bi)


@compiled_here
def _power(power: Any, z: Any, half: Any, rows: Any, roots: Any) -> None:
    """Write the power of bins 0 … half of the real frames, whose samples were paired into complex numbers."""
    even, odd, share = load(z, 0), load(z, N_LANES), fill(_HALF)
    store(power, 0, (even + odd) * (even + odd))
    store(power, half * N_LANES, (even - odd) * (even - odd))
    for k in range(1, half // 2 + 1):
        a, b = rows[k], rows[half - k]
        ar, ai, br, bi = load(z, a), load(z, a + N_LANES), load(z, b), load(z, b + N_LANES)
        wr, wi = fill(roots[2 * k]), fill(roots[2 * k + 1])
        even_r, even_i, odd_r, odd_i = share * (ar + br), share * (ai - bi), share * (ai + bi), share * (br - ar)
        turned_r, turned_i = odd_r * wr - odd_i * wi, odd_r * wi + odd_i * wr
        ur, ui, vr, vi = even_r + turned_r, even_i + turned_i, even_r - turned_r, even_i - turned_i
        store(power, k * N_LANES, ur * ur + ui * ui)
        store(power, (half - k) * N_LANES, vr * vr + vi * vi)


@compiled_here
def _finish(power: Any, sums: Any, gain: Any, is_magnitude: Any) -> None:
    """Write the power over all bins of each lane into `sums`; take the root if `is_magnitude`, and apply `gain`."""
    total = fill(_ZERO)
    for k in range(len(gain)):
        value = load(power, k * N_LANES)
        total = total + value
        if is_magnitude:
            value = root(value)
        store(power, k * N_LANES, value * fill(gain[k]))
    store(sums, 0, total)


@compiled_here
def _band(sums: Any, power: Any, first_bin: Any, weights: Any) -> None:
    """Write the sum of one mel band over its bins into `sums`."""
    total = fill(_ZERO)
    for i in range(len(weights)):
        total = total + fill(weights[i]) * load(power, (first_bin + i) * N_LANES)
    store(sums, 0, total)


@compiled
def _mel_power(y: Any, mel: Any, total: Any, sizes: Any, tables: Any, gain: Any, bands: Any, buffers: Any) -> None:
    """Fill `mel` and `total`, block by block."""
    hop, half, is_magnitude = sizes
    window, roots, real_roots, rows = tables
    first_bins, begins, weights = bands
    edge, z, power, sums = buffers
    n_frames = mel.shape[1]
    for first in range(0, n_frames, N_LANES):
        n = min(N_LANES, n_frames - first)
        _frames(z, y, first * hop - half, hop, window, edge)
        _transform(z, half, roots)
        _power(power, z, half, rows, real_roots)
        _finish(power, sums, gain, is_magnitude)
        for lane in range(n):
            total[first + lane] = sums[lane]
        for band in range(len(first_bins)):
            _band(sums, power, first_bins[band], weights[begins[band] : begins[band + 1]])
            for lane in range(n):
                mel[band, first + lane] = sums[lane]
