"""The stages as functions, for scripts and notebooks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from asc_models.networks.topology import Shape
from data_prep.config import FeatureSpec, ReaderSpec, Windows
from data_prep.errors import ConfigError
from data_prep.progress import ProgressCallback
from data_prep.shards.manifest import read_manifest
from data_prep.store.store import Location, parse_location
from results.ledger.running import RunningReports
from results.run import Run, open_run
from results.rundir import RunDirectory
from results.storage.storage import open_ledger, taken
from search.cluster.session import cluster_address
from search.config import RunConfig, read_run_config
from search.observers.watch import Watch, trackers
from search.pipeline import run_stages
from search.recipe import Pick, facts_of_audio, facts_of_shards, with_recipe
from search.run_config import bind_data, check_fold, default_shards, require_runs, unless_refused
from search.run_config import open_run as write_config
from search.space.sizing import require_feasible
from search.space.survey import Survey
from search.space.survey import survey as survey_space
from search.stages import WATCH, Narrator, Workspace, search_stage, shards_stage
from search.study.forecast import training_clips
from search.study.settings import candidate_sizing, make_space

DEFAULT_SCENES = 10
"""Number of scenes if neither shards nor the configuration define it."""


def read_config(source: str | Path = "default", overrides: Mapping[str, Any] | Sequence[str] = ()) -> RunConfig:
    """Return the configuration of a run.

    Args:
        source: path of a YAML file, or a shipped name such as `demo`.
        overrides: {key path: value}, such as {"search.n_trials": 32}, or strings as on the command line
            (`search.n_trials=32`). They take precedence over the file.

    Raises:
        ConfigError: if there is no such file or name, or if it is invalid; all errors are reported together.
    """
    return read_run_config(str(source), overrides)


def run(
    config: RunConfig,
    data: Path | str,
    out: Path | str,
    *,
    shards: Location | None = None,
    storage: Location | None = None,
    address: str | None = None,
    n_workers: int = 1,
    earlier: Sequence[Path] = (),
    watch: Watch = WATCH,
    narrator: Narrator | None = None,
) -> Run:
    """Run every stage on a data set (prepare, search, retrain, ensemble, report, submission) and return the run.

    Repeat the same call to resume an interrupted run. A finished run is left unchanged.

    Args:
        config: configuration of the run.
        data: folder of the data set.
        out: the run directory.
        shards: folder or URI of the feature shards; None means `out`/shards, or `storage`/shards.
        storage: shared folder or URI for ledger and checkpoints, reachable from every node; None keeps them in `out`.
        address: address of a Ray cluster; None means this machine.
        n_workers: processes that read audio. More than one are spawned: a script needs `if __name__ == "__main__":`.
        earlier: directories of earlier runs, whose trials inform the search.
        watch: further logs of the search.
        narrator: shows progress; None shows warnings only.

    Raises:
        AscError: if a stage fails; finished work is kept.
    """
    cluster_address(address)  # raises if it is wrong, before anything is written
    directory, narrator = RunDirectory(Path(out)), narrator or Quiet()
    if earlier and config.search is None:
        raise ConfigError("search: null: earlier runs inform a search, and there is none. Leave out --warm-start")
    require_runs(earlier, directory)
    trackers(watch, directory)  # raises if one is not installed, before anything is trained
    with unless_refused(directory), taken(directory, storage, narrator.note) as stored:
        workspace = Workspace(directory, default_shards(directory, _text(shards), stored), address, stored)
        with open_ledger(directory, stored, narrator.warn) as ledger:
            run_stages(
                Path(data), workspace, config, ledger, narrator, n_workers=n_workers, watch=watch, earlier=earlier
            )
    return open_run(out)


def search(
    config: RunConfig,
    shards: Location,
    out: Path | str,
    *,
    storage: Location | None = None,
    address: str | None = None,
    earlier: Sequence[Path] = (),
    watch: Watch = WATCH,
    narrator: Narrator | None = None,
) -> Run:
    """Search networks under the size limit, and return the run.

    Repeat the same call to resume an interrupted search. `run` then retrains the best candidates.

    Args:
        config: configuration of the run, with a search.
        shards: folder or URI of the feature shards.
        out: the run directory.
        storage: shared folder or URI for ledger and checkpoints, reachable from every node; None keeps them in `out`.
        address: address of a Ray cluster; None means this machine.
        earlier: directories of earlier runs, whose trials inform this search.
        watch: further logs of the search.
        narrator: shows progress; None shows warnings only.

    Raises:
        AscError: if the search fails; finished trials are kept.
    """
    config.search_settings()  # raises if there is no search, before anything is written
    cluster_address(address)  # raises likewise
    location, narrator = parse_location(str(shards)), narrator or Quiet()
    manifest = read_manifest(location)
    check_fold(config.fold, manifest)
    directory = RunDirectory(Path(out))
    require_runs(earlier, directory)
    trackers(watch, directory)  # raises likewise
    with (
        unless_refused(directory),
        taken(directory, storage, narrator.note) as stored,
        open_ledger(directory, stored, narrator.warn) as ledger,
    ):
        config = shards_stage(directory, config, manifest, narrator)
        write_config(directory, config)
        bind_data(directory, manifest)
        if stored is not None:
            stored.push_config(directory)
        search_stage(Workspace(directory, location, address, stored), config, ledger, narrator, watch, earlier)
    return open_run(out)


@dataclass(frozen=True)
class NetworkInput:
    """Input shape and number of classes of a search's networks."""

    features: FeatureSpec
    """The stored feature."""
    reader: ReaderSpec
    """What makes an input of it."""
    n_classes: int
    """Number of scenes."""
    source: str
    """Where both come from, as text for the user."""
    n_clips: int | None = None
    """Clips that a network of the search is trained on; None without shards."""

    @property
    def shape(self) -> Shape:
        """(n_mels, n_frames, n_channels) of a clip."""
        return self.reader.input_shape(self.features)

    @property
    def windows(self) -> Windows | None:
        """The windows by which networks vote on a clip; None where they take it whole."""
        return self.reader.windows(self.features)


def network_input(config: RunConfig, shards: Location | None = None) -> NetworkInput:
    """Return the input of the networks: that of `shards`, or the one that follows from `config` if None.

    Raises:
        ConfigError: if the shards lack the configuration's fold.
        DataError: if there are no shards.
    """
    if shards is not None:
        manifest = read_manifest(parse_location(str(shards)))
        check_fold(config.fold, manifest)
        config, _ = with_recipe(config, facts_of_shards(manifest))
        counts = manifest.counts.get(config.fold, {})
        n_clips = training_clips(config.search_settings(), counts) if config.search else counts.get("train")
        return NetworkInput(manifest.spec, config.reader, len(manifest.classes), f"as in {shards}", n_clips)
    named = len(config.prepare.corpus.classes)
    scenes = "prepare.corpus.classes" if named else f"the assumption of {DEFAULT_SCENES} scenes"
    source = f"by prepare.features, reader and {scenes}; --shards takes them from the data"
    return NetworkInput(config.prepare.features, config.reader, named or DEFAULT_SCENES, source)


def survey(config: RunConfig, shards: Location | None = None, *, on_progress: ProgressCallback | None = None) -> Survey:
    """Return the size of a search space, the share within the limits, and the smallest and largest candidate.

    Nothing is trained: every size is a closed form.

    Args:
        config: configuration of a run, with a search.
        shards: folder or URI of shards, which give the input shape and the scenes; None takes both from `config`.
        on_progress: called with (points seen, points to see).

    Raises:
        BudgetError: if nothing in the space fits.
    """
    config, _ = pick_recipe(config, shards=shards)
    given, settings = network_input(config, shards), config.search_settings()
    space = make_space(config.space, given.reader, given.features, given.n_classes)
    assess = partial(candidate_sizing, settings, given.features, given.n_classes)
    require_feasible(space, assess)
    return survey_space(space, partial(assess, names_layers=False), on_progress=on_progress)


def pick_recipe(
    config: RunConfig, *, data: Path | None = None, shards: Location | None = None
) -> tuple[RunConfig, tuple[Pick, ...]]:
    """Return `config` with what its recipe picks for a data set, and the picks with their reasons.

    Args:
        config: configuration of a run. Without `recipe: auto` nothing is picked.
        data: folder of the data set.
        shards: folder or URI of its shards, instead; without both nothing is picked.

    Raises:
        DataError: if the data cannot be read.
    """
    if config.recipe != "auto" or (data is None and shards is None):
        return config, ()
    facts = (
        facts_of_audio(data, config.prepare)
        if data is not None
        else facts_of_shards(read_manifest(parse_location(str(shards))))
    )
    return with_recipe(config, facts)


class Quiet:
    """A narrator without progress, whose warnings are Python warnings."""

    @contextmanager
    def stage(self, title: str, unit: str) -> Iterator[ProgressCallback]:
        """Show no progress."""
        yield lambda done, total: None

    def search_view(self, reports: RunningReports) -> None:
        """Show no search."""

    def note(self, text: str) -> None:
        """Show no note."""

    def warn(self, text: str) -> None:
        """Issue a UserWarning."""
        warnings.warn(text, stacklevel=2)


def _text(location: Location | None) -> str | None:
    return None if location is None else str(location)
