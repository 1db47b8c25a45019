"""A description of a network → a Keras model → a quantized file, its exact size and cost. Knows nothing of Ray."""

import os

import lazy_loader

# Both are read when TensorFlow and Keras are imported, which no module does before this one has run.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default below AVX-512 VNNI, where it triples the speed
os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user's other projects run on: layers here call TensorFlow

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
