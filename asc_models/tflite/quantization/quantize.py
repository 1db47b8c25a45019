"""A float32 file quantized in one of the quantizer's modes."""

from __future__ import annotations

from collections.abc import Mapping

from asc_models.config import CALIBRATED_MODES, ExportMode
from asc_models.errors import ExportError
from asc_models.rules import Quantity
from asc_models.tflite.quantization.correction import with_corrected_bias
from asc_models.tflite.quantization.mixed import mixed_within
from asc_models.tflite.quantization.recipes import apply, int8_weights, mixed_weights
from asc_models.tflite.quantization.static import static_recipe
from data_prep.reader.reader import FeatureSet


def quantize(
    content: bytes,
    mode: ExportMode,
    calibration: FeatureSet | None = None,
    int4_limits: Mapping[Quantity, int] | None = None,
) -> bytes:
    """Return a float32 TFLite file quantized in one of the quantizer's modes.

    Args:
        content: the float32 file.
        mode: `int8_weights`, `int4_int8_weights` or `int8`.
        calibration: clips of the training split, for modes that need them (asc_models.config.CALIBRATED_MODES).
        int4_limits: in `int4_int8_weights`, limits within which large kernels are int8
            (asc_models.tflite.quantization.mixed); without any, all of them are int4.

    Raises:
        ExportError: if the quantizer fails, `mode` needs calibration clips and none are given, or the file is over
            `int4_limits` with all large kernels in int4.
    """
    if mode == "int8_weights":
        return apply(content, int8_weights())
    if mode not in CALIBRATED_MODES:
        raise ValueError(f"the quantizer makes int8_weights and {', '.join(CALIBRATED_MODES)}, not {mode}")
    if calibration is None:
        raise ExportError(f"export as {mode} needs calibration clips: training clips, drawn by draw_calibration")
    if mode == "int4_int8_weights":
        if int4_limits:
            return mixed_within(content, calibration, int4_limits)
        return with_corrected_bias(content, calibration, lambda floats: apply(floats, mixed_weights(floats)))
    recipe, ranges = static_recipe(content, calibration)
    # The quantizer modifies the ranges passed to it.
    return with_corrected_bias(
        content, calibration, lambda floats: apply(floats, recipe, {name: dict(ends) for name, ends in ranges.items()})
    )
