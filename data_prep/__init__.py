"""Audio on disk → Parquet feature shards → network input. Independent of models."""

import lazy_loader

from data_prep.home import provide_caches

__version__ = "0.1.0"

provide_caches()  # before any library is imported that reads the environment

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
