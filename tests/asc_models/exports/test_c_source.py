"""The C source of a model: compiled, its array is the file."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from candidate_support import write_candidate
from ensemble_support import write_ensemble

from asc_models.ensemble import opened_system
from asc_models.exports.c_source import ALIGNMENT, c_export, c_string
from data_prep.files.folders import write_folder

pytestmark = pytest.mark.system

HOSTILE = ('a "quoted" \\ name', "*/ int x; /*", "what??/ now", "é\n\x00ü")
PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include "model.h"

int main(void) {
    size_t label;
    if ((size_t)asc_model % ALIGNMENT != 0 || asc_model_n_bytes != sizeof asc_model) return 1;
    fwrite(asc_model, 1, asc_model_n_bytes, stdout);
    for (label = 0; label < ASC_MODEL_N_LABELS; label++) fprintf(stderr, "%s|", asc_model_labels[label]);
    fprintf(stderr, "%d %d %d", ASC_MODEL_N_MELS, ASC_MODEL_N_FRAMES, ASC_MODEL_N_CHANNELS);
    return 0;
}
"""
COMPILERS = {
    "c99": ("cc", "-std=c99", "-x", "c"),
    "c11": ("cc", "-std=c11", "-x", "c"),
    "c++17": ("c++", "-std=c++17", "-x", "c++"),
}


@pytest.mark.parametrize("language", COMPILERS)
def test_the_compiled_array_is_the_file(language, tmp_path):
    """Aligned, of the stated length, byte for byte, with labels of any text and the shapes, without a warning."""
    compiler, *options = COMPILERS[language]
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no compiler {compiler}")
    candidate = write_candidate(tmp_path / "t0000-s0", "int8_weights", classes=HOSTILE)
    with opened_system(candidate) as system:
        exported = c_export(system)
    write_folder(tmp_path / "out", exported.files)
    (tmp_path / "out" / "main.c").write_text(PROGRAM)
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wtrigraphs", "-pedantic")
    command = [compiler, *options, *warnings, f"-DALIGNMENT={ALIGNMENT}", "model.c", "main.c", "-o", "program"]
    subprocess.run(command, cwd=tmp_path / "out", check=True)
    done = subprocess.run([tmp_path / "out" / "program"], capture_output=True, check=True)
    assert done.stdout == exported.files["model.tflite"] == (tmp_path / "out/model.tflite").read_bytes()
    *labels, shapes = done.stderr.decode().split("|")
    assert labels == [*HOSTILE[:3], "é\n"]  # a C string ends at its first zero
    assert shapes == "16 28 2"


def test_any_text_is_a_c_string():
    """Quotes, backslashes and what C reads in them are escapes of three digits, which no digit after them extends."""
    assert c_string("park") == '"park"'
    assert c_string('"\\?') == r'"\042\134\077"'
    assert c_string("\n1é") == r'"\0121\303\251"'


def test_an_ensemble_has_a_source_per_member(tmp_path):
    """Their names differ, so that they can be linked together; the README states the weights and the temperature."""
    with opened_system(write_ensemble(tmp_path)) as system:
        files = c_export(system).files
    assert "extern const uint8_t asc_model1[" in files["members/a/model.h"].decode()
    assert "extern const uint8_t asc_model2[" in files["members/b/model.h"].decode()
    readme = files["README.md"].decode()
    assert "| a | 0.75 |\n| b | 0.25 |" in readme
    assert "to the power 1/1.5" in readme
    assert "tflite::GetModel(asc_model1);" in readme


def test_the_check_is_in_what_is_written(tmp_path):
    """Where the interpreter is installed, README and header have its outcome; else the user is told how to get it."""
    with opened_system(write_candidate(tmp_path / "t0000-s0", "int8_weights")) as system:
        exported = c_export(system)
    readme, header = exported.files["README.md"].decode(), exported.files["model.h"].decode()
    try:
        import tflite_micro  # noqa: F401
    except ImportError:
        assert exported.warnings == (
            "Not run in the interpreter for microcontrollers, which is not installed: pip install 'asc-search[micro]'",
        )
        assert "ARENA_BYTES" not in header
    else:
        assert exported.warnings == ()
        assert "the scene is the same on 10 of 10" in exported.findings[1]
        assert "the scene is the same on 10 of 10" in readme
        assert "#define ASC_MODEL_ARENA_BYTES " in header
