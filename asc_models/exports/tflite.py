"""The TFLite file, with everything that its user must know."""

from __future__ import annotations

from asc_models.candidate import CONFIG, DEVICES, ENSEMBLE, MODEL, needed_files
from asc_models.ensemble import MEMBERS, OpenedSystem
from asc_models.exports.exported import LABELS, README, ExportedFiles
from asc_models.exports.readme import (
    combination_section,
    input_section,
    labels,
    output_section,
    readme,
    runtime_section,
    title_of,
)
from data_prep.files.yaml_file import to_yaml


def tflite_export(system: OpenedSystem) -> ExportedFiles:
    """Return the files of a candidate or an ensemble, byte for byte, with labels and a README.

    The folder is a candidate or an ensemble itself: `asc predict`, `describe` and `bench` open it.

    Raises:
        ConfigError: if a configuration is invalid.
        DataError: if the members of an ensemble are of different data.
    """
    configs, names = system.read_configs(), list(system.folders)
    contents = {name: (folder / MODEL).read_bytes() for name, folder in system.folders.items()}
    files: dict[str, bytes] = {}
    for name, folder in system.folders.items():
        where = f"{MEMBERS}/{name}/" if system.manifest else ""
        files |= {f"{where}{file}": (folder / file).read_bytes() for file in needed_files(folder)}
    meanings = {MODEL: "the network, a TFLite file", CONFIG: "features, their scaling, classes and training"}
    if any(config.devices for config in configs):
        meanings[f"{DEVICES}/NAME"] = "the same files of the network that answers clips of a recording device"
    if system.manifest is not None:
        files[ENSEMBLE] = to_yaml(system.manifest.model_dump(mode="json")).encode()
        meanings = {ENSEMBLE: "weights and temperature", **{f"{MEMBERS}/…/{k}": v for k, v in meanings.items()}}
    files[LABELS] = labels(configs[0].classes)
    meanings[LABELS] = "the scenes in the order of the output"
    sections = [
        input_section(configs, names),
        output_section(configs[0]),
        *([combination_section(system)] if system.manifest else []),
        runtime_section(contents, configs),
    ]
    intro = (
        "Classifies acoustic scenes. `asc predict FOLDER RECORDING.wav` answers with it, and so does any program that "
        "follows the steps below."
    )
    files[README] = readme(title_of(system), intro, meanings, sections)
    return ExportedFiles(files)
