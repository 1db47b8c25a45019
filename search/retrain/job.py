"""One training of a candidate, or of a part of its inner cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from asc_models.candidate import CandidateConfig
from results.ledger.ledger import Ledger
from results.outputs.output import Output
from results.rundir import CandidateFiles
from results.storage.storage import RunStorage
from search.retrain.teaching import Teaching, read_teaching


@dataclass(frozen=True)
class TrainingJob:
    """One requested training and the files of its candidate."""

    config: CandidateConfig
    files: CandidateFiles
    """Files of the candidate."""
    ledger: Ledger
    """Ledger of the candidate's run."""
    storage: RunStorage | None = None
    """Shared storage of files and checkpoints; None keeps them in the run directory."""
    teachers: tuple[TrainingJob, ...] = ()
    """Candidates that it learns from; those that are not finished are trained first."""
    output: Output | None = None
    """Stored probabilities that it learns from; None without any."""
    test_every: int = 0
    """Epochs between scores on the test split, which choose nothing (`CurveOnTest`); 0 for none."""
    part: int = 0
    """Part of the inner cross-validation to leave out; 0 trains the candidate itself."""

    @property
    def name(self) -> str:
        """Name of the candidate, followed by the folder of its part, if any."""
        return self.own_files.root.relative_to(self.files.root.parent).as_posix()

    @property
    def key(self) -> str:
        """Folder of this training; unlike names, unique across runs."""
        return str(self.own_files.root.absolute())

    @property
    def own_files(self) -> CandidateFiles:
        """Files of this training: the candidate's, or those of its part."""
        return self.files.inner(self.part) if self.part else self.files

    @property
    def parts(self) -> list[TrainingJob]:
        """Trainings of its inner cross-validation."""
        return [replace(self, part=part) for part in range(1, self.config.inner_folds + 1)]

    @property
    def teaching(self) -> Teaching | None:
        """What it learns from besides the labels: for a part, teachers trained without that part.

        Raises:
            DataError: if the network of a teacher is missing.
        """
        if self.config.distillation is None:
            return None
        own = [replace(teacher, part=self.part) for teacher in self.teachers]
        return read_teaching([(teacher.config, teacher.own_files) for teacher in own], self.output)

    @property
    def is_done(self) -> bool:
        """Whether the candidate is finished, or the predictions of its part exist."""
        return self.files.is_finished or (self.part > 0 and self.own_files.predictions_path("validation").is_file())
