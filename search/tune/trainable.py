"""One trial in a Ray actor: train to the next rung, export, score the exported file on validation, report.

At its last rung a trial is always converted; before, its file may be made from a template (asc_models.tflite.template).

An actor runs many trials: TensorFlow starts once, the features are read once. A trial's state is written to its rung
checkpoint before the export, so that a trial whose process or driver is killed resumes at the last rung reached. An
error inside a trial is reported as its outcome, not raised: the search and the actor continue. The exported file is
checked against the rules again, as the size of a file has no closed form. A trial over such a limit fails.
"""

from __future__ import annotations

import platform
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ray import tune

from asc_models.config import CALIBRATED_MODES, ExportMode, TrainConfig
from asc_models.errors import ExportError, SizeError, TrainingError
from asc_models.rules import RulesConfig, check
from data_prep.config import ReaderSpec
from data_prep.errors import AscError, BudgetError
from data_prep.schema import Config
from data_prep.store.store import parse_location
from data_prep.wording import error_line
from results.ledger.running import Phase, RunningReports, RunningTrial
from search.tune.checkpoints import Checkpoints

if TYPE_CHECKING:
    from asc_models.tflite.rung_reader import RungReader
    from asc_models.training.trainer import Trainer
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
    reader: ReaderSpec
    """How the stored log-mels become network input, for trials without a reader of their own."""
    rules: RulesConfig = RulesConfig()
    """Rules that the exported files must meet."""
    rungs: tuple[int, ...]
    """Epochs at which trials are compared."""
    seed: int
    """Random seed of every trial's training."""
    cpus_per_trial: int
    """Threads per trial."""
    gpus_per_trial: float = 0.0
    """GPUs per trial."""


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
        self._features: dict[str, FeatureSet] = {}
        self._statistics: BandStatistics | None = None
        self._is_started = False
        self._trainer: Trainer | None = None
        self._reader: RungReader | None = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare another trial, keeping the features; return True, as Ray expects."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next rung and return the scores and sizes of the exported file.

        `outcome` is "rung" (with the measured values), "failed" (this trial alone, with reason and traceback) or
        "fatal" (every trial would fail: shards unreadable, disk full). `seconds` is the sum of `train_seconds`
        (building, training and saving the network) and `reading_seconds` (export and validation).
        """
        self._step_began = time.time()
        try:
            self._report("starting")
            self._start_process()
            started = time.monotonic()
            trainer = self._trained()
            trained = time.monotonic()
            measured = self._measure(trainer)
            read = time.monotonic()
        except (TrainingError, ExportError, SizeError, BudgetError) as error:
            return {"outcome": "failed", "reason": str(error), "traceback": traceback.format_exc()}
        except AscError as error:
            return {"outcome": "fatal", "reason": str(error)}
        except Exception as error:  # a candidate that fails in the framework must not end the search
            return {"outcome": "failed", "reason": error_line(error), "traceback": traceback.format_exc()}
        finally:
            self._reports.remove(self._asc_trial_id)
        self._next_rung += 1
        spent = {"train_seconds": trained - started, "reading_seconds": read - trained, "seconds": read - started}
        rounded = {name: round(value, 3) for name, value in spent.items()}
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
        self._reports = RunningReports(self._shared.checkpoints)

    def _report(self, phase: Phase, loss: float | None = None) -> None:
        """Report what the trial is doing."""
        rungs = self._shared.rungs
        self._reports.write(
            RunningTrial(
                trial_id=self._asc_trial_id,
                node=platform.node(),
                rung=self._next_rung,
                phase=phase,
                epoch=(0, *rungs)[self._next_rung] if self._trainer is None else self._trainer.epoch,
                epochs=rungs[self._next_rung],
                loss=loss,
                started=self._step_began,
            )
        )

    def _start_process(self) -> None:
        """Read features and start TensorFlow, once per process and before the first trial is timed."""
        if self._is_started:
            return
        for split in ("train", "validation"):
            self._split(split)
        from asc_models.training.trainer import limit_threads

        limit_threads(self._shared.cpus_per_trial)
        self._is_started = True

    def _trained(self) -> Trainer:
        """Return the trial's trainer at its next rung, with its checkpoint written."""
        target = self._shared.rungs[self._next_rung]
        checkpoints = Checkpoints(parse_location(self._shared.checkpoints))
        if self._trainer is None:
            self._trainer = self._resumed(checkpoints, target)
        if self._trainer.epoch < target:
            self._trainer.train_to(target, lambda stats: self._report("training", stats.loss))
            checkpoints.save(self._asc_trial_id, self._trainer.save)
        return self._trainer

    def _resumed(self, checkpoints: Checkpoints, target: int) -> Trainer:
        """Return the trial's trainer, resumed from its checkpoint, or new if there is no usable one."""
        trainer = self._fresh_trainer()
        with checkpoints.opened(self._asc_trial_id) as path:
            if path is None:
                return trainer
            try:
                trainer.load(path)
            except TrainingError:
                return trainer  # unchanged: the checkpoint is damaged or another trial's
        return trainer if trainer.epoch <= target else self._fresh_trainer()

    def _fresh_trainer(self) -> Trainer:
        import keras

        from asc_models.networks.families import parse_network
        from asc_models.training.trainer import Trainer

        keras.backend.clear_session()
        return Trainer(parse_network(self._model), self._train, self._split("train"), seed=self._shared.seed)

    def _split(self, split: str) -> FeatureSet:
        """Return the clips of a split as the trial's reader makes them; all trials share the stored features."""
        from data_prep.reader.reader import read_split
        from data_prep.reader.statistics import fit_statistics

        for name in {"train", split}.difference(self._features):
            plain = self._shared.reader.updated(scaling="none")
            self._features[name] = read_split(self._shared.shards, name, fold=self._shared.fold, reader=plain)
        statistics = None
        if self._reader_spec.scaling == "standardize":
            if self._statistics is None:
                self._statistics = fit_statistics(self._features["train"].log_mel)
            statistics = self._statistics
        return replace(self._features[split], reader=self._reader_spec, statistics=statistics)

    def _calibration(self) -> FeatureSet | None:
        """Return the calibration clips, the same for every trial; None if the export mode needs none."""
        from asc_models.tflite.quantization.calibration import draw_calibration

        if self._mode not in CALIBRATED_MODES:
            return None
        return draw_calibration(self._split("train"), seed=self._shared.seed)

    def _measure(self, trainer: Trainer) -> dict[str, Any]:
        """Return the exported file's scores on validation, and its sizes.

        Raises:
            BudgetError: if the file is over the limit.
        """
        from asc_models.metrics import log_loss, macro_accuracy
        from asc_models.networks.families import parse_network
        from asc_models.tflite.rung_reader import RungReader

        self._report("scoring")
        if self._reader is None:
            self._reader = RungReader(self._shared.cpus_per_trial)
        validation, network = self._split("validation"), parse_network(self._model).hash()
        is_last = self._next_rung == len(self._shared.rungs) - 1
        if is_last and trainer.n_averaged:  # its state is saved, and nothing is trained behind the last rung
            trainer.set_weights(trainer.averaged_weights())
        reading = self._reader.read(
            trainer.model, network, validation, self._mode, self._calibration(), reconvert=is_last
        )
        verdict = check(self._shared.rules, reading.sizes.quantities(), modes=(self._mode,))
        if not verdict.feasible:
            raise BudgetError(
                f"the exported file is over the limit: {verdict.reason}. Limit weight_bytes under `rules` as well: "
                "candidates over that limit are not trained."
            )
        values = {
            "macro_accuracy": macro_accuracy(validation.labels, reading.probabilities),
            "log_loss": log_loss(validation.labels, reading.probabilities),
        }
        if not all(value == value for value in values.values()):
            raise TrainingError("the exported file's probabilities are NaN: the training has diverged")
        return {
            **values,
            "weight_bytes": reading.sizes.weight_bytes,
            "nonzero_weight_bytes": reading.sizes.nonzero_weight_bytes,
            "file_bytes": reading.sizes.file_bytes,
        }
