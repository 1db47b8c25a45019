"""The configuration of a run directory: written once, checked on resume. Each run has one prepared data set."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from asc_models.processor import instruction_set, processor_name
from data_prep.errors import AscError, ConfigError, RunError
from data_prep.files.files import write_text, written_whole
from data_prep.files.yaml_file import to_yaml
from data_prep.schema import differing_keys, parse_config
from data_prep.shards.manifest import Manifest
from data_prep.store.store import Location, parse_location
from data_prep.workers import available_cpus
from results.ledger.events import of_kind
from results.ledger.ledger import Ledger
from results.rundir import RunDirectory
from results.storage.storage import RunStorage
from search.cluster.doctor import NUMERIC
from search.config import RunConfig, read_run_config

ADJUSTABLE = (
    *("search.n_trials", "search.n_concurrent", "search.cpus_per_trial", "search.gpus_per_trial"),
    *("search.max_failures", "search.max_failed_share"),
    *("retrain", "ensemble", "submission"),
    "recipe",  # the keys that it picked are compared themselves
)
"""Keys that may change between sessions of a run: the extent and resources of the search, and the stages after it.
Whatever defines a trial is fixed. An existing candidate is checked against the configuration in its own folder."""


RESOURCES = ("search.cpus_per_trial", "search.gpus_per_trial", "search.max_failures")
USED = {
    "retrain": ("retrain", *RESOURCES),
    "ensemble": ("ensemble",),
    "select": ("submission",),
    "submit": ("submission",),
}
"""{command: the keys that it uses, and may change by --set}"""

Command = Literal["retrain", "ensemble", "select", "submit"]


def open_run(run: RunDirectory, config: RunConfig) -> RunConfig:
    """Write the resolved configuration into a new run directory, or check it against that of an existing one.

    A run without any training takes the new configuration. Any other run takes over the keys that are `ADJUSTABLE`,
    such as the number of trials. Keys of `submission` that `config` does not set keep their values in the run. The
    section `synth` is dropped if `config` has none, or a run with a training.

    Returns:
        The configuration that the run now has.

    Raises:
        RunError: if `run` is a file or has another configuration; the message lists every differing key.
    """
    known = run.read_config()
    config = _with_kept_submission(config, known.get("submission"))
    if known.get("synth", ...) is None and has_training(run):  # trained on data that are not synthesized
        config = config.model_copy(update={"synth": None})
    resolved = config.model_dump(mode="json")
    if not run.config_path.exists():
        if run.root.exists() and not run.root.is_dir():
            raise RunError(f"{run.root}: is a file, not a run directory; choose another --out")
        _write(run, {**resolved, "versions": _versions(), "machine": _machine()})
        return config
    stored = run.read_config()
    settings = _with_defaults({key: value for key, value in stored.items() if key in resolved})
    if settings == resolved:
        return config
    # `asc run demo` of earlier versions stored the section of the demo. Whether the data are the same, their hash says.
    compared = {**settings, "synth": None} if config.synth is None else settings
    differing = _fixed_differences(compared, resolved)
    if not has_training(run):
        _write(run, {**resolved, "versions": _versions(), "machine": _machine()})
    elif not differing:
        _write(run, {**stored, **resolved})
    else:
        shown = "\n".join(f"  {line}" for line in differing[:12])
        more = f"\n  and {len(differing) - 12} more" if len(differing) > 12 else ""
        raise RunError(
            f"{run.root}: this run directory belongs to another configuration:\n{shown}{more}\n"
            "Choose another --out, or pass the configuration that the run was started with."
        )
    return config


def _with_kept_submission(config: RunConfig, stored: Any) -> RunConfig:
    """Return `config` with the keys of a stored section `submission` that its own does not set."""
    given = config.submission.model_fields_set
    kept = {key: value for key, value in stored.items() if key not in given} if isinstance(stored, Mapping) else {}
    try:
        submission = config.submission.updated(**kept)
    except ValueError:  # stored by a version with other keys
        return config
    return config.model_copy(update={"submission": submission})


@contextmanager
def unless_refused(run: RunDirectory, storage: RunStorage | None = None) -> Iterator[None]:
    """Undo changes of the run's configuration if the block raises an AscError before it has started a training.

    A run directory that the block created is removed again if it then holds nothing else, with parents made for it.
    `storage` is the run's, locked by the caller, if the block changes the configuration there, too.
    """
    before = run.config_path.read_bytes() if run.config_path.is_file() else None
    n_before = _n_trainings(run)
    created = [folder for folder in (run.root, *run.root.parents) if not folder.exists()]
    try:
        yield
    except AscError:
        if _n_trainings(run) == n_before:
            if before is not None and run.config_path.read_bytes() != before:
                with written_whole(run.config_path) as temporary:
                    temporary.write_bytes(before)
                if storage is not None:
                    with suppress(AscError):  # the block's error is the one to report
                        storage.push_config(run)
            elif before is None and created:
                _remove_if_empty(run, created[1:])
        raise


def _n_trainings(run: RunDirectory) -> int:
    return len(list(of_kind(Ledger(run.ledger_path).events(), "trial_started", "candidate_started")))


def _remove_if_empty(run: RunDirectory, parents: Sequence[Path]) -> None:
    """Remove a run directory that holds a configuration and an empty ledger only, then `parents` that are empty."""
    if not run.root.is_dir():
        return
    own = {run.config_path, run.storage_path, run.ledger_path, run.ledger_path.with_suffix(".lock")}
    paths = set(run.root.iterdir())
    if paths <= own and not (run.ledger_path.exists() and run.ledger_path.stat().st_size):
        for path in paths:
            path.unlink()
        for folder in (run.root, *parents):
            if any(folder.iterdir()):
                break
            folder.rmdir()


def adjust_run(
    run: RunDirectory, overrides: Sequence[str], command: Command, storage: RunStorage | None = None
) -> RunConfig:
    """Return the configuration of an existing run with `overrides` (`key.path=value`), and store it in the run.

    It is also written to `storage`, which the caller has locked, if the run has one.

    Raises:
        RunError: if there is no run, or an override changes a key that `command` does not use.
        ConfigError: if the resulting configuration is invalid.
    """
    stored = read_run(run)
    if not overrides:
        return stored
    config = read_run_config(str(run.config_path), overrides)
    resolved = config.model_dump(mode="json")
    used = USED[command]
    if differing := _fixed_differences(stored.model_dump(mode="json"), resolved, used):
        fixed = _fixed_differences(stored.model_dump(mode="json"), resolved)
        why = "the run's trainings depend on it; start a new run" if fixed else "other commands use it"
        raise RunError(
            f"{run.root}: --set {(fixed or differing)[0]}: {why}. `asc {command}` may change only {', '.join(used)}. "
            "Nothing was changed."
        )
    if config != stored:
        _write(run, {**run.read_config(), **resolved})
        if storage is not None:
            storage.push_config(run)
    return config


def _with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """Return stored settings, completed by the defaults of newer fields; unchanged if they are no longer valid."""
    try:
        return RunConfig.model_validate(settings).model_dump(mode="json")
    except ValueError:
        return settings


def _fixed_differences(
    old: Mapping[str, Any], new: Mapping[str, Any], adjustable: Sequence[str] = ADJUSTABLE
) -> list[str]:
    """Return the differences between two configurations in keys that are not `adjustable`, a line each."""
    prefixes = tuple(f"{key}{end}" for key in adjustable for end in ":.")
    return [line for line in differing_keys(old, new) if not line.startswith(prefixes)]


def has_training(run: RunDirectory) -> bool:
    """Return whether the run has ever started a training."""
    return any(of_kind(Ledger(run.ledger_path).events(), "trial_started", "candidate_started"))


def require_runs(earlier: Sequence[Path], run: RunDirectory) -> None:
    """Check that the directories of earlier runs are runs, and none of them `run` itself.

    Raises:
        RunError: if they are not.
    """
    for root in earlier:
        if root.resolve() == run.root.resolve():
            raise RunError(f"{root}: is this run itself, which knows its trials; name an earlier one")
        if not RunDirectory(root).config_path.exists():
            raise RunError(f"{root}: not a run directory (it has no config.yaml)")


def check_fold(fold: int, manifest: Manifest) -> None:
    """Check that the data have the fold.

    Raises:
        ConfigError: if not; the message lists the folds of the data.
    """
    if fold not in manifest.folds:
        has = ", ".join(map(str, manifest.folds))
        raise ConfigError(f"fold: the data {manifest.name!r} have no fold {fold}; they have {has}")


def unlike_shards(config: RunConfig, manifest: Manifest) -> str | None:
    """Return in which keys of `prepare` that a configuration sets the shards differ; None if in none.

    Where shards are given, they are taken as they are: a network is trained on their features, not on those that its
    configuration asks for.
    """
    asked, made = config.prepare, tuple(one.augmentation for one in manifest.copies)
    pairs: list[tuple[str, object, object]] = []
    if "augmentations" in asked.model_fields_set and set(asked.augmentations) != set(made):
        pairs.append(("augmentations", ", ".join(asked.augmentations) or "none", ", ".join(made) or "none"))
    for name, wanted, there in (
        ("features", asked.features, manifest.spec), ("validation", asked.validation, manifest.validation),
    ):  # fmt: skip
        keys = [key for key in type(wanted).model_fields if key in wanted.model_fields_set]
        pairs += [(f"{name}.{key}", getattr(wanted, key), getattr(there, key)) for key in keys]
    found = [f"  prepare.{key}: {mine} here, {theirs} there" for key, mine, theirs in pairs if mine != theirs]
    if not found:
        return None
    lines = "\n".join(found)
    return (
        f"the shards were not prepared with this configuration; they are used as they are:\n{lines}\n"
        "To have what the configuration says, prepare with it: `asc prepare DATA --out SHARDS --config CONFIG`"
    )


def bind_data(run: RunDirectory, manifest: Manifest) -> None:
    """Store name and hash of the data in the run, or check them against those stored.

    Raises:
        RunError: if the run was started on other data.
        ConfigError: if the data lack the run's fold.
    """
    stored = run.read_config()
    if "fold" in stored:
        check_fold(int(stored["fold"]), manifest)
    data = {"name": manifest.name, "manifest_hash": manifest.hash()}
    if "data" not in stored:
        _write(run, {**stored, "data": data})
    elif stored["data"]["manifest_hash"] != data["manifest_hash"]:  # the name is that of a folder, which may be moved
        before = stored["data"]
        raise RunError(
            f"{run.root}: the run was started on the data {before['name']!r} ({before['manifest_hash']}), not "
            f"{data['name']!r} ({data['manifest_hash']}): files, lists or settings have changed since. Choose another "
            "--out, or restore the data."
        )


def read_run(run: RunDirectory) -> RunConfig:
    """Return the configuration of an existing run.

    Raises:
        RunError: if there is no run.
        ConfigError: if its configuration is no longer valid.
    """
    if not run.config_path.exists():
        raise RunError(
            f"{run.root}: not a run directory (it has no config.yaml); create one with `asc run` or `asc search`"
        )
    stored = run.read_config()
    sections = {key: value for key, value in stored.items() if key in RunConfig.model_fields}
    return parse_config(RunConfig, sections, str(run.config_path))


def _write(run: RunDirectory, content: dict[str, Any]) -> None:
    write_text(run.config_path, to_yaml(content))


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in NUMERIC}}


def _machine() -> dict[str, str | int]:
    """Return what the speed and the last bits of a training depend on. Workers of a cluster may be others."""
    return {
        "processor": processor_name(),
        "instruction_set": instruction_set(),
        "onednn": os.environ["TF_ENABLE_ONEDNN_OPTS"],
        "processors": available_cpus(),
    }


def default_shards(run: RunDirectory, shards: str | None, storage: RunStorage | None = None) -> Location:
    """Return the location of the run's shards: `shards`, else `RUN/shards` if it exists, else that in `storage`."""
    if shards is not None:
        return parse_location(shards)
    return run.shards_dir if storage is None or run.shards_dir.is_dir() else storage.shards
