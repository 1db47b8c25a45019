"""`asc export`: a candidate or an ensemble for use outside of `asc`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import SystemArgument, terminal

if TYPE_CHECKING:
    from asc_models.ensemble import OpenedSystem
    from asc_models.exports.exported import ExportedFiles


class ExportFormat(StrEnum):
    """What a candidate can be exported to."""

    TFLITE = "tflite"
    C = "c"
    ONNX = "onnx"
    HF = "hf"


UNCHECKED = (ExportFormat.TFLITE, ExportFormat.HF)
"""Formats whose model files are the candidate's own, those of devices included."""


def export(
    candidate: SystemArgument,
    to: Annotated[
        ExportFormat,
        typer.Option(
            "--to",
            help="tflite: the file, and what it takes and returns. c: a C array for microcontrollers. onnx: the "
            "network before quantization. hf: a repository for the Hugging Face Hub, with a model card.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="New folder.", show_default=False)],
    audio: Annotated[
        list[Path] | None,
        typer.Option(
            "--audio", metavar="FILE", help="Recording to check with. Repeatable. Default: synthesized clips."
        ),
    ] = None,
) -> None:
    """Write a candidate or an ensemble for use outside of `asc`: as a folder with a README.

    What is written is checked on recordings: `c` in the interpreter for microcontrollers against the usual one,
    `onnx` in ONNX Runtime against Keras.
    """
    from asc_models.candidate import device_folder
    from asc_models.classifier import Classifier
    from asc_models.ensemble import opened_system
    from data_prep.errors import ConfigError
    from data_prep.files.folders import require_new, write_folder

    screen = terminal()
    if audio and to in UNCHECKED:
        raise ConfigError(f"--audio: {to} writes the files as they are; only c and onnx are checked on recordings")
    require_new(out)
    classifier = Classifier(candidate)  # refuses files that cannot be run
    with opened_system(candidate) as system:
        exported = _export(system, to, audio or [])
    write_folder(out, exported.files)
    for finding in exported.findings:
        screen.say(finding)
    if classifier.devices and to not in UNCHECKED:
        screen.warn(
            f"{candidate}: has networks of the devices {', '.join(classifier.devices)}, which are not exported: only "
            "the general one is. Export that of a device from its folder, such as "
            f"RUN/candidates/NAME/{device_folder(classifier.devices[0])}."
        )
    for warning in exported.warnings:
        screen.warn(warning)
    screen.say(f"Written: {out}")


def _export(system: OpenedSystem, to: ExportFormat, audio: list[Path]) -> ExportedFiles:
    if to is ExportFormat.TFLITE:
        from asc_models.exports.tflite import tflite_export

        return tflite_export(system)
    if to is ExportFormat.C:
        from asc_models.exports.c_source import c_export

        return c_export(system, audio)
    if to is ExportFormat.ONNX:
        from asc_models.exports.onnx_model import onnx_export

        return onnx_export(system, audio)
    from results.exports.huggingface import huggingface_export

    return huggingface_export(system)
