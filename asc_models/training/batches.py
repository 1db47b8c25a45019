"""Training batches: sampling, cropping, mixing. The random stream of an epoch depends only on (seed, epoch)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from asc_models.config import Balance, TrainConfig
from data_prep.augment.batch import BATCHES, Step, composed
from data_prep.augment.class_mix import MIXED, ClassMix, Rows
from data_prep.augment.onthefly import STORED, OnTheFly
from data_prep.augment.registry import WHOLE_CLIPS
from data_prep.errors import ConfigError
from data_prep.reader.reader import FeatureSet
from data_prep.reader.windows import RandomWindows

Array = npt.NDArray[np.float32]

CACHE_BYTES = 1_000_000_000
"""Network inputs of up to this many bytes are computed once and cached; larger sets are computed batch by batch."""


class TrainingBatches:
    """Augmented batches of a training set.

    Args:
        features: the training split.
        config: batch size, mixup and the other augmentations.
        seed: random seed.
        soft: further targets of each clip, shape (n_clips, n_soft), such as a teacher's probabilities. They are mixed
            as the class probabilities are and follow them in the batches' targets; None if there are none.

    Raises:
        ConfigError: if the recipe is incompatible with the features' reader.
        DataError: if an augmentation lacks the clips that it needs.
    """

    def __init__(self, features: FeatureSet, config: TrainConfig, seed: int, soft: Array | None = None) -> None:
        if clash := config.clash_with(features.reader):
            raise ConfigError(clash)
        if features.windows is not None:  # windows replace the crop
            config = config.updated(**WHOLE_CLIPS)
        self._features = features
        self._config = config
        self._seed = seed
        self._soft = soft
        shape = features.network_shape
        self._crop_shape = (shape[0], max(1, round(shape[1] * config.crop_fraction)), shape[2])
        self._on_the_fly = _on_the_fly(features, config)
        self._class_mix = _class_mix(features, config)
        self._windows = RandomWindows(features.log_mel, features.reader, features.spec) if features.windows else None
        fits = features.n_clips * math.prod(shape) * 4 <= CACHE_BYTES
        is_plain = self._on_the_fly is None and self._class_mix is None and self._windows is None
        self._cache = features.channels_of(features.filled(features.log_mel)) if fits and is_plain else None
        self._step = composed(steps_of(config))
        self._groups = None if config.balance == "none" else _groups(features, config.balance)

    @property
    def batch_shape(self) -> tuple[int, int, int, int]:
        """(batch_size, n_mels, cropped n_frames, n_channels), the same for every batch."""
        return (self._config.batch_size, *self._crop_shape)

    @property
    def n_targets(self) -> int:
        """Targets of an example: its class probabilities, then the further ones if there are any."""
        return len(self._features.classes) + (0 if self._soft is None else self._soft.shape[1])

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch: ceil(n_clips / batch_size), or ceil(epoch_examples / batch_size) if that is set."""
        return math.ceil((self._config.epoch_examples or self._features.n_clips) / self._config.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[Array, Array]]:
        """Yield the batches of epoch `number` (0-based): inputs and targets (batch_size, n_targets)."""
        rng = np.random.default_rng([self._seed, number])
        draws = self._config.batch_size * (2 if self._config.mixup_alpha else 1)
        order = self._order(rng, self.steps_per_epoch * draws)
        for step in range(self.steps_per_epoch):
            indices = order[step * draws : (step + 1) * draws]
            yield self._augmented(indices, rng)

    def _order(self, rng: np.random.Generator, n_draws: int) -> npt.NDArray[np.int64]:
        if self._groups is None:
            return _draws(rng, np.arange(self._features.n_clips), n_draws)
        # Equal numbers of draws per group; the remainder goes to random groups.
        shares = np.full(len(self._groups), n_draws // len(self._groups))
        shares[rng.permutation(len(shares))[: n_draws % len(shares)]] += 1
        drawn = [_draws(rng, group, int(n)) for group, n in zip(self._groups, shares, strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def _augmented(self, indices: npt.NDArray[np.int64], rng: np.random.Generator) -> tuple[Array, Array]:
        x, y = self._step(*self._channels(indices, rng), rng)
        return self._features.completed(x), y

    def _channels(self, indices: npt.NDArray[np.int64], rng: np.random.Generator) -> tuple[Array, Array]:
        """Return the channels and targets of a batch before the augmentations of channels."""
        if self._cache is not None:
            return self._cache[indices], self._targets(indices)
        if self._class_mix is None:
            log_mel, y = self._drawn(indices, rng)
        else:
            log_mel, y = self._class_mix(indices, self._drawn, rng)
        of = self._features.channels_of if self._windows is None else self._features.channels_of_windows
        return of(log_mel), y

    def _drawn(self, rows: Rows, rng: np.random.Generator) -> tuple[npt.NDArray[np.floating], Array]:
        """Return the augmented log-mels of clips, or of windows of them, and their targets."""
        clips = self._features.log_mel[rows] if self._on_the_fly is None else self._on_the_fly(rows, rng)
        if self._windows is None:
            return self._features.filled(clips), self._targets(rows)
        stored = rows if self._on_the_fly is None else None
        return self._windows(clips, rng, stored), self._targets(rows)

    def _targets(self, rows: Rows) -> Array:
        n_classes = len(self._features.classes)
        smoothing = self._config.label_smoothing
        y = np.full((len(rows), n_classes), smoothing / n_classes, np.float32)
        y[np.arange(len(rows)), self._features.labels[rows]] += 1.0 - smoothing
        return y if self._soft is None else np.concatenate([y, self._soft[rows]], axis=1)


def steps_of(config: TrainConfig) -> list[Step]:
    """Return the augmentations of network inputs enabled in `config`, in the order they are applied."""
    recipe = config.model_dump()
    return [entry.step(**entry.arguments_of(recipe)) for entry in BATCHES if entry.is_on(recipe)]


def _on_the_fly(features: FeatureSet, config: TrainConfig) -> OnTheFly | None:
    """Return the augmentation of stored features before scaling; None if none is enabled."""
    recipe = config.model_dump()
    if not any(entry.is_on(recipe) for entry in STORED):
        return None
    return OnTheFly(features, **{name: value for entry in STORED for name, value in entry.arguments_of(recipe).items()})


def _class_mix(features: FeatureSet, config: TrainConfig) -> ClassMix | None:
    """Return the augmentation that mixes classes and changes levels; None if neither is enabled."""
    recipe = config.model_dump()
    if not any(entry.is_on(recipe) for entry in MIXED):
        return None
    return ClassMix(features, **{name: value for entry in MIXED for name, value in entry.arguments_of(recipe).items()})


def _draws(rng: np.random.Generator, clips: npt.NDArray[np.int64], n_draws: int) -> npt.NDArray[np.int64]:
    """Return `n_draws` random draws from `clips`; none is repeated before all were drawn equally often."""
    rounds = math.ceil(n_draws / len(clips))
    return np.concatenate([rng.permutation(clips) for _ in range(rounds)] or [clips[:0]])[:n_draws]


def _groups(features: FeatureSet, balance: Balance) -> list[npt.NDArray[np.int64]]:
    """Return the indices of the clips of each class or device."""
    keys = features.labels if balance == "class" else features.clips["device"].to_numpy(str)
    return [np.flatnonzero(keys == key) for key in np.unique(keys)]
