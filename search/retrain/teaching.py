"""Teachers of candidates (`retrain.distillation`): who may teach whom, and what a training needs of them.

A teacher must not pass on what its student may not learn from. It has therefore been trained on the splits of its
student, in the same fold of the same data; in an inner cross-validation without the same part.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asc_models.candidate import CandidateConfig, DistilledFrom, read_candidate_config
from asc_models.networks.families import parse_network
from asc_models.rules import RulesConfig
from data_prep.copies.rows import RECORDED
from data_prep.errors import DataError, RunError
from data_prep.files.files import file_digest
from data_prep.files.scratch import scratch_folder
from data_prep.shards.manifest import Manifest
from results.ledger.ledger import Ledger
from results.outputs.clips import match_clips
from results.outputs.output import Output, read_output
from results.rundir import CandidateFiles, RunDirectory
from results.storage.storage import RunStorage, open_ledger
from search.config import RunConfig
from search.retrain_config import DistillationConfig, RetrainConfig
from search.run_config import bind_data, open_run, unless_refused

if TYPE_CHECKING:
    from asc_models.training.distillation import Teacher
    from data_prep.reader.reader import FeatureSet

NO_LIMIT = RulesConfig(name="custom", limits={"weight_bytes": 10**10})
"""Teachers are not submitted."""
DIFFERENCES = {
    "fold": "fold",
    "data_hash": "data",
    "classes": "scenes",
    "splits": "splits",
    "inner_folds": "parts of the inner cross-validation",
    "reader": "network input (section reader)",
}
"""{what teacher and student must have in common: its name in messages}"""


@dataclass(frozen=True)
class Teaching:
    """What one training learns from, besides the labels; it is sent to the training's process."""

    networks: tuple[tuple[dict[str, Any], bytes], ...]
    """Description and Keras file of each teacher."""
    output: Output | None
    """Stored probabilities of a teacher; None without any."""

    def teacher(self, config: DistilledFrom, train: FeatureSet) -> Teacher:
        """Return the teacher of a training on the clips `train`.

        Raises:
            DataError: if a network can't be read, or the stored probabilities lack clips.
        """
        import keras

        from asc_models.training.builder import build
        from asc_models.training.distillation import Teacher

        networks = []
        with scratch_folder("asc-teacher-") as folder:
            for number, (description, data) in enumerate(self.networks):
                path = folder / f"{number}.keras"
                path.write_bytes(data)
                network: keras.Model = build(parse_network(description), train.network_shape, len(train.classes))
                try:
                    network.load_weights(path)
                except (OSError, ValueError, KeyError) as error:
                    raise DataError(
                        f"the network of the teacher {config.teachers[number]} can't be read ({error}); delete the "
                        "teacher's folder and rerun the same command"
                    ) from None
                networks.append(network)
        return Teacher(config, networks, None if self.output is None else _of_clips(self.output, train))


def teacher_of(config: CandidateConfig, teaching: Teaching | None, train: FeatureSet) -> Teacher | None:
    """Return the teacher of a candidate's training on the clips `train`; None without any."""
    if config.distillation is None:
        return None
    assert teaching is not None  # whoever starts the training of a distilled candidate has read its teachers
    return teaching.teacher(config.distillation, train)


def read_teaching(networks: list[tuple[CandidateConfig, CandidateFiles]], output: Output | None) -> Teaching:
    """Return what a training learns from: trained networks, and stored probabilities.

    Args:
        networks: configuration of each teacher, and the files of its network for this training.
        output: stored probabilities; None without any.

    Raises:
        DataError: if a network is missing.
    """
    found = []
    for config, files in networks:
        try:
            found.append((config.model.model_dump(mode="json"), files.keras_path.read_bytes()))
        except OSError:
            raise DataError(
                f"{files.keras_path}: missing, the network of a teacher; delete the folder of the teacher and rerun "
                "the same command"
            ) from None
    return Teaching(tuple(found), output)


def distilled_from(config: DistillationConfig | None, names: tuple[str, ...]) -> DistilledFrom | None:
    """Return how candidates learn from teachers, as stored with them; None if they don't.

    Args:
        config: section of the configuration; None without any.
        names: of the networks that teach.

    Raises:
        DataError: if there is no file with the stored probabilities.
    """
    if config is None:
        return None
    digest = None
    if config.probabilities is not None:
        path = Path(config.probabilities)
        if not path.is_file():
            raise DataError(f"retrain.distillation.probabilities: {path}: no such file")
        digest = file_digest(path)
    return DistilledFrom(
        temperature=config.temperature,
        hard_weight=config.hard_weight,
        teachers=names,
        probabilities=digest,
    )


def read_probabilities(config: DistillationConfig, classes: tuple[str, ...]) -> Output | None:
    """Return the stored probabilities of a teacher, its columns in the order of `classes`; None without any.

    Raises:
        DataError: if the file can't be read or has other scenes.
    """
    if config.probabilities is None:
        return None
    output = read_output(Path(config.probabilities), reference=classes, reference_name="the data")
    if set(output.classes) != set(classes):
        raise DataError(
            f"{config.probabilities}: its columns of scores are {', '.join(output.classes)}; the scenes of the data "
            f"are {', '.join(classes)}. Name the columns by the scenes."
        )
    return output


def require_may_teach(files: CandidateFiles, teacher: CandidateConfig, student: CandidateConfig) -> None:
    """Check that a candidate, which may still have to be trained, may teach another.

    Raises:
        RunError: if it was trained on other clips, takes another input, or lacks the networks of the parts.
    """
    name = f"retrain.distillation: {files.name} can't teach {student.name}"
    for key, title in DIFFERENCES.items():
        theirs, own = getattr(teacher, key), getattr(student, key)
        if theirs != own:
            shown = "" if key == "reader" else f": {_text(theirs)} against {_text(own)}"
            raise RunError(
                f"{name}: they differ in {title}{shown}. A teacher knows what its student may learn from, no other "
                "clips, and takes the same input; choose another teacher, or train one by "
                "retrain.distillation.teachers."
            )
    parts = range(1, student.inner_folds + 1)
    if files.is_finished and not all(files.inner(part).keras_path.is_file() for part in parts):
        raise RunError(
            f"{name}: the networks of its inner cross-validation were not kept by the version that trained it. Train "
            "it again under another name, or use retrain.distillation.teachers."
        )


def candidate_teachers(run: RunDirectory, config: DistillationConfig) -> list[tuple[CandidateFiles, CandidateConfig]]:
    """Return the finished candidates of the run that teach.

    Raises:
        RunError: if one does not exist.
    """
    finished = {files.name: files for files in run.candidates()}
    if unknown := [name for name in config.candidates if name not in finished]:
        raise RunError(
            f"retrain.distillation.candidates: the run has no finished candidate {', '.join(unknown)}; it has "
            f"{', '.join(finished) or 'none'}"
        )
    return [(finished[name], read_candidate_config(finished[name].config_path)) for name in config.candidates]


def teachers_config(config: RunConfig) -> RunConfig | None:
    """Return the configuration that trains the teachers of `config` on the same clips; None without any."""
    distillation = config.retrain.distillation
    if distillation is None or not distillation.teachers:
        return None
    return config.updated(
        search=None,
        rules=NO_LIMIT,
        train=config.train.updated(sparsity=0.0, int4_share=0.0),
        retrain=RetrainConfig(
            n_candidates=0,
            systems=distillation.teachers,
            seeds=distillation.seeds,
            mode="float16",
            checkpoint=config.retrain.checkpoint,
            all_clips=config.retrain.all_clips,
            inner_folds=config.retrain.inner_folds,
            train={key: value for key, value in config.retrain.train.items() if key not in ("sparsity", "int4_share")},
        ),
    )


@contextmanager
def opened_teachers(
    run: RunDirectory, config: RunConfig, manifest: Manifest, storage: RunStorage | None
) -> Iterator[Ledger | None]:
    """Open the run directory of the teachers, `RUN/teachers`, and yield its ledger; None without any to train.

    Args:
        run: the run whose candidates they teach.
        config: configuration of the run.
        manifest: manifest of the data.
        storage: storage of the run; None if it has none.
    """
    of_teachers = teachers_config(config)
    if of_teachers is None:
        yield None
        return
    own = None if storage is None else storage.teachers
    if own is not None:
        own.pull(run.teachers)
    with unless_refused(run.teachers), open_ledger(run.teachers, own) as ledger:
        open_run(run.teachers, of_teachers)
        bind_data(run.teachers, manifest)
        yield ledger


def _of_clips(output: Output, train: FeatureSet) -> Any:
    """Return the stored probabilities of the training clips, shape (n_clips, n_classes); a copy has its source's."""
    rows = train.clips
    is_copy = rows["augmentation"].to_numpy(str) != RECORDED
    ids = [
        clip_id.rpartition("+")[0] if copied else clip_id
        for clip_id, copied in zip(rows["clip_id"], is_copy, strict=True)
    ]
    recorded = rows[~is_copy]
    found = match_clips(
        output.filenames,
        recorded["filename"].astype(str).tolist(),
        output.path,
        "the training split",
        exactly=False,
    )
    row_of = dict(zip(recorded["clip_id"], found, strict=True))
    columns = [output.classes.index(scene) for scene in train.classes]
    p = output.probabilities[[row_of[clip_id] for clip_id in ids]][:, columns]
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
