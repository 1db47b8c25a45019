"""Quarantined and flagged clips, and their table `SHARDS/quarantine.csv`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from statistics import median

from data_prep.config import PrepareConfig, QuarantineSpec
from data_prep.corpora.corpus import Corpus
from data_prep.errors import DataError
from data_prep.shards.manifest import Quarantined
from data_prep.shards.notes import ShardNote
from data_prep.shards.parquet import Assignment
from data_prep.store.store import Store
from data_prep.wording import inert

QUARANTINE_NAME = "quarantine.csv"
COLUMNS = ("clip_id", "filename", "fault", "action", "reason")
N_NAMED = 3
"""Number of examples in a message."""


def find_quarantined(
    corpus: Corpus, notes: Sequence[ShardNote], assignments: Mapping[str, Assignment], spec: QuarantineSpec
) -> tuple[Quarantined, ...]:
    """Return the clips to quarantine: unusable ones and duplicates."""
    found = [entry for note in notes for entry in note.quarantine]
    return (*found, *(_duplicates(corpus, notes, assignments) if spec.duplicates == "leave_out" else ()))


def _duplicates(corpus: Corpus, notes: Sequence[ShardNote], assignments: Mapping[str, Assignment]) -> list[Quarantined]:
    """Return the clips that repeat a recording, all but one of each.

    A test clip is kept if there is one, so that no recording is both trained and tested on. Clips of evaluation lists
    are always kept, since each needs a prediction. Silent clips are not compared.
    """
    silent = {clip_id for note in notes for clip_id in note.silent}
    digests = {clip_id: digest for note in notes for clip_id, digest in note.digests.items()}
    usable = [clip for clip in corpus.clips if clip.clip_id in digests and clip.clip_id not in silent]
    order = {"evaluation": 0, "test": 1}
    stays: dict[str, str] = {}
    for clip in sorted(usable, key=lambda clip: order.get(assignments[clip.clip_id].split or "", 2)):
        stays.setdefault(digests[clip.clip_id], clip.filename)
    return [
        Quarantined(
            clip_id=clip.clip_id,
            filename=clip.filename,
            fault="duplicate",
            reason=f"contains the same recording as {stays[digests[clip.clip_id]]}. Remove one of them from the lists, "
            "or keep both: prepare.quarantine.duplicates=keep.",
        )
        for clip in usable
        if stays[digests[clip.clip_id]] != clip.filename and assignments[clip.clip_id].split != "evaluation"
    ]


def write_quarantine(store: Store, corpus: Corpus, quarantine: Sequence[Quarantined], silent: Collection[str]) -> None:
    """Write the table of quarantined and silent clips; without any, only the header."""
    names = {clip.clip_id: clip.filename for clip in corpus.clips}
    rows: list[tuple[str, ...]] = [
        (entry.clip_id, entry.filename, entry.fault, "left out", entry.reason) for entry in quarantine
    ]
    rows += [
        (clip_id, names[clip_id], "silent", "kept", "is silent: min–max scaling makes it all zeros.")
        for clip_id in sorted(silent)
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(inert, row) for row in rows)
    content = text.getvalue().encode()
    if not _holds(store, content):
        store.write(QUARANTINE_NAME, content)


def _holds(store: Store, content: bytes) -> bool:
    """Return whether the table exists with this content."""
    try:
        return store.read(QUARANTINE_NAME) == content
    except FileNotFoundError:
        return False


def validate_quarantine(
    store: Store, corpus: Corpus, quarantine: Sequence[Quarantined], notes: Sequence[ShardNote], config: PrepareConfig
) -> None:
    """Check that no more clips are quarantined than configured.

    Raises:
        DataError: if more than `max_share` of the clips are quarantined, or any if `strict` is set.
    """
    spec = config.quarantine
    n_bad, n_all = len(quarantine), len(corpus.clips)
    if not n_bad or (not spec.strict and n_bad <= spec.max_share * n_all):
        return
    limit = "none is allowed (strict)" if spec.strict else f"at most {spec.max_share:.4g} are allowed"
    where = f"All are in {store.path_text(QUARANTINE_NAME)}."
    if n_bad == n_all:
        what = f"{_reasons(quarantine)} {where} No usable clips are left: fix the files."
    else:
        others = ", ".join(entry.filename for entry in quarantine[1:N_NAMED])
        likewise = f" Likewise {others}{' and more' if n_bad > N_NAMED else ''}." if others else ""
        what = (
            f"{quarantine[0].filename}: {quarantine[0].reason}{likewise} {where} Fix them, or continue without them: "
            f"--set prepare.quarantine.max_share={_above(n_bad / n_all)}"
        )
    raise DataError(
        f"{corpus.root}: {n_bad:,} of {n_all:,} clips cannot be used ({n_bad / n_all:.1%}); {limit}. "
        f"{_usual_length(notes, n_all, config.features.clip_seconds)}{what}"
    )


def _reasons(quarantine: Sequence[Quarantined]) -> str:
    """Return the reason shared by all quarantined clips, or the most frequent reasons."""
    alike: dict[str, list[Quarantined]] = {}
    for entry in quarantine:
        alike.setdefault(re.sub(r"\d[\d,.]*", "#", entry.reason), []).append(entry)
    groups = sorted(alike.values(), key=len, reverse=True)
    if len(groups) == 1:
        return f"All fail for the same reason, for example {quarantine[0].filename}: {quarantine[0].reason}"
    return f"They fail for {len(groups):,} reasons. " + " ".join(
        f"{len(group):,} times, for example {group[0].filename}: {group[0].reason}" for group in groups[:N_NAMED]
    )


def _usual_length(notes: Sequence[ShardNote], n_clips: int, clip_seconds: float) -> str:
    """Return a hint if the length of most recordings is far from `clip_seconds`, else an empty text."""
    lengths = [length for note in notes for length in note.seconds.values()]
    usual = median(lengths) if len(lengths) > n_clips / 2 else clip_seconds
    if abs(usual - clip_seconds) < 0.05 * clip_seconds:
        return ""
    return (
        f"Most recordings are about {usual:.3g} s long, not {clip_seconds:g} s: consider --set "
        f"prepare.features.clip_seconds={usual:.3g}. "
    )


def _above(share: float) -> float:
    """Return the nearest whole percent above `share`, as a share."""
    return min(1.0, (int(share * 100) + 1) / 100)
