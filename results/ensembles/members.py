"""Search for the members of an ensemble: which candidates, how often each, within the limits of one model.

Four methods propose members. Each is run on all but one part of the locations and judged on that part, with a
temperature fitted as for any system; the method with the lowest held-out loss is then run on all clips. `single` is one
of them, so that an ensemble is proposed only where it is better on clips that it was not selected on.

- `single`: the best candidate, each with a temperature of its own.
- `greedy`: Caruana et al., "Ensemble selection from libraries of models", ICML 2004, with removal: from the candidate
  with the lowest loss on, add or remove the one that lowers the loss of the mean probabilities most.
- `per_byte`: the same, but each new member is chosen by gain per byte, from no member on; refined by `greedy`.
- `exact`: the best of all sets of distinct members with equal weights.

The size of a member counts once, however often it was added: repetition only changes its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from asc_models.ensemble import temper
from asc_models.metrics import EPSILON, Floats, Ints, log_loss, log_losses
from data_prep.progress import ProgressCallback
from results.config import EnsembleConfig
from results.ensembles.calibration import fit_temperature

Counts = npt.NDArray[np.int64]
"""How often each candidate was added, shape (n_candidates,)."""

MAX_TEMPERED = 20
"""Most candidates of which `single` fits temperatures."""
MAX_EXACT_MEMBERS = 5
"""Most members of a set that `exact` tries."""
MAX_EXACT_SETS = 1_000_000
"""Most sets that `exact` tries."""
MAX_EXACT_LOSSES = 300_000_000
"""Most sets times clips that `exact` tries: a few seconds."""
CHUNK_VALUES = 200_000
"""Probabilities that `exact` handles at a time: what fits into a cache."""
N_FACTORS = 16
"""A product of so many probabilities of at least `EPSILON` is within the range of float64."""


@dataclass(frozen=True)
class Pool:
    """Candidates for an ensemble. Each alone is within the limits."""

    probabilities: Floats
    """Shape (n_candidates, n_clips, n_scenes)."""
    labels: Ints
    """Class indices, shape (n_clips,)."""
    sizes: Floats
    """Size of each candidate, shape (n_candidates,), for gains per byte."""
    fits: Callable[[Sequence[int]], bool]
    """Whether distinct candidates are within the limits together. If a set is not, no larger set is."""
    config: EnsembleConfig
    sets: Sequence[npt.NDArray[np.int64]]
    """The sets of distinct members that `exact` compares (`fitting_sets`)."""

    def __len__(self) -> int:
        return len(self.probabilities)

    @cached_property
    def true(self) -> npt.NDArray[np.float64]:
        """Probability of the true scene, shape (n_candidates, n_clips): all that the loss of a mean depends on."""
        p = self.probabilities.astype(np.float64)
        chosen = np.take_along_axis(p, self.labels[None, :, None], axis=2)[..., 0]
        result: npt.NDArray[np.float64] = chosen / p.sum(axis=2)
        return result

    def mean(self, counts: Counts) -> npt.NDArray[np.float64]:
        """Return the mean probabilities, shape (n_clips, n_scenes)."""
        used = np.flatnonzero(counts)
        weights = counts[used] / counts.sum()
        mean: npt.NDArray[np.float64] = np.tensordot(weights, self.probabilities[used].astype(np.float64), axes=1)
        return mean

    def loss(self, counts: Counts) -> float:
        """Return the log loss of the mean probabilities in nats."""
        return float(_losses(counts @ self.true / counts.sum()))

    def may_join(self, counts: Counts, index: int) -> bool:
        """Return whether a candidate can be added."""
        if counts[index]:
            return True
        members = [*np.flatnonzero(counts).tolist(), index]
        return len(members) <= self.config.max_members and self.fits(members)

    def without(self, clips: npt.NDArray[np.bool_]) -> Pool:
        """Return the pool without these clips. What fits stays the same."""
        return replace(self, probabilities=self.probabilities[:, ~clips], labels=self.labels[~clips])


def make_pool(
    probabilities: Floats, labels: Ints, sizes: Floats, fits: Callable[[Sequence[int]], bool], config: EnsembleConfig
) -> Pool:
    """Return a pool with the sets that `exact` compares (see the fields of `Pool`)."""
    return Pool(probabilities, labels, sizes, fits, config, fitting_sets(len(probabilities), len(labels), fits, config))


def fitting_sets(
    n_candidates: int, n_clips: int, fits: Callable[[Sequence[int]], bool], config: EnsembleConfig
) -> list[npt.NDArray[np.int64]]:
    """Return all sets of distinct candidates that fit, one array (n_sets, size) per size from 1.

    Larger sizes are left out if there are too many sets to compare.
    """
    found = [np.arange(n_candidates)[:, None]]
    n_sets = n_candidates
    for _ in range(1, min(config.max_members, MAX_EXACT_MEMBERS, n_candidates)):
        n_larger = int((n_candidates - 1 - found[-1][:, -1]).sum())
        if n_sets + n_larger > MAX_EXACT_SETS or (n_sets + n_larger) * n_clips > MAX_EXACT_LOSSES:
            break
        larger = ((*members, i) for members in found[-1].tolist() for i in range(members[-1] + 1, n_candidates))
        fitting = [members for members in larger if fits(members)]
        if not fitting:
            break
        found.append(np.array(fitting))
        n_sets += len(fitting)
    return found


Method = Callable[[Pool], Counts]


def single(pool: Pool) -> Counts:
    """Return the candidate with the lowest loss alone, each with the temperature that fits it best, if there is one.

    Of many candidates, the `MAX_TEMPERED` with the lowest loss without a temperature are compared.
    """
    if not pool.config.temperature:
        return _lowest(pool)
    indices = np.argsort(_losses(pool.true), kind="stable")[:MAX_TEMPERED]
    losses = []
    for index in indices:
        own = pool.probabilities[index].astype(np.float64)
        losses.append(log_loss(pool.labels, temper(own, fit_temperature(pool.labels, own))))
    return _one(pool, int(indices[int(np.argmin(losses))]))


def greedy(pool: Pool, start: Counts | None = None) -> Counts:
    """Return the members found by adding and removing, from `start` or the candidate with the lowest loss on."""
    counts = _lowest(pool) if start is None else start
    best = pool.loss(counts)
    for _ in range(pool.config.max_rounds):
        if counts.sum() >= pool.config.max_rounds:
            break
        losses, moves = _moves(pool, counts)
        if not losses.min() < best:
            break
        best = float(losses.min())
        counts = counts + moves[int(losses.argmin())]
    return counts


def per_byte(pool: Pool) -> Counts:
    """Return the members found by gain per byte, refined by `greedy`; never worse than the best candidate."""
    n_scenes = pool.probabilities.shape[2]
    gains = (np.log(n_scenes) - _losses(pool.true)) / pool.sizes
    counts = _one(pool, int(gains.argmax()))
    loss = pool.loss(counts)
    while np.count_nonzero(counts) < pool.config.max_members and counts.sum() < pool.config.max_rounds:
        new = [i for i in range(len(pool)) if not counts[i] and pool.may_join(counts, i)]
        if not new:
            break
        losses = _losses((counts @ pool.true + pool.true[new]) / (counts.sum() + 1))
        if not losses.min() < loss:
            break
        chosen = int(((loss - losses) / pool.sizes[new]).argmax())
        counts, loss = counts + _one(pool, new[chosen]), float(losses[chosen])
    return min((greedy(pool, counts), _lowest(pool)), key=pool.loss)


def exact(pool: Pool) -> Counts:
    """Return the set of distinct members with equal weights that has the lowest loss."""
    best, chosen = np.inf, np.array([0])
    for sets in pool.sets:
        for chunk in np.array_split(sets, max(1, len(sets) * len(pool.labels) // CHUNK_VALUES)):
            total = pool.true[chunk[:, 0]]
            for column in chunk.T[1:]:
                total += pool.true[column]
            losses = _losses(total / sets.shape[1])
            if losses.min() < best:
                best, chosen = float(losses.min()), chunk[int(losses.argmin())]
    counts = np.zeros(len(pool), dtype=np.int64)
    counts[chosen] = 1
    return counts


METHODS: dict[str, Method] = {"single": single, "greedy": greedy, "per_byte": per_byte, "exact": exact}


@dataclass(frozen=True)
class Found:
    """Result of the search for members."""

    counts: Counts
    method: str
    """Method with the lowest held-out loss."""
    held_out: dict[str, float]
    """{method: log loss on locations that its members and temperature were not selected on}; {} if all clips are of one
    location."""
    losses: dict[str, npt.NDArray[np.float64]]
    """{method: held-out log loss of each clip}."""

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Weights of the candidates, summing to 1."""
        shares: npt.NDArray[np.float64] = self.counts / self.counts.sum()
        return shares


def find_members(pool: Pool, parts: Ints, on_progress: ProgressCallback | None = None) -> Found:
    """Return the members found by the method that is best on held-out locations.

    Args:
        pool: candidates.
        parts: part of each clip (`location_parts`). With a single part, `greedy` is used and nothing is held out.
        on_progress: called after each search.
    """
    names = np.unique(parts)
    n_steps, done = len(METHODS) * len(names) + 1, 0
    losses = {method: np.empty(len(pool.labels)) for method in METHODS}
    for part in names if len(names) > 1 else ():
        held = parts == part
        rest = pool.without(held)
        for name, method in METHODS.items():
            losses[name][held] = _held_out(pool, rest, method(rest), held)
            done += 1
            if on_progress is not None:
                on_progress(done, n_steps)
    held_out = {name: float(values.mean()) for name, values in losses.items()} if len(names) > 1 else {}
    best = min(held_out, key=held_out.__getitem__) if held_out else "greedy"
    counts = METHODS[best](pool)
    if on_progress is not None:
        on_progress(n_steps, n_steps)
    return Found(counts, best, held_out, losses if held_out else {})


def _held_out(pool: Pool, rest: Pool, counts: Counts, held: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the log losses of held-out clips, by members and temperature that were selected on the rest."""
    temperature = fit_temperature(rest.labels, rest.mean(counts)) if pool.config.temperature else 1.0
    return log_losses(pool.labels[held], temper(pool.mean(counts)[held], temperature))


def _moves(pool: Pool, counts: Counts) -> tuple[npt.NDArray[np.float64], list[Counts]]:
    """Return the losses after each possible addition and removal, and the changes of `counts`."""
    total, n = counts @ pool.true, counts.sum()
    changes = [(i, 1) for i in range(len(pool)) if pool.may_join(counts, i)]
    changes += [(int(i), -1) for i in np.flatnonzero(counts) if n > 1]
    index, sign = (np.array(part) for part in zip(*changes, strict=True))
    losses = _losses((total + sign[:, None] * pool.true[index]) / (n + sign[:, None]))
    return losses, [sign_of * _one(pool, i) for i, sign_of in changes]


def _lowest(pool: Pool) -> Counts:
    """Return the candidate with the lowest loss alone, without a temperature."""
    return _one(pool, int(_losses(pool.true).argmin()))


def _one(pool: Pool, index: int) -> Counts:
    counts = np.zeros(len(pool), dtype=np.int64)
    counts[index] = 1
    return counts


def _losses(true: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean over the last axis of −log p.

    Logarithms are taken of products of up to `N_FACTORS` values, which takes a part of the time.
    """
    product = np.clip(true, EPSILON, 1 - EPSILON)
    n_factors = 1
    while n_factors < N_FACTORS and product.shape[-1] > 1:
        half = product.shape[-1] // 2
        rest = product[..., 2 * half :]
        product = np.concatenate([product[..., :half] * product[..., half : 2 * half], rest], axis=-1)
        n_factors *= 2
    result: npt.NDArray[np.float64] = -np.log(product).sum(axis=-1) / true.shape[-1]
    return result
