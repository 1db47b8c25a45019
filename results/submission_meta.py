"""The description of one system, `<LABEL>.meta.yaml`, in the challenge's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from results.config import AuthorConfig, SubmissionConfig

if TYPE_CHECKING:
    from results.submission import System

_WEIGHTS = {
    "float32": "weights in 32-bit floats",
    "float16": "weights in 16-bit floats",
    "dynamic_range": "weights in 8-bit integers, small layers and biases in 32-bit floats",
    "int8_weights": "weights in 8-bit integers, biases in 32-bit floats",
    "int8": "weights and activations in 8-bit integers, biases in 32 bits",
    "int4_int8_weights": "weights in 4-bit integers, small and depthwise layers in 8-bit ones, biases in 32-bit floats",
}
_SWITCHES = {
    "mixup_alpha": "mixup",
    "time_roll": "time rolling",
    "frequency_mask": "frequency masking",
    "time_mask": "time masking",
    "freq_mixstyle_p": "Freq-MixStyle",
}
"""Training settings that are an augmentation where they are not zero."""


def system_meta(
    label: str, number: int, system: System, config: SubmissionConfig, run_config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return every field of the challenge's meta file, in its order; accuracies in percent, `model_size` in kB.

    Args:
        label: `Lastname_Institute_task1a_<number>`.
        number: 1 to 4.
        system: the candidate or ensemble.
        config: who submits.
        run_config: the run's resolved configuration; fills what `config` leaves null.
    """
    return {
        "submission": {
            "label": label,
            "name": f"{config.name} ({system.name})",
            "abbreviation": _abbreviation(config.abbreviation, number),
            "authors": [_author(author) for author in config.authors],
        },
        "system": {
            "description": _description(system, config, run_config),
            "complexity": _complexity(system),
            "external_datasets": [dataset.model_dump() for dataset in config.external_datasets] or None,
            "source_code": config.source_code,
        },
        "results": {"development_dataset": _development(system.development)},
    }


def _abbreviation(text: str, number: int) -> str:
    return f"{text}_{number}" if len(text) <= 8 else text


def _author(author: AuthorConfig) -> dict[str, Any]:
    fields = author.model_dump()
    return {key: fields[key] for key in ("lastname", "firstname", "email", "corresponding", "affiliation")}


def _description(system: System, config: SubmissionConfig, run_config: Mapping[str, Any]) -> dict[str, Any]:
    features = (run_config.get("prepare") or {}).get("features") or {}
    deltas = (run_config.get("reader") or {}).get("deltas", 0)
    rate = features.get("sample_rate")
    acoustic = "log-mel energies" + ("", ", delta", ", delta, delta-delta")[deltas]
    parts = ["architecture search under the size limit"]
    parts += sorted({_WEIGHTS.get(member.metrics.mode, member.metrics.mode) for member in system.members})
    decision = None
    if system.ensemble is not None:
        decision = "weighted average of probabilities, then temperature scaling"
    return {
        "input_sampling_rate": config.input_sampling_rate or (f"{rate / 1000:g}kHz" if rate else None),
        "acoustic_features": config.acoustic_features or acoustic,
        "embeddings": config.embeddings,
        "data_augmentation": config.data_augmentation or _augmentation(run_config.get("train") or {}),
        "machine_learning_method": config.machine_learning_method,
        "ensemble_method_subsystem_count": len(system.members) if system.ensemble is not None else None,
        "decision_making": (config.decision_making or decision) if system.ensemble is not None else None,
        "complexity_management": config.complexity_management or ", ".join(parts),
        "external_data_usage": config.external_data_usage,
    }


def _augmentation(train: Mapping[str, Any]) -> str | None:
    names = [name for key, name in _SWITCHES.items() if train.get(key)]
    if train.get("crop_fraction", 1.0) < 1.0:
        names.append("random cropping")
    return ", ".join(names) or None


def _complexity(system: System) -> dict[str, Any]:
    metrics = [member.metrics for member in system.members]
    return {
        "total_parameters": sum(m.n_params for m in metrics),
        # Without a count of the exported file the number of all parameters stands: never too low.
        "total_parameters_non_zero": sum(m.n_params if m.n_nonzero is None else m.n_nonzero for m in metrics),
        "model_size": sum(m.nonzero_weight_bytes for m in metrics) / 1000,
    }


def _development(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    if not metrics:
        return None
    return {
        "overall": _pair(metrics),
        "class_wise": {scene: _pair(entry) for scene, entry in metrics["by_scene"].items()},
        "device_wise": {device: _pair(entry) for device, entry in metrics["by_device"].items()},
    }


def _pair(entry: Mapping[str, Any]) -> dict[str, float]:
    return {"logloss": round(entry["log_loss"], 4), "accuracy": round(100 * entry["macro_accuracy"], 2)}
