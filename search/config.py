"""The whole run's configuration: one YAML file with a section per stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from asc_models.config import INT4_MODE, ExportMode, TrainConfig
from asc_models.rules import QUANTITY_TITLES, Quantity, RulesConfig
from data_prep.config import PrepareConfig, ReaderSpec, SynthConfig
from data_prep.errors import ConfigError
from data_prep.files.yaml_file import load_yaml, parse_yaml, read_yaml
from data_prep.schema import Config, parse_config
from results.config import EnsembleConfig, SubmissionConfig
from results.rundir import NOTES
from search.retrain_config import RetrainConfig
from search.space.config import SpaceConfig
from search.space.point import MODE
from search.study.config import SearchConfig
from search.study.settings import SearchSettings

ConfigT = TypeVar("ConfigT", bound=Config)


class RunConfig(Config):
    """Configuration of a run. Defaults follow the paper (Cao et al., 2021)."""

    recipe: Literal["auto", "paper"] = "auto"
    """Values of the keys that a configuration does not set: `paper` takes the defaults, the paper's recipe for 14,000
    clips. `auto` looks at the data (number of clips, their length) and picks other values where they suit better, of
    `prepare.features.clip_seconds`, `reader`, `train`, `search.epochs` and `retrain`. It prints each with the reason,
    and the run's config.yaml has them."""
    fold: int = Field(1, ge=1)
    """Fold of the data set to train and test on."""
    synth: SynthConfig | None = None
    """The synthesized corpus of `asc demo`; null otherwise."""
    prepare: PrepareConfig = PrepareConfig()
    """From audio to feature shards."""
    reader: ReaderSpec = ReaderSpec()
    """From stored features to network input."""
    rules: RulesConfig = RulesConfig()
    """The size limit."""
    train: TrainConfig = TrainConfig()
    """The training recipe of trials and retrained candidates."""
    space: SpaceConfig = SpaceConfig()
    """The search space."""
    search: SearchConfig | None = SearchConfig()
    """The search; null trains retrain.systems only."""
    retrain: RetrainConfig = RetrainConfig()
    """Which candidates are trained at full length, and how they are exported."""
    ensemble: EnsembleConfig = EnsembleConfig()
    """How candidates are combined."""
    submission: SubmissionConfig = SubmissionConfig()
    """Fields of the challenge package that do not follow from the run."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.search is None and not self.retrain.systems:
            raise ValueError("nothing to do: neither a search nor retrain.systems")
        if clash := self.train.clash_with(self.reader):
            raise ValueError(clash)
        _check_recipe("retrain.train", self.retrain.train, self.train, self.reader)
        teachers = () if self.retrain.distillation is None else self.retrain.distillation.teachers
        for where, systems in (("systems", self.retrain.systems), ("distillation.teachers", teachers)):
            for system in systems:
                keys = {**self.retrain.train, **system.train}
                name = f"retrain.{where}, {system.name}"
                reader = _changed(f"{name}: reader", self.reader, system.reader)
                _check_recipe(f"{name}: train", keys, self.train, reader)
        self.space.check_recipe(self.train, self.reader)
        self._check_modes()
        self._check_int4_limit()
        self._check_sparsity()
        self._check_int4_share()
        self._check_fine_tuning()
        return self

    def canonical(self) -> dict[str, Any]:
        """Return the settings as JSON values, without `recipe`, which says how values were found and is none itself."""
        return {name: value for name, value in super().canonical().items() if name != "recipe"}

    @property
    def full_recipe(self) -> TrainConfig:
        """The recipe of trainings at full length: section `train` with the keys of `retrain.train`."""
        return self.train.updated(**self.retrain.train)

    def int4_limits(self, mode: ExportMode) -> dict[Quantity, int]:
        """Return {byte quantity: limit} within which an export as `mode` keeps large kernels in int8; empty if all of
        them are int4, or the mode has none."""
        if self.retrain.int4_limit_bytes is None or mode != INT4_MODE:
            return {}
        limits = self.rules.byte_limits()
        return {**limits, next(iter(limits), "weight_bytes"): self.retrain.int4_limit_bytes}

    def search_settings(self) -> SearchSettings:
        """Return the sections that a search needs.

        Raises:
            ConfigError: if the configuration has no search.
        """
        if self.search is None:
            raise ConfigError("`search: null`: this configuration has no search and trains retrain.systems only")
        return SearchSettings(self.space, self.search, self.train, self.reader, self.rules, self.fold)

    def _check_modes(self) -> None:
        """Raise ValueError if the rules forbid an export mode that is set; with a knob `mode` the space decides."""
        is_knob = self.search is not None and "mode" in self.space.knobs
        asked = {} if is_knob or self.search is None else {"search.mode": self.search.mode}
        if not is_knob or self.retrain.systems:
            asked["retrain.mode"] = self.retrain.mode
        for key, mode in asked.items():
            if refused := self.rules.refused([mode]):
                raise ValueError(f"{key}: {refused}")

    def _check_int4_limit(self) -> None:
        """Raise ValueError if `retrain.int4_limit_bytes` has no effect, or leads to files over the limit."""
        n_bytes = self.retrain.int4_limit_bytes
        if n_bytes is None:
            return
        is_knob = self.search is not None and "mode" in self.space.knobs
        modes = [self.retrain.mode, *(self.space.knobs["mode"].choices if is_knob else ())]
        if INT4_MODE not in modes:
            raise ValueError(
                f"retrain.int4_limit_bytes {n_bytes:,} has no effect with retrain.mode {self.retrain.mode}: set "
                f"retrain.mode to {INT4_MODE}, or int4_limit_bytes to null"
            )
        quantity, limit = next(iter(self.rules.byte_limits().items()), ("weight_bytes", n_bytes))
        if n_bytes > limit:
            raise ValueError(
                f"retrain.int4_limit_bytes {n_bytes:,} is over the limit of {limit:,} {QUANTITY_TITLES[quantity]}: "
                f"set it to {limit} or less"
            )

    def _check_sparsity(self) -> None:
        """Raise ValueError if networks are pruned though the rules count zeros, or teachers, which have no limit."""
        for key, sparsity in self._largest("sparsity").items():
            if refused := self.rules.refused_sparsity(sparsity):
                raise ValueError(f"{key}: {refused}")
        self._check_teachers("sparsity", "prunes")

    def _check_int4_share(self) -> None:
        """Raise ValueError if networks are trained for int4 that are exported otherwise, as teachers always are."""
        self._check_teachers("int4_share", "rounds")
        modes: dict[str, Sequence[str]] = {"retrain.mode": [self.retrain.mode]}
        if self.search is not None:
            knob = self.space.knobs.get(MODE)
            modes |= {"search.mode": [self.search.mode]} if knob is None else {"space.mode": knob.choices}
        is_exported = any(INT4_MODE in asked for asked in modes.values())
        for key, share in self._largest("int4_share").items():
            if share and not is_exported:
                found = "; ".join(f"{name} {', '.join(asked)}" for name, asked in modes.items())
                raise ValueError(
                    f"{key}: int4_share {share:g} has no effect, as nothing is exported as {INT4_MODE} ({found}): set "
                    "the mode, or int4_share to 0"
                )
            if share and self.retrain.int4_limit_bytes is not None:
                raise ValueError(
                    f"{key}: int4_share {share:g} trains all large kernels for int4, of which retrain.int4_limit_bytes "
                    f"{self.retrain.int4_limit_bytes:,} would leave some in int8: set one of them to null or 0"
                )

    def _largest(self, setting: str) -> dict[str, float]:
        """Return {where: its largest value} of a number of `train`: of the recipes, the systems and the space."""
        found = {"train": getattr(self.train, setting), "retrain.train": getattr(self.full_recipe, setting)}
        for system in self.retrain.systems:
            found[f"retrain.systems, {system.name}"] = getattr(system.recipe(self.train), setting)
        if self.search is not None and (knob := self.space.knobs.get(f"train.{setting}")) is not None:
            found[f"space.train.{setting}"] = max(knob.ends)
        return found

    def _check_teachers(self, setting: str, what_it_does: str) -> None:
        """Raise ValueError if a teacher has a setting that serves the size of submitted files."""
        teachers = () if self.retrain.distillation is None else self.retrain.distillation.teachers
        for teacher in teachers:
            if value := teacher.train.get(setting):
                raise ValueError(
                    f"retrain.distillation.teachers, {teacher.name}: {setting} {value} {what_it_does} a network that "
                    "is not submitted and has no size limit: leave it out"
                )

    def _check_fine_tuning(self) -> None:
        """Raise ValueError if the rules do not give the device, or a recipe of devices' networks is invalid."""
        asked = self.retrain.fine_tuning
        if asked is None:
            return
        if refused := self.rules.refused_devices():
            raise ValueError(f"retrain.fine_tuning: {refused}")
        own = [(one.recipe(self.full_recipe), one.input(self.reader)) for one in self.retrain.systems]
        for general, reader in ((self.full_recipe, self.reader), *own):
            _check_recipe("retrain.fine_tuning", asked.changes(general), general, reader)


def _check_recipe(where: str, keys: Mapping[str, Any], train: TrainConfig, reader: ReaderSpec) -> None:
    """Raise ValueError if keys of `train` are unknown, or do not go together with the other keys or the reader.

    Args:
        where: section of the keys, for messages.
        keys: the keys that differ.
        train: the recipe that they are added to.
        reader: the reader.
    """
    if clash := _changed(where, train, keys).clash_with(reader):
        raise ValueError(f"{where}: {clash}")


def _changed(where: str, section: ConfigT, keys: Mapping[str, Any]) -> ConfigT:
    """Return a section with `keys` changed; ValueError, which names `where`, if they are unknown or invalid."""
    known = type(section).model_fields
    if unknown := sorted(set(keys) - set(known)):
        raise ValueError(f"{where}: unknown keys {', '.join(unknown)}; keys: {', '.join(known)}")
    try:
        return section.updated(**keys)
    except ValidationError as error:
        problems = "; ".join(
            "".join(f"{part}: " for part in one["loc"]) + one["msg"].removeprefix("Value error, ")
            for one in error.errors()
        )
        raise ValueError(f"{where}: {problems}") from None


def shipped_configs() -> dict[str, str]:
    """Return {name: YAML text} of the configurations shipped with the package."""
    folder = resources.files("search") / "presets"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8") for file in files}


def read_run_config(source: str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> RunConfig:
    """Return the configuration in a YAML file, or the shipped one of that name.

    Args:
        source: path of a file, or a shipped name such as `demo`.
        overrides: strings `key.path=value`, the value as YAML, or {key path: value}; they override the file.

    Raises:
        ConfigError: if there is no such file or name, or if it is invalid; all errors are reported together.
    """
    path = Path(source)
    if path.is_dir():
        raise ConfigError(f"{source}: is a folder; pass a YAML file or a shipped name")
    if path.is_file():
        data = read_yaml(path)
    else:
        shipped = shipped_configs()
        name = source.removesuffix(".yaml")
        if name not in shipped:
            raise ConfigError(f"{source}: no such file or shipped configuration; shipped: {', '.join(shipped)}")
        data = parse_yaml(shipped[name], source)
    for noted in NOTES:  # in a run directory's config.yaml, in addition to the settings
        data.pop(noted, None)
    return parse_config(RunConfig, with_overrides(data, overrides), source)


def with_overrides(data: dict[str, Any], overrides: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return `data` with `overrides` applied (see `read_run_config`).

    Raises:
        ConfigError: if an override is not of the form `key.path=value`.
    """
    for key, value in overrides.items() if isinstance(overrides, Mapping) else map(_parsed, overrides):
        _set_key(data, key, value)
    return data


def _parsed(override: str) -> tuple[str, Any]:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: must be key.path=value, such as search.n_trials=32")
    return key.strip(), load_yaml(value, f"--set {override}")


def _set_key(data: dict[str, Any], key: str, value: Any) -> None:
    section, parts = data, key.split(".")
    while True:
        # A key may itself contain dots, as `train.learning_rate` in the section space.
        n_parts = next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in section), 1)
        name, parts = ".".join(parts[:n_parts]), parts[n_parts:]
        if not parts:
            break
        if section.get(name) is None:  # missing, or off: its keys turn it on
            section[name] = {}
        section = section[name]
        if not isinstance(section, dict):
            raise ConfigError(f"--set {key}: {name} is not a section")
    section[name] = value
