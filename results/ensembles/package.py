"""The ensemble of a run as one zip file, `ensemble.zip`, which is opened like a candidate's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from asc_models.candidate import ENSEMBLE, NEEDED, needed_files
from asc_models.ensemble import MEMBERS, EnsembleManifest, EnsembleMember
from data_prep.files.yaml_file import to_yaml
from results.candidates.package import pack
from results.rundir import CandidateFiles, RunDirectory


def pack_ensemble(run: RunDirectory, members: Mapping[str, float], temperature: float) -> bool:
    """Write `ensemble.zip` with the members' model files, and return whether it is written.

    If a member has no model file, as in copies of a run without them, an earlier `ensemble.zip` is deleted: it is that
    of another ensemble.

    Args:
        run: run with the candidates.
        members: {candidate: weight}, largest weight first.
        temperature: of the ensemble.
    """
    found = {name: CandidateFiles(run.candidates_dir / name).root for name in members}
    if not all((folder / name).is_file() for folder in found.values() for name in NEEDED):
        run.ensemble_package_path.unlink(missing_ok=True)
        return False
    files = {
        member: {name: (folder / name).read_bytes() for name in needed_files(folder)}
        for member, folder in found.items()
    }
    manifest = EnsembleManifest(
        temperature=temperature,
        members=tuple(
            EnsembleMember(
                name=member,
                weight=members[member],
                sha256={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            )
            for member, contents in files.items()
        ),
    )
    entries = {ENSEMBLE: to_yaml(manifest.model_dump(mode="json")).encode()}
    for member, contents in files.items():
        entries |= {f"{MEMBERS}/{member}/{name}": content for name, content in contents.items()}
    pack(run.ensemble_package_path, entries)
    return True
