"""Spectrum correction: the time-aligned pairs of a fold → its factors, stored next to the shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from data_prep.copies.correction import (
    Correction,
    correction_name,
    correction_to_csv,
    estimate_correction,
    pairs,
    parse_correction,
)
from data_prep.corpora.corpus import Clip
from data_prep.errors import DataError
from data_prep.prepare.extract import Source, Task, spectra_task
from data_prep.prepare.jobs import ROWS_PER_TASK, Bench
from data_prep.shards.notes import NOTES_FOLDER, sources_fingerprint


def correct_folds(bench: Bench, training: Mapping[int, Sequence[Clip]]) -> dict[int, Correction]:
    """Return {fold: correction}, estimated from the training clips; results of earlier calls are reused.

    Args:
        bench: shared by all jobs of the call.
        training: {fold: usable training clips}.

    Raises:
        DataError: if a fold has no pairs.
    """
    return {fold: _correct(bench, fold, clips) for fold, clips in training.items()}


def _correct(bench: Bench, fold: int, training: Sequence[Clip]) -> Correction:
    found = pairs(training)
    needed = {clip.clip_id: clip for twins in found.values() for pair in twins for clip in pair}
    clips = [needed[clip_id] for clip_id in sorted(needed)]
    name, note = correction_name(fold), seal_name(fold)
    sources = sources_fingerprint(bench.root, clips, {"spec": bench.spec.hash()})
    try:
        text = bench.store.read(name)
        if bench.store.read(note).decode() == _seal(sources, text):
            return parse_correction(text.decode(), bench.store.path_text(name))
    except (FileNotFoundError, DataError, UnicodeDecodeError):
        pass  # missing or damaged
    bench.store.remove(note)
    spectra = dict(zip((clip.clip_id for clip in clips), _spectra(bench, clips), strict=True))
    correction = estimate_correction(spectra, found, bench.spec)
    text = correction_to_csv(correction).encode()
    bench.store.write(name, text)
    bench.store.write(note, _seal(sources, text).encode())
    return correction


def seal_name(fold: int) -> str:
    """Return the file name of the note on what a fold's correction was made from."""
    return f"{NOTES_FOLDER}/{correction_name(fold)}.seal"


def _spectra(bench: Bench, clips: Sequence[Clip]) -> Iterator[npt.NDArray[np.float64]]:
    def tasks() -> Iterator[Task]:
        """Yield tasks of `ROWS_PER_TASK` clips."""
        for i in range(0, len(clips), ROWS_PER_TASK):
            batch = clips[i : i + ROWS_PER_TASK]
            yield Task(tuple(Source(bench.root / clip.filename, clip.clip_id) for clip in batch), bench.spec)

    for spectra in bench.mapper.map(spectra_task, tasks()):
        yield from spectra


def _seal(sources: str, text: bytes) -> str:
    return f"{sources} {hashlib.sha256(text).hexdigest()}\n"
