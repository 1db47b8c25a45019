"""The whole run's configuration: one YAML file with a section per stage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from asc_models.config import CheckpointMetric, ExportMode, TrainConfig
from asc_models.networks.families import AnyModelConfig
from asc_models.networks.network import NetworkConfig
from asc_models.networks.presets import PRESETS, preset
from asc_models.rules import RulesConfig
from data_prep.config import PrepareConfig, ReaderSpec, SynthConfig
from data_prep.errors import ConfigError
from data_prep.schema import Config, parse_config
from data_prep.yaml_file import load_yaml, parse_yaml, read_yaml
from results.config import EnsembleConfig, SubmissionConfig
from search.space.config import SpaceConfig
from search.study.config import SearchConfig
from search.study.settings import SearchSettings


class SystemConfig(Config):
    """A network that is trained as it stands, without a search: a preset or a description."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """The candidate's name."""
    preset: str | None = None
    """Name of a preset network."""
    model: AnyModelConfig | None = None
    """Or the network itself."""
    epochs: int | None = Field(None, ge=1)
    """Length of its training; null means train.epochs."""

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if re.search(r"^t\d{4,}$|-(s\d+|e\d+|full)$", name):
            raise ValueError(
                "trials and variants of candidates are called so (t0001, a-s0, a-e510, a-full); take another"
            )
        return name

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f"no network is called that; there are {', '.join(PRESETS)}")
        return name

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.preset is None) == (self.model is None):
            raise ValueError("name either a preset or a model")
        return self

    @property
    def network(self) -> NetworkConfig:
        """The network's description."""
        return self.model if self.model is not None else preset(str(self.preset))


class RetrainConfig(Config):
    """Section `retrain`: the best candidates of the search, and systems given by name, trained at full length."""

    ADDED = frozenset({"all_clips", "inner_folds"})

    n_candidates: int = Field(4, ge=0)
    """How many of the search's best trials are retrained."""
    seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1)
    """Each candidate is trained once with each seed."""
    mode: ExportMode = "int8_weights"
    """Export of the retrained models."""
    checkpoint: CheckpointMetric = "macro_accuracy"
    """The epoch kept is the best on validation in this; the other score breaks ties."""
    systems: tuple[SystemConfig, ...] = ()
    """Networks trained beside the search's, or instead of a search."""
    all_clips: bool = False
    """Train on train and validation together for a fixed number of epochs: no checkpoint is chosen, the last cycle's
    end or the averaged weights (`train.swa_share`) are kept. Without `inner_folds` nothing is chosen by such
    candidates."""
    inner_folds: int = Field(0, ge=0)
    """With `all_clips`: score each candidate by out-of-fold predictions of that many further trainings, each without
    one part of the locations; 0 turns it off."""

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"a seed stands twice: {', '.join(map(str, seeds))}")
        return seeds

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.inner_folds == 1:
            raise ValueError("inner_folds must be 0 or at least 2: a single part leaves nothing to train on")
        if self.inner_folds and not self.all_clips:
            raise ValueError(
                f"inner_folds {self.inner_folds} score candidates that are trained on all clips: set all_clips: true"
            )
        return self

    @field_validator("systems")
    @classmethod
    def _distinct(cls, systems: tuple[SystemConfig, ...]) -> tuple[SystemConfig, ...]:
        names = [system.name for system in systems]
        if len(set(names)) < len(names):
            raise ValueError(f"every system needs a name of its own, got {', '.join(names)}")
        return systems


class RunConfig(Config):
    """Everything that decides what a run does. Defaults are the seed's settings."""

    fold: int = Field(1, ge=1)
    """Which of the data set's folds is trained and tested."""
    synth: SynthConfig | None = None
    """The embedded corpus, for configurations that bring their own data."""
    prepare: PrepareConfig = PrepareConfig()
    """From audio to feature shards."""
    reader: ReaderSpec = ReaderSpec()
    """From stored features to network input."""
    rules: RulesConfig = RulesConfig()
    """The size limit."""
    train: TrainConfig = TrainConfig()
    """The training recipe, of trials and retrained candidates alike."""
    space: SpaceConfig = SpaceConfig()
    """The networks that are searched."""
    search: SearchConfig | None = SearchConfig()
    """How they are searched; null leaves the search out: only retrain.systems are trained."""
    retrain: RetrainConfig = RetrainConfig()
    """Which candidates are trained at full length, and how they are exported."""
    ensemble: EnsembleConfig = EnsembleConfig()
    """How several candidates are combined."""
    submission: SubmissionConfig = SubmissionConfig()
    """The fields of the challenge package that no run can know."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.search is None and not self.retrain.systems:
            raise ValueError("there is nothing to do: no search, and no retrain.systems")
        if clash := self.train.clash_with(self.reader):
            raise ValueError(clash)
        self.space.check_recipe(self.train, self.reader)
        self._check_modes()
        return self

    def search_settings(self) -> SearchSettings:
        """Return the sections that the search of a run needs.

        Raises:
            ConfigError: if the run has no search.
        """
        if self.search is None:
            raise ConfigError("`search: null`: this configuration trains retrain.systems alone and has no search")
        return SearchSettings(self.space, self.search, self.train, self.reader, self.rules, self.fold)

    def _check_modes(self) -> None:
        """Refuse an export that no network would be within the rules in: a knob `mode` has others to choose."""
        is_knob = self.search is not None and "mode" in self.space.knobs
        asked = {} if is_knob or self.search is None else {"search.mode": self.search.mode}
        if not is_knob or self.retrain.systems:
            asked["retrain.mode"] = self.retrain.mode
        for key, mode in asked.items():
            if refused := self.rules.refused([mode]):
                raise ValueError(f"{key}: {refused}")


def shipped_configs() -> dict[str, str]:
    """Return {name: YAML text} of the configurations inside the package."""
    folder = resources.files("search") / "presets"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8") for file in files}


def read_run_config(source: str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> RunConfig:
    """Return the configuration in a YAML file, or the shipped one of that name.

    Args:
        source: path of a file, or a shipped name such as `demo`.
        overrides: `key.path=value` each, the value as YAML, or {key path: value}; they win over the file.

    Raises:
        ConfigError: if there is no such file or name, or with every problem in it.
    """
    path = Path(source)
    if path.is_dir():
        raise ConfigError(f"{source}: is a folder; a configuration is a YAML file or a shipped name")
    if path.is_file():
        data = read_yaml(path)
    else:
        shipped = shipped_configs()
        name = source.removesuffix(".yaml")
        if name not in shipped:
            raise ConfigError(f"{source}: no such file, and no shipped configuration; there are {', '.join(shipped)}")
        data = parse_yaml(shipped[name], source)
    for noted in ("data", "versions"):  # what a run directory's own config.yaml notes beside the settings
        data.pop(noted, None)
    for key, value in overrides.items() if isinstance(overrides, Mapping) else map(_parsed, overrides):
        _set_key(data, key, value)
    return parse_config(RunConfig, data, source)


def _parsed(override: str) -> tuple[str, Any]:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: must be key.path=value, such as search.n_trials=32")
    return key.strip(), load_yaml(value, f"--set {override}")


def _set_key(data: dict[str, Any], key: str, value: Any) -> None:
    section, parts = data, key.split(".")
    while True:
        # A key may have dots in it itself: space has `train.learning_rate`.
        n_parts = next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in section), 1)
        name, parts = ".".join(parts[:n_parts]), parts[n_parts:]
        if not parts:
            break
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {key}: {name} is no section")
    section[name] = value
