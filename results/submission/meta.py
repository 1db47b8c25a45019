"""The metadata of one system, `<LABEL>.meta.yaml`, in the challenge's format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asc_models.config import INT4_MODE, TrainConfig
from asc_models.networks.families import FAMILIES
from asc_models.tflite.measure import count_weights
from data_prep.augment.registry import SWITCHES, WHOLE_CLIPS
from data_prep.copies.waveforms import COPIES
from results.candidates.candidates import Candidate
from results.config import AuthorConfig, ExternalDataset, SubmissionConfig

if TYPE_CHECKING:
    from results.submission.systems import System

_WEIGHTS = {
    "float32": "weights in 32-bit floats",
    "float16": "weights in 16-bit floats",
    "dynamic_range": "weights in 8-bit integers, small layers and biases in 32-bit floats",
    "int8_weights": "weights in 8-bit integers, biases in 32-bit floats",
    "int8": "weights and activations in 8-bit integers, biases in 32 bits",
    "int4_int8_weights": "weights in 4-bit integers, small and depthwise layers in 8-bit ones, biases in 32-bit floats",
}
_MIXED_WEIGHTS = "weights in 8-bit integers, in the least sensitive layers 4-bit ones, biases in 32-bit floats"
"""Of `int4_int8_weights` with limits in bytes."""
_SWITCHES = sorted((knob for knob in TrainConfig.model_fields if knob in SWITCHES), key=WHOLE_CLIPS.__contains__)
"""In the order of the fields of TrainConfig, except that those that change the length of clips come last: not every
network of an ensemble is trained with them."""


def system_meta(
    label: str, number: int, system: System, config: SubmissionConfig, run_config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all fields of the challenge's meta file in its order; accuracies in percent, `model_size` in kB.

    Args:
        label: `Lastname_Institute_task1a_<number>`.
        number: 1 to 4.
        system: the candidate or ensemble.
        config: authors and descriptive fields.
        run_config: resolved configuration of the run. Together with the members' configurations it provides the values
            of the fields that are null in `config`.
    """
    return {
        "submission": {
            "label": label,
            "name": f"{config.name or _name(system)} ({system.name})",
            "abbreviation": _abbreviation(config.abbreviation, number),
            "authors": [_author(author) for author in config.authors],
        },
        "system": {
            "description": _description(system, config, run_config),
            "complexity": _complexity(system),
            "external_datasets": [_external(dataset) for dataset in config.external_datasets],
            "source_code": config.source_code,
        },
        "results": {"development_dataset": _development(system.development)},
    }


def _was_searched(system: System) -> bool:
    """Return whether any member was proposed by a search rather than given by name."""
    return any(member.metrics.trial_id is not None for member in system.members)


def _name(system: System) -> str:
    return "Lightweight network found by search" if _was_searched(system) else "Lightweight network"


def _abbreviation(text: str, number: int) -> str:
    return f"{text}_{number}" if len(text) <= 8 else text


def _author(author: AuthorConfig) -> dict[str, Any]:
    fields = author.model_dump()
    return {key: fields[key] for key in ("lastname", "firstname", "email", "corresponding", "affiliation")}


def _external(dataset: ExternalDataset) -> dict[str, Any]:
    return {"name": dataset.name, "url": dataset.url, "total_audio_length": dataset.total_audio_length_minutes}


def _inputs(reader: Mapping[str, Any]) -> str:
    """Return the features that a network is given."""
    parts = ["log-mel energies", *("delta", "delta-delta")[: reader.get("deltas", 0)]]
    return ", ".join([*parts, "band position"] if reader.get("frequency_channel") else parts)


def _description(system: System, config: SubmissionConfig, run_config: Mapping[str, Any]) -> dict[str, Any]:
    features = (run_config.get("prepare") or {}).get("features") or {}
    rate = features.get("sample_rate")
    recipes = [member.files.read_config() for member in system.members]
    inputs = {_inputs(recipe.get("reader") or run_config.get("reader") or {}) for recipe in recipes}
    parts = ["architecture search under the size limit"] if _was_searched(system) else []
    parts += sorted(
        {
            _MIXED_WEIGHTS if recipe.get("int4_limits") else _WEIGHTS.get(member.metrics.mode, member.metrics.mode)
            for member, recipe in zip(system.members, recipes, strict=True)
        }
    )
    if any((recipe.get("train") or {}).get("sparsity") for recipe in recipes):
        parts.append("pruning")
    if any(recipe.get("mode") == INT4_MODE and (recipe.get("train") or {}).get("int4_share") for recipe in recipes):
        parts.append("quantization-aware training")
    if any(recipe.get("distillation") for recipe in recipes):
        parts.append("knowledge distillation")
    votes = {vote for recipe in recipes if (vote := _vote(recipe))}
    combined = [*sorted(votes)]
    if devices := sorted({device for recipe in recipes for device in recipe.get("devices") or ()}):
        combined.append(f"a fine-tuned network each for clips of device {', '.join(devices)}")
    if system.ensemble is not None:
        combined.append("weighted average of probabilities")
    if system.temperature != 1.0:
        combined.append("temperature scaling")
    decision = ", ".join(combined) or None
    return {
        "input_sampling_rate": config.input_sampling_rate or (f"{rate / 1000:g}kHz" if rate else None),
        "acoustic_features": config.acoustic_features or "; ".join(sorted(inputs)),
        "embeddings": config.embeddings,
        "data_augmentation": config.data_augmentation or _augmentation(recipes, run_config),
        "machine_learning_method": config.machine_learning_method,
        "ensemble_method_subsystem_count": len(system.members) if system.ensemble is not None else None,
        "decision_making": (config.decision_making or decision) if decision is not None else None,
        "complexity_management": config.complexity_management or ", ".join(parts),
        "external_data_usage": config.external_data_usage,
    }


def _augmentation(recipes: Sequence[Mapping[str, Any]], run_config: Mapping[str, Any]) -> str | None:
    """Return the augmentations used in the members' training and in the training copies, None if there are none."""
    names = [name for recipe in recipes for name in _while_training(recipe)]
    names += [COPIES[kind].switches[kind] for kind in (run_config.get("prepare") or {}).get("augmentations") or ()]
    return ", ".join(dict.fromkeys(names)) or None


def _while_training(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Yield the augmentations that one candidate was trained with."""
    train = recipe.get("train") or {}
    family = FAMILIES.get((recipe.get("model") or {}).get("family", ""))
    has_windows = _window_seconds(recipe) is not None
    if has_windows or (family is not None and not family.takes_any_length):
        train = {**train, **WHOLE_CLIPS}
    for knob in _SWITCHES:
        entry = SWITCHES[knob]
        if train.get(knob, entry.off) != entry.off:
            yield entry.switches[knob]
    if has_windows:
        yield SWITCHES["crop_fraction"].switches["crop_fraction"]


def _window_seconds(recipe: Mapping[str, Any]) -> float | None:
    seconds: float | None = (recipe.get("reader") or {}).get("window_seconds")
    return seconds


def _vote(recipe: Mapping[str, Any]) -> str:
    """Return how a candidate combines windows into the probabilities of a clip; "" if it processes whole clips."""
    seconds = _window_seconds(recipe)
    if seconds is None:
        return ""
    return f"average of the probabilities of {recipe['reader']['n_windows']} windows of {seconds:g} s"


def _complexity(system: System) -> dict[str, Any]:
    counts = [_counts(member) for member in system.members]
    return {
        "total_parameters": sum(n for n, _ in counts),
        "total_parameters_non_zero": sum(n_nonzero for _, n_nonzero in counts),
        "model_size": sum(metrics.nonzero_weight_bytes for metrics in system.metrics) / 1000,
    }


def _counts(member: Candidate) -> tuple[int, int]:
    """Return the numbers of parameters and of nonzero parameters of the exported file.

    They differ from those of the network because the export folds batch normalization into the kernels.
    """
    files = (member.files, *map(member.files.device, member.metrics.devices))
    counts = [count_weights(one.tflite_path) for one in files if one.tflite_path.is_file()]
    # Without the file, use the network's count for both; it is an upper bound. One network answers a clip: the largest.
    return max(counts, key=lambda count: count[1], default=(member.metrics.n_params, member.metrics.n_params))


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
