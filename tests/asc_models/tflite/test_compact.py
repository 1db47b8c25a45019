"""Files with what interpreters read, and nothing else: the same answers in fewer bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, feature_set, with_random_weights

from asc_models.tflite.artifact import Artifact
from asc_models.tflite.compact import DATA_ALIGNMENT, compact
from asc_models.tflite.flatbuffer import TfliteFile, buffer_views
from asc_models.tflite.measure import measure
from asc_models.tflite.quantization.probe import require_running
from asc_models.training.builder import build

pytestmark = pytest.mark.system

CLIPS = feature_set(6, deltas=2)


@pytest.fixture(scope="module")
def written() -> dict[str, bytes]:
    """{mode: file as the converter or the quantizer writes it}."""
    from asc_models.tflite.export import convert
    from asc_models.tflite.quantization.quantize import quantize

    model = with_random_weights(build(SMALL_MODEL, CLIPS.input_shape, 3))
    floats = convert(model, CLIPS.input_shape)
    return {"float32": floats, **{mode: quantize(floats, mode, CLIPS) for mode in ("int8_weights", "int8")}}


@pytest.mark.parametrize("mode", ["float32", "int8_weights", "int8"])
def test_a_compact_file_answers_the_same_from_the_same_weights(written, mode: str, tmp_path: Path):
    """Bit for bit, with XNNPACK and without; weights count the same, scales too; what is left out is gone."""
    before, after = tmp_path / "before.tflite", tmp_path / "after.tflite"
    before.write_bytes(written[mode])
    after.write_bytes(compact(written[mode]))
    np.testing.assert_array_equal(Artifact(after).predict(CLIPS), Artifact(before).predict(CLIPS))
    require_running(after, CLIPS.inputs(slice(0, 2)))
    old, new = measure(before).quantities(), measure(after).quantities()
    assert old.pop("file_bytes") > 1.15 * new.pop("file_bytes")
    assert old == new
    assert compact(after.read_bytes()) == after.read_bytes()


def test_users_find_inputs_outputs_and_signature_by_name(written):
    """The names of the graph's ends and its signature are those of the converter's file."""
    before, after = (TfliteFile(content, "file") for content in (written["int8"], compact(written["int8"])))
    for old, new in zip(before.model.subgraphs, after.model.subgraphs, strict=True):
        ends = {*old.inputs, *old.outputs}
        assert [tensor.name for tensor in new.tensors] == [
            tensor.name if number in ends else None for number, tensor in enumerate(old.tensors)
        ]
    assert [one.signatureKey for one in after.model.signatureDefs] == [
        one.signatureKey for one in before.model.signatureDefs
    ]
    assert after.model.metadata is None


def test_constants_are_aligned(written):
    """Every constant begins at a multiple of 16 bytes, which some devices need to read it in place."""
    content = bytearray(compact(written["int8_weights"]))
    first = np.frombuffer(content, np.uint8).ctypes.data
    starts = [view.ctypes.data - first for view in buffer_views(content) if view.size > 1]
    assert len(starts) > 10
    assert not [start for start in starts if start % DATA_ALIGNMENT]
