import numpy as np
import pytest
from asc_models_support import SMALL_MODEL, with_random_weights
from damage_support import memory_bomb

from asc_models.errors import ExportError
from asc_models.tflite.bench import bench
from asc_models.tflite.export import export
from asc_models.tflite.quantization.probe import probe
from asc_models.training.builder import build

pytestmark = pytest.mark.system


def test_bench_measures_a_file(tmp_path):
    """Time and memory come from a process of its own: a clip takes some time, the model memory on top of Python's."""
    export(with_random_weights(build(SMALL_MODEL, (128, 96, 1), 3)), (128, 96, 1), tmp_path / "m.tflite", "float32")
    cost = bench(tmp_path / "m.tflite", 20)
    assert cost.n_clips == 20
    assert 0 < cost.median_ms <= cost.p95_ms
    assert 0 < cost.idle_rss_bytes < cost.peak_rss_bytes


def test_what_cannot_be_run_is_told(tmp_path):
    """A file that is no model is an error with its path and the interpreter's reason."""
    (tmp_path / "m.tflite").write_bytes(b"no model at all")
    with pytest.raises(ExportError, match=r"m.tflite: cannot be run: .+"):
        bench(tmp_path / "m.tflite")


def test_a_file_that_asks_for_too_much_memory_is_refused(tmp_path):
    """324 bytes that would take 51 GB: one sentence, and the machine's memory is left alone."""
    (tmp_path / "m.tflite").write_bytes(memory_bomb())
    with pytest.raises(ExportError, match=r"m.tflite: cannot be run: \w+ without a message"):
        bench(tmp_path / "m.tflite")


def test_foreign_files_in_the_working_directory_are_not_imported(tmp_path, monkeypatch):
    """Neither the process that times a file nor the one that tries it imports an `asc_models.py` of the user's."""
    (tmp_path / "asc_models.py").write_text("raise SystemExit('the wrong file')")
    (tmp_path / "m.tflite").write_bytes(b"no model at all")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError) as refused:
        bench(tmp_path / "m.tflite")
    said = [str(refused.value), probe(tmp_path / "m.tflite", np.zeros((1, 1, 1, 1), np.float32), "xnnpack")]
    assert ["model" in text.lower() and "the wrong file" not in text for text in said] == [True, True], said
