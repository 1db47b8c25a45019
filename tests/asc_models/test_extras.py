"""What Keras is kept from importing, in processes that import it for the first time."""

import subprocess
import sys

import pytest
from process_support import ROOT

pytestmark = pytest.mark.system

STEP = """
import sys
import asc_models, keras
print(*sorted({"matplotlib", "sklearn"} & set(sys.modules)))
import matplotlib, sklearn.base
from keras.src.wrappers import sklearn_wrapper
print(sklearn_wrapper.sklearn)
"""


def test_keras_is_imported_without_its_extras_and_others_have_them():
    """Keras loads neither matplotlib nor scikit-learn, which whoever asks for them later still gets."""
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "\nNone\n"), done.stderr
