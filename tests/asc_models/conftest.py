"""Sets what TensorFlow and Keras read from the environment before a test module imports them."""

import asc_models  # noqa: F401
