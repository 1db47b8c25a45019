"""The float network of a candidate as ONNX, checked in ONNX Runtime against Keras' answers.

The TFLite file that a candidate's scores were measured on is usually quantized; the ONNX file is the network before
that. Converter, format and runtime are those of the extra `onnx`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asc_models.candidate import CONFIG, KERAS, MODEL, CandidateConfig, require_unchanged
from asc_models.ensemble import OpenedSystem
from asc_models.errors import ExportError
from asc_models.exports.clips import all_inputs, check_clips, clips_in_words
from asc_models.exports.exported import LABELS, README, ExportedFiles
from asc_models.exports.readme import input_section, labels, output_section, readme, title_of
from asc_models.tflite.artifact import Artifact
from asc_models.tflite.quiet import quiet, silenced
from data_prep.errors import ConfigError, DataError
from data_prep.wording import error_line

ONNX = "model.onnx"
OPSET = 17
"""Version of ONNX's operators: that of 2022, which all current runtimes know."""
SAME = 1e-4
"""Largest accepted difference of a probability from Keras'; both compute in float32."""
_NEEDED = ("tf2onnx", "onnx", "onnxruntime")


def require_converter() -> None:
    """Check that converter and runtime are installed.

    Raises:
        ConfigError: if one is not.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError(
            f"--to onnx: {', '.join(missing)}: not installed; install with: pip install 'asc-search[onnx]'"
        )


def onnx_export(system: OpenedSystem, recordings: Sequence[Path] = ()) -> ExportedFiles:
    """Return `model.onnx` of a candidate, with labels, its configuration and a README.

    Args:
        system: a candidate, opened from its folder.
        recordings: what to check with; synthesized clips if there are none.

    Raises:
        ConfigError: if the extra `onnx` is not installed.
        DataError: if `system` is an ensemble or has no `model.keras`, or a recording cannot be used.
        ExportError: if the network cannot be read or converted, or ONNX Runtime gives other answers.
    """
    require_converter()
    if system.manifest is not None:
        raise DataError(f"{system.path}: is an ensemble, and ONNX is written for one network. Export its members.")
    (folder,), (config,) = system.folders.values(), system.read_configs()
    if not (folder / KERAS).is_file():
        raise DataError(
            f"{system.path}: has no {KERAS}, the network before quantization. Give the candidate's folder, "
            "RUN/candidates/NAME; its zip and copies without the network cannot be exported to ONNX."
        )
    require_unchanged(folder, (KERAS,))
    features = check_clips(config, recordings)
    inputs = all_inputs(features)
    with silenced():  # what TensorFlow reports when it is imported
        network = _read_network(folder / KERAS, config)
        content = _converted(network, config)
        expected = np.asarray(network(inputs), np.float32)
    difference = float(np.abs(_answers(content, inputs) - expected).max())
    if not difference <= SAME:  # not true of NaN either
        raise ExportError(
            f"{system.path}: ONNX Runtime's probabilities differ from Keras' by {difference:.1e}, at most {SAME:.0e} "
            "is accepted. Use --to tflite, and report this with config.yaml."
        )
    from_file = float(np.abs(Artifact(folder / MODEL).predict(features) - expected).max())
    findings = (
        f"ONNX Runtime runs it: on {clips_in_words(features.n_clips, recordings)} its probabilities differ by at most "
        f"{difference:.1e} from Keras'. Those of {MODEL} ({config.mode}), on which the candidate's scores were "
        f"measured, differ by at most {from_file:.1e}.",
    )
    meanings = {
        ONNX: f"the network before quantization: ONNX, opset {OPSET}, input `log_mel`, output `probabilities`",
        CONFIG: "features, their scaling, classes and training",
        LABELS: "the scenes in the order of the output",
    }
    sections = [
        input_section([config], [title_of(system)]),
        "The first dimension is free: several clips can be classified at once.",
        output_section(config),
        "\n".join(["## Check", "", *findings]),
    ]
    files = {ONNX: content, CONFIG: (folder / CONFIG).read_bytes(), LABELS: labels(config.classes)}
    files[README] = readme(title_of(system), "Classifies acoustic scenes.", meanings, sections)
    return ExportedFiles(files, findings)


def _read_network(path: Path, config: CandidateConfig) -> Any:
    """Return the classifier of whole clips with the weights in `path`; nothing else of that file is used."""
    from asc_models.training.builder import build
    from asc_models.training.voting import answering

    model = build(config.model, config.reader.network_shape(config.features), len(config.classes))
    try:
        model.load_weights(path)
    except Exception as error:  # Keras, h5py and zipfile raise what they like for a damaged file
        raise ExportError(f"{path}: its weights are not those of {CONFIG}: {error_line(error)}") from error
    return answering(model, config.reader.windows(config.features))


def _converted(network: Any, config: CandidateConfig) -> bytes:
    import tensorflow as tf
    import tf2onnx

    from asc_models.training.frozen import frozen
    from asc_models.training.tracing import traced

    run = frozen(network)
    signature = [tf.TensorSpec((None, *config.reader.input_shape(config.features)), tf.float32, name="log_mel")]
    function = traced(lambda log_mel: {"probabilities": run(log_mel)}, input_signature=signature)
    try:
        with quiet():
            proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    except Exception as error:  # the converter has no exception class of its own
        raise ExportError(f"the ONNX converter refused the network: {error_line(error)}") from error
    content: bytes = proto.SerializeToString()
    return content


def _answers(content: bytes, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the probabilities (n_clips, n_scenes) that ONNX Runtime computes on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        (found,) = session.run(["probabilities"], {"log_mel": inputs})
    except Exception as error:  # its exceptions have no common class
        raise ExportError(f"ONNX Runtime refuses the converted network: {error_line(error)}") from error
    return np.asarray(found, np.float32)
