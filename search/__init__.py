"""The sweep, retraining, and the `asc` command that joins the stages: the only place that imports Ray and Optuna."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
