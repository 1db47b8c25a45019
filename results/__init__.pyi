"""Public names, imported on first use by __init__.py."""

from .pareto import pareto_front as pareto_front
from .run import Run as Run
from .run import open_run as open_run
from .score import score_submission as score_submission
from .submission.validate import validate_submission as validate_submission
