"""The model as a C array for microcontrollers, checked in the interpreter for microcontrollers if it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asc_models.candidate import CONFIG, MODEL, CandidateConfig
from asc_models.ensemble import MEMBERS, OpenedSystem
from asc_models.exports.clips import all_inputs, check_clips, clips_in_words, read_as
from asc_models.exports.exported import LABELS, README, ExportedFiles
from asc_models.exports.readme import (
    combination_section,
    input_section,
    labels,
    operators_section,
    output_section,
    readme,
    title_of,
)
from asc_models.networks.estimate import estimate
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.micro import INSTALL, MicroCheck, check_micro, for_microcontrollers, is_installed
from data_prep.reader.clips import ExtractedClips
from data_prep.wording import in_markdown

PREFIX = "asc_model"
"""Begins every name in the source of a candidate; that of an ensemble's members continues with their number."""
ALIGNMENT = 16
"""Of the array, in bytes, as the constants in a TFLite file require."""
_PER_LINE = 16
_USAGE = """## Use

Compile `model.c` (as C or C++) and include `model.h`. With TensorFlow Lite Micro:

    const tflite::Model* model = tflite::GetModel({prefix});

Register the operators listed above in the resolver. Keep the array in flash: it is `const` and aligned to 16 bytes."""

_SEVERAL = f"""

The names of the second member begin with `{PREFIX}2`, and so on, so that all can be linked into one program."""


@dataclass(frozen=True)
class _Unit:
    """One network as C source."""

    name: str
    where: str
    """Its folder in the export, "" or ending with /."""
    prefix: str
    config: CandidateConfig
    content: bytes
    file_bytes: int
    """Size of the candidate's file, before `for_microcontrollers`."""
    check: MicroCheck | None
    """None if the interpreter is not installed."""


def c_export(system: OpenedSystem, recordings: Sequence[Path] = ()) -> ExportedFiles:
    """Return `model.h` and `model.c` of a candidate, or of each member of an ensemble, and the file in the array.

    Args:
        system: candidate or ensemble.
        recordings: what to check with; synthesized clips if there are none.

    Raises:
        ConfigError: if a configuration is invalid.
        DataError: if the members of an ensemble are of different data, or a recording cannot be used.
        ExportError: if a file cannot be run.
    """
    configs = system.read_configs()
    clips = check_clips(configs[0], recordings) if is_installed() else None
    units = [
        _unit(system, number, name, config, clips)
        for number, (name, config) in enumerate(zip(system.folders, configs, strict=True), start=1)
    ]
    files: dict[str, bytes] = {}
    for unit, folder in zip(units, system.folders.values(), strict=True):
        files[f"{unit.where}model.h"] = header(unit.prefix, unit.config, unit.content, unit.check).encode()
        files[f"{unit.where}model.c"] = source(unit.prefix, unit.config, unit.content).encode()
        files[f"{unit.where}{MODEL}"] = unit.content
        files[f"{unit.where}{CONFIG}"] = (folder / CONFIG).read_bytes()
    files[LABELS] = labels(configs[0].classes)
    findings = tuple(sentence for unit in units for sentence in _findings(unit, len(units), recordings))
    warnings = tuple(sentence for unit in units for sentence in _warnings(unit, len(units)))
    if not is_installed():
        warnings += (f"Not run in the interpreter for microcontrollers, which is not installed: {INSTALL}",)
    where = f"{MEMBERS}/…/" if system.manifest else ""
    meanings = {
        f"{where}model.h, {where}model.c": "the network as a C array, with its shapes and labels",
        f"{where}{MODEL}": "the file in the array",
        f"{where}{CONFIG}": "features, their scaling, classes and training",
        LABELS: "the scenes in the order of the output",
    }
    sections = [
        input_section(configs, list(system.folders)),
        output_section(configs[0]),
        *([combination_section(system)] if system.manifest else []),
        operators_section({unit.name: unit.content for unit in units}),
        "\n".join(["## Check", "", *(f"- {in_markdown(sentence, 1000)}" for sentence in (*findings, *warnings))]),
        _USAGE.format(prefix=units[0].prefix) + (_SEVERAL if system.manifest else ""),
    ]
    files[README] = readme(title_of(system), "Classifies acoustic scenes on a microcontroller.", meanings, sections)
    return ExportedFiles(files, findings, warnings)


def _unit(system: OpenedSystem, number: int, name: str, config: CandidateConfig, clips: ExtractedClips | None) -> _Unit:
    path = system.folders[name] / MODEL
    original = path.read_bytes()
    content = for_microcontrollers(original)
    check = None
    if clips is not None:
        features = read_as(clips, config)
        check = check_micro(content, all_inputs(features), Artifact(path).predict(features))
    return _Unit(
        name=name,
        where=f"{MEMBERS}/{name}/" if system.manifest else "",
        prefix=f"{PREFIX}{number}" if system.manifest else PREFIX,
        config=config,
        content=content,
        file_bytes=len(original),
        check=check,
    )


def _findings(unit: _Unit, n_units: int, recordings: Sequence[Path]) -> list[str]:
    """Return what is known of a network on microcontrollers, in sentences."""
    of = f"{unit.name}: " if n_units > 1 else ""
    found = [f"{of}The array has {len(unit.content):,} bytes, the candidate's file {unit.file_bytes:,}."]
    if len(unit.content) != unit.file_bytes:
        found[0] += (
            " Kernels that TensorFlow Lite Micro cannot dequantize by channel are stored as float32; the answers are "
            "the same."
        )
    check = unit.check
    if check is not None and not check.failure:
        reader, spec = unit.config.reader, unit.config.features
        cost = estimate(unit.config.model, reader.input_shape(spec), len(unit.config.classes), reader.windows(spec))
        found.append(
            f"{of}TensorFlow Lite Micro runs it: on {clips_in_words(check.n_clips, recordings)} its probabilities "
            f"differ by at most {check.max_difference:.1e} from TensorFlow Lite's, and the scene is the same on "
            f"{check.n_same} of {check.n_clips}. Its arena takes {check.arena_bytes:,} bytes on this machine; the "
            f"largest activations of the network are estimated at {cost.peak_activation_bytes:,} bytes as float32."
        )
    return found


def _warnings(unit: _Unit, n_units: int) -> list[str]:
    of = f"{unit.name}: " if n_units > 1 else ""
    if unit.check is None or unit.check.agrees:
        return []
    if unit.check.failure:
        hint = (
            " Set retrain.mode to int8_weights or int8 and rerun `asc retrain`."
            if unit.config.mode == "dynamic_range"
            else ""
        )
        return [f"{of}TensorFlow Lite Micro does not run it: {unit.check.failure}.{hint}"]
    return [f"{of}TensorFlow Lite Micro gives other answers: do not use it there."]


def header(prefix: str, config: CandidateConfig, content: bytes, check: MicroCheck | None = None) -> str:
    """Return `model.h`: length, shapes, and the declarations of the array and the labels."""
    upper = prefix.upper()
    n_mels, n_frames, n_channels = config.reader.input_shape(config.features)
    lines = [
        "/* Written by asc export. Input: float32 [1][N_MELS][N_FRAMES][N_CHANNELS]. Output: float32 [1][N_LABELS],",
        "   the probability of each label. See README.md for the features. */",
        f"#ifndef {upper}_H_",
        f"#define {upper}_H_",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        f"#define {upper}_N_BYTES {len(content)}",
        f"#define {upper}_N_MELS {n_mels}",
        f"#define {upper}_N_FRAMES {n_frames}",
        f"#define {upper}_N_CHANNELS {n_channels}",
        f"#define {upper}_N_LABELS {len(config.classes)}",
    ]
    if check is not None and check.arena_bytes:
        lines += [
            "/* Measured with TensorFlow Lite Micro where pointers have 8 bytes. */",
            f"#define {upper}_ARENA_BYTES {check.arena_bytes}",
        ]
    lines += [
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"extern const uint8_t {prefix}[{upper}_N_BYTES];",
        f"extern const size_t {prefix}_n_bytes;",
        f"extern const char *const {prefix}_labels[{upper}_N_LABELS];",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        f"#endif /* {upper}_H_ */",
    ]
    return "\n".join(lines) + "\n"


def source(prefix: str, config: CandidateConfig, content: bytes) -> str:
    """Return `model.c`: the aligned array and the labels, in UTF-8."""
    upper = prefix.upper()
    rows = [content[start : start + _PER_LINE] for start in range(0, len(content), _PER_LINE)]
    lines = [
        "/* Written by asc export. */",
        '#include "model.h"',
        "",
        "#if defined(__cplusplus)",
        f"#define {upper}_ALIGNED alignas({ALIGNMENT})",
        "#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L",
        f"#define {upper}_ALIGNED _Alignas({ALIGNMENT})",
        "#else",
        f"#define {upper}_ALIGNED __attribute__((aligned({ALIGNMENT})))",
        "#endif",
        "",
        f"{upper}_ALIGNED const uint8_t {prefix}[{upper}_N_BYTES] = {{",
        *("    " + ", ".join(f"0x{byte:02x}" for byte in row) + "," for row in rows),
        "};",
        f"const size_t {prefix}_n_bytes = {upper}_N_BYTES;",
        f"const char *const {prefix}_labels[{upper}_N_LABELS] = {{",
        *(f"    {c_string(scene)}," for scene in config.classes),
        "};",
    ]
    return "\n".join(lines) + "\n"


def c_string(text: str) -> str:
    """Return a C string literal of any text, in ASCII: other bytes of its UTF-8 are octal escapes."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode("utf-8", errors="surrogatepass")
    )
    return f'"{plain}"'
