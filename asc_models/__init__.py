"""From the description of a network to a trained Keras model and a quantized file, with exact size and cost."""

import os

import lazy_loader

from asc_models.extras import keep_extras_from_keras

# TensorFlow and Keras read these when they are imported, which no module does before this one has run.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default below AVX-512 VNNI, where it triples the speed
os.environ["KERAS_BACKEND"] = "tensorflow"  # overrides the user's keras.json: the layers call TensorFlow
keep_extras_from_keras()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
