"""Training of a run's baselines on the run's clips, splits and scores.

They are kept in a run directory of their own inside the run, `RUN/baselines`, so that the network is trained, exported,
scored and resumed as any candidate is, and no stage of the run takes a baseline for a candidate.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from asc_models.config import TrainConfig
from asc_models.networks.families import BaselineConfig
from asc_models.rules import RulesConfig
from data_prep.config import ReaderSpec
from data_prep.shards.manifest import Manifest, read_manifest
from data_prep.store.store import Location
from results.rundir import RunDirectory
from results.storage.storage import open_ledger
from search.baselines.svm import train_svm
from search.config import RunConfig
from search.retrain_config import RetrainConfig, SystemConfig
from search.run_config import bind_data, open_run, read_run, unless_refused
from search.stages import Narrator, Workspace, retrain_stage
from search.study.config import SearchConfig

BaselineName = Literal["svm", "network"]

NETWORK = "dcase2021-baseline"
"""Name of the organisers' network as a candidate."""
PUBLISHED_EPOCHS = 200
N_EXAMPLES = 10_000
"""Training examples of the default budget."""
MIN_EPOCHS = 20
RECIPE = TrainConfig(
    epochs=PUBLISHED_EPOCHS,
    optimizer="adamw",
    weight_decay=0.0,
    schedule="step",
    milestones=(),
    learning_rate=1e-3,
    batch_size=16,
    mixup_alpha=0.0,
    crop_fraction=1.0,
)
"""The organisers' recipe: Adam with a constant rate of 0.001, batches of 16, no augmentation."""


def train_baselines(
    run: RunDirectory,
    shards: Location,
    narrator: Narrator,
    *,
    names: Collection[BaselineName] = ("svm", "network"),
    epochs: int | None = None,
    lent: SearchConfig | None = None,
    address: str | None = None,
) -> None:
    """Train the baselines that the run lacks, and score them on validation and, once each, on test.

    Args:
        run: the run that they are compared with.
        shards: folder of its features.
        narrator: shows the progress.
        names: baselines to train.
        epochs: epochs of the network; None means `default_epochs`.
        lent: resources of each training of the network.
        address: address of a running Ray cluster; None starts Ray on this machine.

    Raises:
        RunError: if there is no such run, it was started on other data, or a baseline was trained with other settings.
        DataError: if the support vector machine cannot be fitted to the clips.
    """
    config, manifest = read_run(run), read_manifest(shards)
    bind_data(run, manifest)
    frozen = network_config(config, manifest, epochs)
    with unless_refused(run.baselines), open_ledger(run.baselines, None, narrator.warn) as ledger:
        open_run(run.baselines, frozen)
        bind_data(run.baselines, manifest)
        if "svm" in names:
            with narrator.stage("Fit", "machines") as on_progress:
                on_progress(0, 1)
                train_svm(
                    run.baselines,
                    config,
                    shards,
                    lambda name, split: ledger.append("test_read", candidate=name, split=split),
                )
                on_progress(1, 1)
        if "network" in names:
            retrain_stage(Workspace(run.baselines, shards, address), frozen, ledger, narrator, lent=lent)


def network_config(config: RunConfig, manifest: Manifest, epochs: int | None = None) -> RunConfig:
    """Return the configuration that trains the organisers' network on the data of the run with `config`.

    Training side and inner folds are the run's; the export is float16, as published. No limit applies, since a baseline
    is not submitted.
    """
    reader = ReaderSpec(scaling="standardize", deltas=0)
    n_mels, n_frames, _ = reader.network_shape(manifest.spec)
    counts = manifest.counts[config.fold]
    n_clips = sum(
        counts.get(split, 0) for split in (("train", "validation") if config.retrain.all_clips else ("train",))
    )
    system = SystemConfig(
        name=NETWORK, model=BaselineConfig.adapted(n_mels, n_frames), epochs=epochs or default_epochs(n_clips)
    )
    return RunConfig(
        recipe="paper",
        fold=config.fold,
        prepare=config.prepare,
        reader=reader,
        rules=RulesConfig(name="custom", limits={"weight_bytes": 10**9}),
        train=RECIPE,
        search=None,
        retrain=RetrainConfig(
            n_candidates=0,
            mode="float16",
            systems=(system,),
            all_clips=config.retrain.all_clips,
            inner_folds=config.retrain.inner_folds,
        ),
    )


def default_epochs(n_clips: int) -> int:
    """Return the epochs of the default budget: about `N_EXAMPLES` examples, at least 20 and at most the published 200.

    Args:
        n_clips: number of training clips.
    """
    return min(PUBLISHED_EPOCHS, max(MIN_EPOCHS, N_EXAMPLES // max(1, n_clips)))
