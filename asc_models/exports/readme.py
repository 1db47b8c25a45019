"""The README of an export: what the network takes and returns, and what can run it.

Texts of others, such as the names of scenes, are shown as they are, whatever markup they contain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asc_models.candidate import CandidateConfig
from asc_models.config import ExportMode
from asc_models.ensemble import OpenedSystem
from asc_models.tflite.flatbuffer import TfliteFile
from data_prep.config import DELTA_LOSS, FeatureSpec, ReaderSpec
from data_prep.wording import in_markdown, plural, printable

RUNTIMES: dict[ExportMode, str] = {
    "float32": "Any interpreter of TensorFlow Lite (LiteRT), old ones included.",
    "float16": "Any interpreter of TensorFlow Lite (LiteRT); kernels are converted to float32 when the file is loaded.",
    "dynamic_range": "A current interpreter of TensorFlow Lite (LiteRT), for the hybrid kernels in the versions below. "
    "Microcontrollers have no hybrid kernels.",
    "int8_weights": "Any interpreter of TensorFlow Lite (LiteRT) that dequantizes kernels by channel; kernels are "
    "converted to float32 when the file is loaded.",
    "int4_int8_weights": "A current interpreter of TensorFlow Lite (LiteRT), for int4 kernels; they are converted to "
    "float32 when the file is loaded.",
    "int8": "Any interpreter of TensorFlow Lite (LiteRT) with int8 kernels by channel. Convolutions run in int8; "
    "input and output are float32, as in all modes.",
}
"""{export mode: what can run the file}."""


def readme(title: str, intro: str, files: Mapping[str, str], sections: Sequence[str]) -> bytes:
    """Return a README.

    Args:
        title: name of the candidate or ensemble, of any origin.
        intro: first paragraph.
        files: {file: what it is}.
        sections: Markdown of the sections, each with its heading.
    """
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in files.items())
    head = f"# {in_markdown(title, 200)}\n\n{intro}\n\n| file | is |\n|---|---|\n{rows}\n"
    return ("\n".join([head, *(f"{section.strip()}\n" for section in sections)])).encode()


def title_of(system: OpenedSystem) -> str:
    """Return the name of a candidate or ensemble: that of its folder or zip, also if it was given as `.`."""
    return system.path.absolute().stem


def labels(classes: Sequence[str]) -> bytes:
    """Return the scenes in the order of the output, one a line."""
    return "".join(f"{printable(scene)}\n" for scene in classes).encode()


def input_section(configs: Sequence[CandidateConfig], names: Sequence[str]) -> str:
    """Return what the network takes; the members of an ensemble have the same features, and may read them differently.

    Args:
        configs: of the members.
        names: of the members.
    """
    spec = configs[0].features
    lines = ["## Input", "", "From a recording to the input:", "", *_numbered(_log_mel_steps(spec))]
    readers: dict[ReaderSpec, list[str]] = {}
    for config, name in zip(configs, names, strict=True):
        readers.setdefault(config.reader, []).append(in_markdown(name, 200))
    for reader, of in readers.items():
        shape = " × ".join(map(str, (1, *reader.input_shape(spec))))
        which = "Then" if len(readers) == 1 else f"Then, for {', '.join(of)}"
        lines += ["", f"{which}:", "", *_numbered(_reader_steps(reader))]
        lines += ["", f"The input is `float32`, {shape}: clips, mel bands, frames, channels."]
    lines += ["", "`asc_models.Classifier` does all of this; `config.yaml` has the same settings for programs."]
    return "\n".join(lines)


def output_section(config: CandidateConfig) -> str:
    """Return what the network returns."""
    rows = [f"| {number} | {in_markdown(scene)} |" for number, scene in enumerate(config.classes)]
    head = f"## Output\n\n`float32`, 1 × {len(config.classes)}: the probability of each scene; they add up to 1."
    return "\n".join([head, "", "| index | scene |", "|---|---|", *rows])


def combination_section(system: OpenedSystem) -> str:
    """Return how the answers of an ensemble's members are combined."""
    rows = [
        f"| {in_markdown(name, 200)} | {weight!r} |"
        for name, weight in zip(system.folders, system.weights, strict=True)
    ]
    return "\n".join(
        [
            "## Combining the members",
            "",
            f"The answer is the weighted mean of the members' probabilities, to the power 1/{system.temperature!r}, "
            "divided by the sum over the scenes.",
            "",
            *("| member | weight |", "|---|---|", *rows),
        ]
    )


def runtime_section(contents: Mapping[str, bytes], configs: Sequence[CandidateConfig]) -> str:
    """Return what can run the files.

    Args:
        contents: {member: content of its file}.
        configs: of the members.
    """
    modes = dict.fromkeys(config.mode for config in configs)
    lines = ["## What runs it", "", *(f"- Export mode `{mode}`: {RUNTIMES[mode]}" for mode in modes)]
    return "\n".join([*lines, *_operators(contents)])


def operators_section(contents: Mapping[str, bytes]) -> str:
    """Return the operators of each file; `contents` as in `runtime_section`."""
    return "\n".join(["## Operators", "", *_operators(contents)])


def _operators(contents: Mapping[str, bytes]) -> list[str]:
    lines = []
    for name, content in contents.items():
        versions = TfliteFile(content, name).operator_versions
        used = ", ".join(f"`{operator}` {version}" for operator, version in sorted(versions.items()))
        which = f"{in_markdown(name, 200)}: " if len(contents) > 1 else ""
        lines.append(f"- {which}{len(content):,} bytes. Operators, each with the version that is needed: {used}.")
    return lines


def _log_mel_steps(spec: FeatureSpec) -> list[str]:
    edge = "null" if spec.norm is None else spec.norm
    kind = "power" if spec.power == 2 else "magnitude"
    centred = "" if spec.window_samples == spec.n_fft else f", centred in a frame of {spec.n_fft:,}"
    top = spec.fmax_hz if spec.fmax_hz is not None else spec.sample_rate / 2
    emphasis = [f"Pre-emphasis: y[t] − {spec.preemphasis:g} · y[t − 1]."] if spec.preemphasis else []
    return [
        f"Mono, resampled to {spec.sample_rate:,} Hz, full scale at −1 and 1; {spec.clip_seconds:g} s are "
        f"{spec.n_samples:,} samples. A shorter recording is padded with zeros; a longer one is cut into such clips, "
        "whose answers are averaged.",
        *emphasis,
        f"{kind.capitalize()} spectrum by a Fourier transform of {spec.n_fft:,} samples every {spec.hop_length:,} "
        f"samples, with a periodic {spec.window.capitalize()} window of {spec.window_samples:,} samples{centred}. "
        f"Frames are centred; {spec.n_fft // 2:,} zeros are added at both ends of the clip: {spec.n_frames:,} frames.",
        f"{spec.n_mels} triangular mel filters from {spec.fmin_hz:g} to {top:g} Hz: `librosa.filters.mel` with "
        f"`htk={spec.htk}` and `norm` {edge}.",
        f"Natural logarithm of the result plus {spec.log_offset:g}, rounded to float16.",
    ]


def _reader_steps(reader: ReaderSpec) -> list[str]:
    steps = []
    if reader.trim_silence:
        steps.append("Frames of digital silence at both ends are cut; the rest is repeated to the clip's length.")
    steps.append(
        {
            "none": "No scaling.",
            "center": "For each mel band: minus its mean over the clip.",
            "minmax": "Scaled so that the clip's minimum is 0 and its maximum 1; a constant clip becomes zeros.",
            "standardize": "For each mel band: minus `statistics.mean`, divided by `statistics.deviation` of "
            "`config.yaml`.",
        }[reader.scaling]
    )
    if reader.deltas:
        edges = (
            f"the {DELTA_LOSS * reader.deltas} frames without all of them are left out, half at each end"
            if reader.edges == "crop"
            else "before them, the first and the last frame are repeated"
        )
        steps.append(
            f"Channels: the log-mel, then {plural(reader.deltas, 'order')} of deltas, d[t] = (x[t+1] − x[t−1]) / 10 + "
            f"(x[t+2] − x[t−2]) / 5; {edges}."
        )
    if reader.frequency_channel:
        steps.append("A last channel with the position of each mel band, evenly spaced from −1 (lowest) to 1.")
    if reader.window_seconds is not None:
        steps.append(
            f"Nothing else: the file itself cuts {reader.n_windows} windows of {reader.window_seconds:g} s and "
            "averages their probabilities."
        )
    return steps


def _numbered(steps: Sequence[str]) -> list[str]:
    return [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
