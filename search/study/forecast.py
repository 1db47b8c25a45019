"""Forecast of a search: time and memory of its trials, from a short measurement on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from asc_models.training.measure import TrainingCost, measure_training
from data_prep.config import FeatureSpec
from data_prep.progress import ProgressCallback
from data_prep.wording import duration_text, plural
from data_prep.workers import available_cpus
from search.space.point import build
from search.space.space import Params
from search.study.settings import SearchSettings, point_reader

LONG_EXAMPLES = 1_000_000
"""Examples from which a search is long: more than ten minutes with the smallest networks."""
BYTES_PER_VALUE = 2
"""Of a log-mel in memory, in float16."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Time and memory of a search whose trials all are like the smallest network, or all like the largest."""

    costs: tuple[TrainingCost, TrainingCost]
    """Of the smallest and of the largest network."""
    examples: int
    """Examples that all trials train on, over the expected number of epochs."""
    n_concurrent: int
    """Trials trained at the same time."""
    n_threads: int
    """Threads of each."""
    data_bytes: int
    """Memory of the log-mels in each process."""

    @property
    def hours(self) -> tuple[float, float]:
        """Hours of training, least first; reading the files and the start of processes come on top."""
        low, high = sorted(cost.seconds_per_example * self.examples / self.n_concurrent / 3600 for cost in self.costs)
        return low, high

    @property
    def text(self) -> str:
        """The forecast as a sentence."""
        low, high = (duration_text(3600 * hours) for hours in self.hours)
        return (
            f"Expected: {low} if all trials were the smallest network, {high} if all were the largest, "
            f"{self.n_concurrent} at a time; {self.memory_bytes / 1e9:.1f} GB of memory each. Measured on this "
            f"machine, a training alone on {plural(self.n_threads, 'thread')}; reading files comes on top."
        )

    @property
    def memory_bytes(self) -> int:
        """Peak memory of one trial."""
        return max(cost.memory_bytes for cost in self.costs) + self.data_bytes


def expected_epochs(settings: SearchSettings) -> tuple[int, int]:
    """Return the expected and the largest possible number of epochs, over all networks of all trials of a search."""
    search = settings.search
    reaching = settings.halving().expected_trials(search.n_trials)
    steps = [end - start for start, end in pairwise((0, *settings.costs))]
    expected = sum(step * n_trials for step, n_trials in zip(steps, reaching, strict=True))
    return round(expected), search.n_trials * settings.costs[-1]


def training_clips(settings: SearchSettings, counts: Mapping[str, int]) -> int:
    """Return how many clips a network of a trial is trained on.

    Args:
        settings: of the search.
        counts: {split: clips} of the fold, augmented copies included.
    """
    n, n_parts = counts.get("train", 0), settings.search.inner_folds
    return (n + counts.get("validation", 0)) * (n_parts - 1) // n_parts if n_parts else n


def is_long(settings: SearchSettings, n_clips: int) -> bool:
    """Return whether a search on `n_clips` training clips takes so long that measuring it does not matter."""
    return expected_epochs(settings)[0] * (settings.train.epoch_examples or n_clips) >= LONG_EXAMPLES


def forecast(
    settings: SearchSettings,
    smallest: Params,
    largest: Params,
    features: FeatureSpec,
    n_classes: int,
    n_clips: int,
    on_progress: ProgressCallback | None = None,
) -> Forecast:
    """Train the smallest and the largest network for some seconds each, alone, and return the forecast.

    Args:
        settings: of the search.
        smallest: point with the smallest network.
        largest: point with the largest network.
        features: of the stored log-mels.
        n_classes: number of scenes.
        n_clips: clips that a network is trained on (`training_clips`).
        on_progress: called with (networks measured, networks to measure).

    Raises:
        TrainingError: if a network cannot be trained here.
    """
    costs = []
    for done, params in enumerate((smallest, largest)):
        if on_progress is not None:
            on_progress(done, 2)
        point = build(settings.space.family, params)
        costs.append(
            measure_training(
                point.model,
                settings.train.updated(**point.train_overrides),
                point_reader(settings.reader, point.reader_overrides),
                features,
                n_classes,
                settings.search.cpus_per_trial,
            )
        )
    if on_progress is not None:
        on_progress(2, 2)
    per_epoch = settings.train.epoch_examples or n_clips
    n_concurrent = settings.search.n_concurrent or max(1, available_cpus() // settings.search.cpus_per_trial)
    return Forecast(
        (costs[0], costs[1]),
        expected_epochs(settings)[0] * per_epoch,
        n_concurrent,
        settings.search.cpus_per_trial,
        _clips_in_memory(settings, n_clips) * features.n_mels * features.n_frames * BYTES_PER_VALUE,
    )


def _clips_in_memory(settings: SearchSettings, n_clips: int) -> int:
    """Return the clips in a process's memory: those trained on, and with parts also the side that they are cut from."""
    n_parts = settings.search.inner_folds
    return n_clips + (n_clips * n_parts // (n_parts - 1) if n_parts else 0)
