"""One trial in a Ray actor: train to the next rung, export, score the exported file on validation, report.

At its last rung a trial is always converted; before, its file may be made from a template (asc_models.tflite.template).

With `search.inner_folds` a trial is scored by cross-validation on train and validation together: it has several
networks, each of which is trained without one part of these clips and predicts it, the more the higher the rung. They
are trained one after the other, so that one is in memory at a time, and their predictions are scored together.

An actor runs many trials: TensorFlow starts once, the features are read once. The state of a network is written to its
checkpoint before the export, so that a trial whose process or driver is killed resumes at the last rung reached. An
error inside a trial is reported as its outcome, not raised: the search and the actor continue. The exported file is
checked against the rules again, as the size of a file has no closed form. A trial over such a limit fails.
"""

from __future__ import annotations

import gc
import platform
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from ray import tune

from asc_models.config import CALIBRATED_MODES, ExportMode, TrainConfig
from asc_models.errors import ExportError, SizeError, TrainingError
from asc_models.process import start_tensorflow
from asc_models.rules import RulesConfig, check
from data_prep.config import ReaderSpec
from data_prep.errors import AscError, BudgetError
from data_prep.schema import Config
from data_prep.store.store import parse_location
from data_prep.wording import error_line
from results.ledger.running import Phase, RunningReports, RunningTrial
from search.halving import rung_folds
from search.study.settings import INNER_FOLDS
from search.tune.checkpoints import Checkpoints

if TYPE_CHECKING:
    from asc_models.tflite.measure import FileSizes
    from asc_models.tflite.rung_reader import RungReader
    from asc_models.training.trainer import EpochStats, Trainer
    from data_prep.reader.reader import FeatureSet
    from data_prep.reader.statistics import BandStatistics


class SharedConfig(Config):
    """Settings that are the same for every trial of a search."""

    shards: str
    """Folder or URI of the feature shards, reachable from every node."""
    checkpoints: str
    """Folder or URI of the rung checkpoints, reachable from every node."""
    fold: int
    """Fold whose training and validation splits are read. Never its test split."""
    inner_folds: int = 0
    """Parts that train and validation together are cut into; 0 scores on the validation split."""
    reader: ReaderSpec
    """How the stored log-mels become network input, for trials without a reader of their own."""
    rules: RulesConfig = RulesConfig()
    """Rules that the exported files must meet."""
    rungs: tuple[int, ...]
    """Epochs at which trials are compared, those of each network."""
    seed: int
    """Random seed of every trial's training."""
    cpus_per_trial: int
    """Threads per trial."""
    gpus_per_trial: float = 0.0
    """GPUs per trial."""

    def parts(self, rung: int) -> range:
        """Return the parts that the networks of a rung are trained without; part 0 is the validation split."""
        if not self.inner_folds:
            return range(1)
        return range(1, 1 + rung_folds(self.inner_folds, len(self.rungs))[rung])

    def epochs(self, part: int, rung: int) -> int:
        """Return the epochs that the network without `part` is trained for at `rung`; 0 before its first one."""
        return self.rungs[rung] if rung >= 0 and part in self.parts(rung) else 0


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the exported file of a network answers on the clips that the network was trained without."""

    labels: npt.NDArray[np.int64]
    """(n_clips,)"""
    probabilities: npt.NDArray[np.float32]
    """(n_clips, n_classes)"""
    sizes: FileSizes


class SceneTrial(tune.Trainable):  # type: ignore[misc]  # Ray ships no type information
    """A candidate in training.

    Its configuration: `shared` (a SharedConfig), trial_id, next_rung, and the settings of its point: model, train (the
    recipe), reader and mode (the export that is scored).
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """Return the resources of a trial: its threads and GPUs."""
        shared = config["shared"]
        return tune.PlacementGroupFactory([{"CPU": shared["cpus_per_trial"], "GPU": shared["gpus_per_trial"]}])

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the first trial of this process."""
        self._features: dict[tuple[str, ...], FeatureSet] = {}
        self._statistics: dict[int, BandStatistics] = {}
        self._is_started = False
        self._trainer: Trainer | None = None
        self._part = 0
        """The part that the network of `_trainer` is trained without."""
        self._epochs: dict[int, int] = {}
        """{part: epochs that the network without it has been trained for} of all networks of the step."""
        self._reader: RungReader | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare another trial, keeping the features; return True, as Ray expects."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next rung and return scores and sizes of the exported files.

        `outcome` is "rung" (with the measured values), "failed" (this trial alone, with reason and traceback) or
        "fatal" (every trial would fail: shards unreadable, disk full). `seconds` is the sum of `train_seconds`
        (building, training and saving networks) and `reading_seconds` (export and validation).
        """
        shared, rung = self._shared, self._next_rung
        self._step_began = time.time()
        self._epochs = {part: shared.epochs(part, rung - 1) for part in shared.parts(rung)}
        spent = {"train_seconds": 0.0, "reading_seconds": 0.0}
        try:
            self._report("starting")
            self._start_process()
            predicted = [self._network_step(part, spent) for part in self._epochs]
            measured = self._measure(predicted)
        except (TrainingError, ExportError, SizeError, BudgetError) as error:
            return {"outcome": "failed", "reason": str(error), "traceback": traceback.format_exc()}
        except AscError as error:
            return {"outcome": "fatal", "reason": str(error)}
        except Exception as error:  # a candidate that fails in the framework must not end the search
            return {"outcome": "failed", "reason": error_line(error), "traceback": traceback.format_exc()}
        finally:
            self._reports.remove(self._asc_trial_id)
        self._next_rung += 1
        rounded = {name: round(value, 3) for name, value in {**spent, "seconds": sum(spent.values())}.items()}
        return {"outcome": "rung", "rung": self._next_rung - 1, **measured, **rounded}

    def cleanup(self) -> None:
        """Release the network and the features."""
        self._trainer = None
        self._features.clear()

    def _begin(self, config: dict[str, Any]) -> None:
        # Only plain values are read here: whatever can fail belongs in step, which reports it.
        self._shared = SharedConfig.model_validate(config["shared"])
        self._asc_trial_id = str(config["trial_id"])
        self._model = config["model"]
        self._train = TrainConfig.model_validate(config["train"])
        self._reader_spec = ReaderSpec.model_validate(config.get("reader", self._shared.reader))
        self._mode: ExportMode = config["mode"]
        self._next_rung = int(config["next_rung"])
        self._trainer = None
        self._part = 0
        self._reports = RunningReports(self._shared.checkpoints)

    def _report(self, phase: Phase, loss: float | None = None) -> None:
        """Report what the trial is doing."""
        self._reports.write(
            RunningTrial(
                trial_id=self._asc_trial_id,
                node=platform.node(),
                rung=self._next_rung,
                phase=phase,
                epoch=sum(self._epochs.values()),
                epochs=len(self._epochs) * self._shared.rungs[self._next_rung],
                loss=loss,
                started=self._step_began,
            )
        )

    def _start_process(self) -> None:
        """Read features and start TensorFlow, once per process and before the first trial is timed."""
        if self._is_started:
            return
        self._clips(self._shared.parts(0)[0])
        start_tensorflow(self._shared.cpus_per_trial)
        self._is_started = True

    def _network_step(self, part: int, spent: dict[str, float]) -> Predicted:
        """Train the network without `part` to the next rung and predict; add to the seconds in `spent`."""
        started = time.monotonic()
        if self._part != part:
            self._trainer, self._part = None, part
            gc.collect()  # frees the last network with its clips, before those of the next are copied
        train, held = self._clips(part)
        trainer = self._trained(part, train)
        trained = time.monotonic()
        predicted = self._predict(trainer, train, held)
        spent["train_seconds"] += trained - started
        spent["reading_seconds"] += time.monotonic() - trained
        return predicted

    def _trained(self, part: int, train: FeatureSet) -> Trainer:
        """Return the trainer of the network without `part` at the trial's next rung, with its checkpoint written."""
        target = self._shared.rungs[self._next_rung]
        checkpoints = Checkpoints(parse_location(self._shared.checkpoints))
        if self._trainer is None:
            self._trainer = self._resumed(checkpoints, train, target)
        self._epochs[part] = self._trainer.epoch
        if self._trainer.epoch < target:
            self._trainer.train_to(target, self._on_epoch)
            checkpoints.save(self._asc_trial_id, self._trainer.save, part)
        return self._trainer

    def _on_epoch(self, stats: EpochStats) -> None:
        self._epochs[self._part] = stats.epoch
        self._report("training", stats.loss)

    def _resumed(self, checkpoints: Checkpoints, train: FeatureSet, target: int) -> Trainer:
        """Return a network's trainer, resumed from its checkpoint, or new if there is no usable one."""
        trainer = self._fresh_trainer(train)
        with checkpoints.opened(self._asc_trial_id, self._part) as path:
            if path is None:
                return trainer
            try:
                trainer.load(path)
            except TrainingError:
                return trainer  # unchanged: the checkpoint is damaged or another trial's
        return trainer if trainer.epoch <= target else self._fresh_trainer(train)

    def _fresh_trainer(self, train: FeatureSet) -> Trainer:
        import keras

        from asc_models.networks.families import parse_network
        from asc_models.training.trainer import Trainer

        keras.backend.clear_session()
        return Trainer(parse_network(self._model), self._train, train, seed=self._shared.seed, mode=self._mode)

    def _clips(self, part: int) -> tuple[FeatureSet, FeatureSet]:
        """Return the clips to train on and those to predict as the trial's reader makes them.

        All trials share the stored features, and the statistics of the clips to train on.
        """
        from data_prep.reader.parts import leave_out
        from data_prep.reader.statistics import fit_statistics

        if part:
            train, held = leave_out(self._read("train", "validation"), self._shared.inner_folds, part, key=INNER_FOLDS)
        else:
            train, held = self._read("train"), self._read("validation")
        statistics = None
        if self._reader_spec.scaling == "standardize":
            if part not in self._statistics:
                self._statistics[part] = fit_statistics(train.log_mel)
            statistics = self._statistics[part]
        train, held = (replace(one, reader=self._reader_spec, statistics=statistics) for one in (train, held))
        return train, held

    def _read(self, *splits: str) -> FeatureSet:
        """Return the clips of splits, read once per process."""
        from data_prep.reader.reader import read_splits

        if splits not in self._features:
            plain = self._shared.reader.updated(scaling="none")
            self._features[splits] = read_splits(self._shared.shards, splits, fold=self._shared.fold, reader=plain)
        return self._features[splits]

    def _calibration(self, train: FeatureSet) -> FeatureSet | None:
        """Return the calibration clips, the same for every trial; None if the export mode needs none."""
        from asc_models.tflite.quantization.calibration import draw_calibration

        return draw_calibration(train, seed=self._shared.seed) if self._mode in CALIBRATED_MODES else None

    def _predict(self, trainer: Trainer, train: FeatureSet, held: FeatureSet) -> Predicted:
        """Return the predictions of a network's exported file.

        Raises:
            BudgetError: if the file is over the limit.
        """
        from asc_models.networks.families import parse_network
        from asc_models.tflite.rung_reader import RungReader

        self._report("scoring")
        if self._reader is None:
            self._reader = RungReader(self._shared.cpus_per_trial)
        network = parse_network(self._model).hash()
        is_last = self._next_rung == len(self._shared.rungs) - 1
        if is_last and trainer.n_averaged:  # its state is saved, and nothing is trained behind the last rung
            trainer.set_weights(trainer.averaged_weights())
        reading = self._reader.read(
            trainer.model, network, held, self._mode, self._calibration(train), reconvert=is_last
        )
        sizes = reading.sizes if trainer.is_pruned else self._when_pruned(reading.sizes, held)
        verdict = check(self._shared.rules, sizes.quantities(), modes=(self._mode,))
        if not verdict.feasible:
            raise BudgetError(
                f"the exported file is over the limit: {verdict.reason}. Limit weight_bytes under `rules` as well: "
                "candidates over that limit are not trained."
            )
        return Predicted(held.labels, reading.probabilities, sizes)

    def _when_pruned(self, sizes: FileSizes, held: FeatureSet) -> FileSizes:
        """Return the sizes of a network's file with the non-zero bytes that it may have when its pruning is over.

        What a trial has at a rung before is not what it is limited by and compared by.
        """
        from asc_models.networks.estimate import estimate
        from asc_models.networks.families import parse_network

        network, n_classes = parse_network(self._model), len(held.classes)
        cost = estimate(network, held.input_shape, n_classes, held.windows, sparsity=self._train.sparsity)
        return replace(sizes, nonzero_weight_bytes=cost.nonzero_weight_bytes_as(self._mode))

    def _measure(self, predicted: Sequence[Predicted]) -> dict[str, Any]:
        """Return the scores over all clips that the networks predicted, and the sizes of the largest file."""
        from asc_models.metrics import log_loss, macro_accuracy

        labels = np.concatenate([one.labels for one in predicted])
        probabilities = np.concatenate([one.probabilities for one in predicted])
        values = {
            "macro_accuracy": macro_accuracy(labels, probabilities),
            "log_loss": log_loss(labels, probabilities),
        }
        if not all(value == value for value in values.values()):
            raise TrainingError("the exported file's probabilities are NaN: the training has diverged")
        return {
            **values,
            "weight_bytes": max(one.sizes.weight_bytes for one in predicted),
            "nonzero_weight_bytes": max(one.sizes.nonzero_weight_bytes for one in predicted),
            "file_bytes": max(one.sizes.file_bytes for one in predicted),
        }
