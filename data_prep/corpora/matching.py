"""Matching of listed names to files on disk that are spelled differently.

Lists and audio may differ in case, surrounding blanks, Unicode normalization, backslashes, the suffix (after a
conversion), or leading folders. A listed name that is not on disk is matched to the file whose name is equal up to such
differences, if there is exactly one and no other listed name matches it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from posixpath import splitext
from unicodedata import normalize

from data_prep.corpora.disk import find_audio, is_on_disk
from data_prep.corpora.resolve import Resolved

N_NAMED = 5
"""Number of pairs in a warning."""
MAX_ALIKE = 100
"""Names shared by more files than this are not compared: they are ambiguous, and comparing them is slow."""


def match_files(root: Path, resolved: Resolved) -> None:
    """Replace listed names by the unambiguously matching names on disk, and add warnings for all that differ."""
    on_disk = {clip.filename for clip in resolved.clips.values() if is_on_disk(root, clip.filename)}
    absent = {clip.filename: i for i, clip in resolved.clips.items() if clip.filename not in on_disk}
    if not absent:
        return
    free = [name for name in find_audio(root) if name not in on_disk and is_on_disk(root, name)]
    found, doubtful = _pairs(absent, free)
    for listed, actual in found.items():
        resolved.clips[absent[listed]] = replace(resolved.clips[absent[listed]], filename=actual)
    if found:
        some = _some([f"{listed} is {actual}" for listed, actual in found.items()])
        resolved.remarks += (f"{len(found):,} listed files have another name on disk, which is used: {some}",)
    if doubtful:
        some = _some([f"{listed} may be {' or '.join(names[:3])}" for listed, names in doubtful.items()])
        resolved.remarks += (
            f"{len(doubtful):,} listed files are not on disk, and their similar names are ambiguous: {some}. Use the "
            "names on disk in the list",
        )


def _pairs(absent: Iterable[str], free: Iterable[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return {name: file} for unique matches and {name: files} for ambiguous ones.

    Comparisons are tried from the strictest to the loosest; matched and ambiguous names skip the remaining ones.
    """
    found: dict[str, str] = {}
    doubtful: dict[str, list[str]] = {}
    pending, unclaimed = list(absent), list(free)
    plain = {name: _plain(name) for name in (*pending, *unclaimed)}
    bare = {name: splitext(form)[0].rstrip() for name, form in plain.items()}
    for form, same_folder in ((plain, True), (bare, True), (plain, False), (bare, False)):
        groups: dict[str, list[str]] = defaultdict(list)
        for name in unclaimed:
            groups[_key(form[name], same_folder)].append(name)
        alike = {
            name: [file for file in groups[key] if _is_inside(form[name], form[file])]
            for name in pending
            if (key := _key(form[name], same_folder)) in groups and len(groups[key]) <= MAX_ALIKE
        }
        n_claims = Counter(file for files in alike.values() for file in files)
        for name, files in alike.items():
            if len(files) == 1 and n_claims[files[0]] == 1:
                found[name] = files[0]
            elif files:
                doubtful[name] = files
        pending = [name for name in pending if name not in found and name not in doubtful]
        unclaimed = [file for file in unclaimed if file not in n_claims]
    return found, doubtful


def _plain(name: str) -> str:
    """Return a name case-folded, with `/` as separator, without blanks around its parts and a leading `audio/`."""
    parts = [part.strip() for part in normalize("NFC", name).casefold().replace("\\", "/").split("/")]
    parts = [part for part in parts if part not in ("", ".")]
    return normalize("NFC", "/".join(parts[1:] if parts[:1] == ["audio"] else parts))


def _key(name: str, same_folder: bool) -> str:
    return name if same_folder else name.rpartition("/")[2]


def _is_inside(one: str, other: str) -> bool:
    """Return whether two names are equal up to leading folders of one of them: `dog/1` never matches `rain/1`."""
    return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")


def _some(texts: list[str]) -> str:
    return "; ".join(texts[:N_NAMED]) + (f"; and {len(texts) - N_NAMED:,} more" if len(texts) > N_NAMED else "")
