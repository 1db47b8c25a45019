"""Missing, corrupt, duplicate or wrongly listed clips of a data set, found before it is prepared."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from data_prep.check.files import FileFacts, inspect_files
from data_prep.check.report import CheckReport, Count, Finding, Severity
from data_prep.config import PrepareConfig
from data_prep.corpora.corpus import Clip, Corpus
from data_prep.corpora.coverage import class_problem, missing_problem, split_gaps
from data_prep.corpora.detect import read_listing
from data_prep.corpora.disk import find_audio, is_on_disk
from data_prep.corpora.matching import match_files
from data_prep.corpora.read import read_corpus
from data_prep.corpora.resolve import Resolved, resolve
from data_prep.corpora.splits import SPLITS, Split, assign_splits, holdout_problem
from data_prep.errors import DataError
from data_prep.progress import ProgressCallback
from data_prep.wording import printable
from data_prep.workers import Executor, worker_pool

FILES_PER_TASK = 16
USUAL_SHARE = 0.95
"""If this share of the files has the same rate and channel count, files with others are reported."""


def check_data(
    root: Path,
    config: PrepareConfig,
    *,
    clip_seconds: float | None = None,
    n_workers: int = 1,
    executor: Executor | None = None,
    on_progress: ProgressCallback | None = None,
) -> CheckReport:
    """Decode all recordings of the data set `root`; check its lists against the recordings and for contradictions.

    Args:
        root: the data set's folder.
        config: how the data set is read and which clips are quarantined.
        clip_seconds: required length of clips, within the tolerance of the quarantine; None: the median length, and
            recordings are duplicates only if they are equal to their ends.
        n_workers: number of processes that decode; 1 uses this process.
        executor: used instead of worker processes.
        on_progress: called with (files done, total files).

    Raises:
        DataError: if the folder doesn't exist.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder. Give the folder with the audio and its lists.")
    resolved, layout, findings = _read_lists(root, config)
    names = dict.fromkeys(find_audio(root))
    names |= dict.fromkeys(clip.filename for clip in resolved.clips.values() if is_on_disk(root, clip.filename))
    with worker_pool(n_workers, executor) as mapper:
        rate = config.features.sample_rate
        n_samples = None if clip_seconds is None else round(rate * clip_seconds)
        inspect = partial(inspect_files, sample_rate=rate, n_samples=n_samples)
        facts = _inspect(root, list(names), inspect, mapper, on_progress)
    usable = {name: fact for name, fact in facts.items() if not fact.reason}
    typical = statistics.median(fact.seconds for fact in usable.values()) if usable else 0.0
    findings += _missing(resolved, facts)
    findings += _file_findings(resolved, facts, clip_seconds or typical, config.quarantine.length_tolerance)
    unfit = {finding.filename for finding in findings if (finding.severity, finding.kind) == ("error", "length")}
    findings += _duplicates(resolved, usable, unfit, clip_seconds, keep=config.quarantine.duplicates == "keep")
    findings += _odd_forms(usable)
    findings += _unlisted(resolved, facts)
    corpus = None
    if resolved.clips and not any(problem.fatal for problem in resolved.problems):
        corpus, refusals = _refusals(root, config, usable)
        findings += refusals
    findings = [replace(finding, filename=printable(finding.filename)) for finding in findings]
    return CheckReport(
        layout=layout,
        n_listed=len(resolved.clips),
        n_files=len(facts),
        n_described=len(resolved.unlisted),
        hours=sum(fact.seconds for fact in usable.values()) / 3600,
        typical_seconds=typical,
        forms=Counter(fact.form for fact in usable.values()),
        findings=tuple(sorted(findings, key=lambda f: (f.severity, f.kind))),
        counts=tuple(_counts(resolved, corpus, config, usable)),
    )


def _inspect(
    root: Path,
    names: list[str],
    inspect: Callable[[list[Path]], list[FileFacts]],
    mapper: Executor,
    on_progress: ProgressCallback | None,
) -> dict[str, FileFacts]:
    """Return the facts about each file."""
    facts: dict[str, FileFacts] = {}
    batches = [names[i : i + FILES_PER_TASK] for i in range(0, len(names), FILES_PER_TASK)]
    if on_progress is not None:
        on_progress(0, len(names))
    results = mapper.map(inspect, ([root / name for name in batch] for batch in batches))
    for batch, found in zip(batches, results, strict=True):
        facts.update(zip(batch, found, strict=True))
        if on_progress is not None:
            on_progress(len(facts), len(names))
    return facts


def _read_lists(root: Path, config: PrepareConfig) -> tuple[Resolved, str, list[Finding]]:
    try:
        listing = read_listing(root, config.corpus)
        resolved = resolve(listing, config.corpus)
        match_files(root, resolved)
    except DataError as error:
        return Resolved(), "", [Finding("error", "lists", "", "", str(error))]
    findings = [
        Finding("error" if p.fatal else "warning", p.kind, p.row.filename, p.row.where, p.message)
        for p in resolved.problems
    ]
    findings += [Finding("warning", "lists", "", "", remark) for remark in resolved.remarks]
    return resolved, listing.layout, findings


def _where(resolved: Resolved, clip: Clip) -> str:
    return resolved.rows[clip.clip_id].where


def _missing(resolved: Resolved, facts: Mapping[str, FileFacts]) -> Iterator[Finding]:
    for clip in resolved.clips.values():
        if clip.filename not in facts:
            yield Finding("warning", "missing", clip.filename, _where(resolved, clip), "is listed, but not on disk")


def _file_findings(
    resolved: Resolved, facts: Mapping[str, FileFacts], wanted: float, tolerance: float
) -> Iterator[Finding]:
    listed = {clip.filename: clip for clip in resolved.clips.values()}
    splits = _first_splits(resolved)
    for name, fact in facts.items():
        where = _where(resolved, listed[name]) if name in listed else ""
        severity: Severity = "error" if name in listed else "warning"
        if fact.reason:
            yield Finding(severity, "unreadable", name, where, fact.reason)
            continue
        if fact.slip:
            yield Finding("warning", "header", name, where, f"{fact.slip}; the audio is read as is")
        if fact.silent:
            yield Finding("warning", "silent", name, where, "is silent: all samples that are used are equal")
        off = abs(fact.seconds - wanted)
        # `asc prepare` takes evaluation clips of any length, since each needs a prediction.
        needs_length = name not in listed or splits.get(listed[name].clip_id) != "evaluation"
        if needs_length and off > tolerance * wanted:
            limits = f"{wanted:g} s ± {tolerance:.0%} (prepare.features.clip_seconds)"
            message = f"is {fact.seconds:.3f} s long, clips must be {limits}"
            yield Finding(severity, "length", name, where, message)
        elif off > 1.5 / fact.sample_rate:  # one sample short or long is common, and corrected silently
            yield Finding("warning", "length", name, where, f"is {fact.seconds:.3f} s long, clips are {wanted:g} s")


def _first_splits(resolved: Resolved) -> dict[str, str]:
    """Return {clip_id: split in the first fold that lists it}, by which `asc prepare` decides."""
    first: dict[str, str] = {}
    for fold in sorted(resolved.folds):
        for clip_id, split in resolved.folds[fold].items():
            first.setdefault(clip_id, split)
    return first


def _duplicates(
    resolved: Resolved,
    usable: Mapping[str, FileFacts],
    unfit: Collection[str],
    clip_seconds: float | None,
    *,
    keep: bool,
) -> Iterator[Finding]:
    """Yield the duplicates among recordings that make equal clips, except the one that `asc prepare` keeps.

    That one is an evaluation clip, else a test clip, else the first in the lists; `unfit` ones, whose length is
    refused, come last.
    """
    clips = {clip.filename: clip for clip in resolved.clips.values()}
    first_split = _first_splits(resolved)
    ranks = {"evaluation": 0, "test": 1}
    order = {
        name: (name in unfit, ranks.get(first_split.get(clip.clip_id, ""), 2), number)
        for number, (name, clip) in enumerate(clips.items())
    }
    same: dict[str, list[str]] = defaultdict(list)
    for name in sorted(usable, key=lambda name: (order.get(name, (True, 3, 0)), name)):
        if not usable[name].silent:
            same[usable[name].clip_digest].append(name)
    for kept, *others in same.values():
        for name in others:
            clip, first = clips.get(name), clips.get(kept)
            where, message = "", f"contains the same recording as {kept}"
            if usable[name].digest != usable[kept].digest:
                message = f"is the same recording as {kept} in the {clip_seconds:g} s that are used"
            if clip is not None and first is not None:
                where = _where(resolved, clip)
                if clip.scene != first.scene:
                    message += f", which is {first.scene} in {_where(resolved, first)}, and this {clip.scene}"
            refused = clip is not None and first_split.get(clip.clip_id) != "evaluation" and not keep
            yield Finding("error" if refused else "warning", "duplicate", name, where, message)


def _odd_forms(usable: Mapping[str, FileFacts]) -> Iterator[Finding]:
    """Yield the files whose rate or channel count differs from nearly all others, which may be a damaged header."""
    counts = Counter(fact.form[1:] for fact in usable.values())
    for (rate, channels), n in counts.most_common(1):
        if n < USUAL_SHARE * len(usable):
            return
        for name, fact in usable.items():
            if fact.form[1:] != (rate, channels):
                has = f"has {fact.sample_rate:,} Hz and {fact.channels} channels"
                yield Finding("warning", "form", name, "", f"{has}, nearly all others {rate:,} and {channels}")


def _unlisted(resolved: Resolved, facts: Mapping[str, FileFacts]) -> Iterator[Finding]:
    known = {clip.filename for clip in resolved.clips.values()} | {row.filename for row in resolved.unlisted}
    for name in facts if known else ():
        if name not in known:
            yield Finding("warning", "unlisted", name, "", "is on disk, but not in any list")


def _refusals(
    root: Path, config: PrepareConfig, usable: Mapping[str, FileFacts]
) -> tuple[Corpus | None, list[Finding]]:
    """Return the corpus, and errors of `asc prepare` that concern no single row."""
    try:
        corpus = read_corpus(root, config.corpus)
    except DataError as error:
        return None, [Finding("error", "lists", "", "", str(error))]
    missing = missing_problem(corpus, config.quarantine.max_missing_share)
    problems = (missing, class_problem(corpus), holdout_problem(corpus, config.validation))
    findings = [Finding("error", "lists", "", "", problem) for problem in problems if problem is not None]
    scenes = {clip.clip_id: clip.scene for clip in corpus.clips}
    good = {clip.clip_id for clip in corpus.clips if clip.filename in usable}
    for fold, splits in assign_splits(corpus, config.validation).items():
        needed = {scenes[i] for i, split in corpus.folds[fold].items() if split in ("train", "test")}
        present = {scenes[i] for i, split in splits.items() if split == "train" and i in good}
        if "train" in corpus.folds[fold].values():
            findings += [
                Finding("error", "no training clip", "", "", f"fold {fold} has no usable training clip of {scene!r}")
                for scene in sorted(map(str, needed - present))
            ]
    gaps = split_gaps(corpus, config.validation, good)
    findings += [Finding("warning", f"no {split} clip", "", "", text) for split, text in gaps]
    return corpus, findings


def _counts(
    resolved: Resolved, corpus: Corpus | None, config: PrepareConfig, usable: Mapping[str, FileFacts]
) -> Iterator[Count]:
    """Yield the clips by fold, split, device and scene; with a validation split if it can be cut."""
    cut = assign_splits(corpus, config.validation) if corpus is not None else {}
    for fold, listed in resolved.folds.items():
        n_listed: Counter[tuple[Split, str, str]] = Counter()
        n_usable: Counter[tuple[Split, str, str]] = Counter()
        for clip_id, split in listed.items():
            clip = resolved.clips[clip_id]
            assigned: Split = cut.get(fold, {}).get(clip_id, split)
            group = (assigned, clip.device, clip.scene or "(unlabelled)")
            n_listed[group] += 1
            n_usable[group] += clip.filename in usable
        for group in sorted(n_listed, key=lambda group: (SPLITS.index(group[0]), *group[1:])):
            yield Count(fold, *group, n_listed[group], n_usable[group])
