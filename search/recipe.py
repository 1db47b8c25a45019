"""`recipe: auto`: settings that follow from the data, for every key that the configuration does not set.

A data set of a few hundred clips needs another recipe than the paper's, which has fourteen thousand: many windows of
each clip, mixed between classes, and all clips for training. Evidence: `tests/benchmarks/README.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, TypeVar

from data_prep.audio.decode import openable
from data_prep.config import PrepareConfig
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import Corpus
from data_prep.schema import Config
from data_prep.shards.manifest import Manifest
from results.rundir import RunDirectory
from search.config import RunConfig

FEW_CLIPS = 3_000
"""Training clips below which the recipe for few clips is picked. It was measured with 320 clips; that it helps up to
this number is a judgement: the published recipes for ESC-50 (1,600 training clips) are of this kind."""
EPOCHS = 126
"""Epochs of the recipe for few clips: the end of a cycle, the last of which has 64 epochs."""
SEARCH_EPOCHS = 30
EXAMPLES_PER_CLIP = 400
"""Training examples per clip: 128,000 for the 320 clips of ESC-10, after which it has 95 % out of fold."""
LEAST_EXAMPLES, MOST_EXAMPLES = 64_000, 384_000
BATCH_SIZE = 64
WINDOW_SHARE = 0.3
"""Length of a window as a share of the clip: 1.5 s of the 5 s of ESC-10, as in EnvNet-v2."""
SHORTEST_WINDOW, LONGEST_WINDOW = 1.0, 3.0
"""Seconds."""
N_WINDOWS = 10
INNER_FOLDS = 4
FULL_LENGTH = {"schedule": "plateau-cosine", "swa_share": 0.15}
"""Recipe of the final networks where it differs from the trials': 0.036 nats less than warm restarts on ESC-10."""
SHORTEST_CLIP, LONGEST_CLIP = 0.5, 30.0
"""Seconds. Longer recordings are usually meant to be cut."""
N_HEADERS = 200
"""Most files whose header is read to find the length of the recordings."""

_MISSING = object()
C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class DataFacts:
    """What the recipe depends on. The same for all folds, so that all folds have the same recipe."""

    n_clips: int
    """Recorded training clips of a fold with its validation, mean over folds."""
    clip_seconds: float
    """Length of a clip in seconds."""
    n_mels: int
    """Mel bands."""


@dataclass(frozen=True)
class Pick:
    """Settings that are picked together, for one reason."""

    values: Mapping[str, Any]
    """{key path: value}."""
    why: str
    """The reason, as a sentence without its full stop."""
    is_taken: bool = True
    """False if the configuration has settings that exclude the values."""

    def __str__(self) -> str:
        values = ", ".join(f"{key} {_text(value)}" for key, value in self.values.items())
        return f"{values}: {self.why}" if self.is_taken else f"left out, since other settings exclude it: {values}"


def facts_of_shards(manifest: Manifest) -> DataFacts:
    """Return the facts about prepared data."""
    side = [
        sum(split in ("train", "validation") and clip_id not in manifest.sources for clip_id, split in clips.items())
        for clips in manifest.folds.values()
    ]
    return DataFacts(round(fmean(side or [0])), manifest.spec.clip_seconds, manifest.spec.n_mels)


def facts_of_audio(root: Path, config: PrepareConfig) -> DataFacts:
    """Return the facts about a data set that is not prepared yet, under `config`.

    Raises:
        DataError: if the data set cannot be read; see `read_corpus`.
    """
    corpus = read_corpus(root, config.corpus)
    side = [sum(split in ("train", "validation") for split in clips.values()) for clips in corpus.folds.values()]
    features = config.features
    is_set = "clip_seconds" in features.model_fields_set
    seconds = features.clip_seconds if is_set else common_length(corpus, features.clip_seconds)
    return DataFacts(round(fmean(side or [0])), seconds, features.n_mels)


def common_length(corpus: Corpus, otherwise: float) -> float:
    """Return the median length of the recordings in seconds, to a tenth, from the headers of some of them.

    Args:
        corpus: the data set.
        otherwise: returned if no header can be read, or the median is outside the lengths that a clip may have.
    """
    import soundfile

    step = max(1, len(corpus.clips) // N_HEADERS)
    seconds: list[float] = []
    for clip in corpus.clips[::step]:
        try:
            seconds.append(soundfile.info(openable(corpus.root / clip.filename)).duration)
        except (soundfile.SoundFileError, OSError):  # `asc prepare` reports what cannot be read
            continue
    middle = round(median(seconds), 1) if seconds else otherwise
    return middle if SHORTEST_CLIP <= middle <= LONGEST_CLIP else otherwise


def with_recipe(config: RunConfig, facts: DataFacts) -> tuple[RunConfig, tuple[Pick, ...]]:
    """Return `config` with the picks of its recipe, and these.

    A key that `config` sets, or that is a knob of its space, keeps its value. A pick that contradicts one of them is
    left out as a whole.
    """
    if config.recipe != "auto":
        return config, ()
    picks: list[Pick] = []
    for pick in _picks(facts, config):
        free = {key: value for key, value in pick.values.items() if _is_free(config, key)}
        if not free:
            continue
        try:
            config = _with_values(config, free)
        except ValueError:
            picks.append(Pick(free, pick.why, is_taken=False))
        else:
            picks.append(Pick(free, pick.why))
    return config, tuple(picks)


def picked_keys(config: RunConfig) -> tuple[str, ...]:
    """Return the keys that the recipe of `config` may pick, whatever the data are."""
    if config.recipe != "auto":
        return ()
    few = DataFacts(n_clips=1, clip_seconds=SHORTEST_WINDOW / WINDOW_SHARE, n_mels=128)
    return tuple(key for pick in _picks(few, config) for key in pick.values if _is_free(config, key))


def with_stored(config: RunConfig, run: RunDirectory) -> RunConfig:
    """Return `config` with the values that a run was started with, for all keys that its recipe would pick."""
    stored = run.read_config()
    kept: dict[str, Any] = {}
    for key in picked_keys(config):
        value: Any = stored
        for name in key.split("."):
            value = value.get(name, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is not _MISSING:
            kept[key] = value
    try:
        return _with_values(config, kept)
    except ValueError:  # a key that is set now excludes them: the check of the run's settings says which differ
        return config


def _picks(facts: DataFacts, config: RunConfig) -> Iterator[Pick]:
    """Yield what suits the data; nothing where the defaults, which are the paper's, do."""
    if facts.clip_seconds != type(config.prepare.features).model_fields["clip_seconds"].default:
        yield Pick({"prepare.features.clip_seconds": facts.clip_seconds}, "the median length of the recordings")
    if facts.n_clips >= FEW_CLIPS:
        return
    few = f"few training clips ({facts.n_clips:,})"
    level = {"reader.scaling": "none", "train.gain_db": 6.0}
    yield Pick(level, f"{few}: the level is varied, which scaling every clip to [0, 1] would undo")
    if "macs" not in config.rules.in_force():
        window = round(min(max(WINDOW_SHARE * facts.clip_seconds, SHORTEST_WINDOW), LONGEST_WINDOW), 1)
        if 2 * window <= facts.clip_seconds:
            values = {"window_seconds": window, "n_windows": N_WINDOWS, "edges": "pad", "trim_silence": True}
            why = f"{few}: random windows are more examples, and several windows vote on a clip"
            yield Pick({f"reader.{name}": value for name, value in values.items()}, why)
    mixing = {"mixup_alpha": 0.0, "class_mix_p": 1.0, "time_stretch": 1.25}
    mixing["frequency_shift"] = facts.n_mels // 32
    yield Pick({f"train.{name}": value for name, value in mixing.items()}, f"{few}: every example is a new mixture")
    n_examples = min(max(EXAMPLES_PER_CLIP * facts.n_clips, LEAST_EXAMPLES), MOST_EXAMPLES)
    per_epoch = max(1, round(n_examples / EPOCHS / BATCH_SIZE)) * BATCH_SIZE
    steps = {"optimizer": "nesterov", "batch_size": BATCH_SIZE, "weight_decay": 5e-4}
    steps |= {"epochs": EPOCHS, "epoch_examples": per_epoch}
    budget = {f"train.{name}": value for name, value in steps.items()}
    if config.search is not None:
        budget["search.epochs"] = SEARCH_EPOCHS
    yield Pick(
        budget, f"{few}: {EPOCHS * per_epoch:,} examples, {EPOCHS * per_epoch // max(1, facts.n_clips):,} per clip"
    )
    why = f"{few}: all train the final networks, which are scored by trainings that leave out a part each"
    yield Pick({"retrain.all_clips": True, "retrain.inner_folds": INNER_FOLDS}, why)
    if all(_is_free(config, f"train.{name}") for name in FULL_LENGTH):
        why = f"{few}: without the rungs of a search, a long high rate and averaged weights"
        yield Pick({"retrain.train": dict(FULL_LENGTH)}, why)


def _is_free(config: RunConfig, key: str) -> bool:
    """Return whether neither the configuration nor its space sets a key."""
    section: Any = config
    *sections, name = key.split(".")
    for part in sections:
        section = getattr(section, part)
    return name not in section.model_fields_set and key not in config.space.knobs


def _with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        inner = nested
        for part in sections:
            inner = inner.setdefault(part, {})
        inner[name] = value
    return _updated(config, nested)


def _updated(config: C, nested: Mapping[str, Any]) -> C:
    return config.updated(
        **{
            name: _updated(section, value) if isinstance(section := getattr(config, name), Config) else value
            for name, value in nested.items()
        }
    )


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_text(one)}' for key, one in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
