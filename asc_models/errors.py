"""Expected failures of the model stage."""

from data_prep.errors import AscError


class SizeError(AscError):
    """A network cannot be built for an input, or a file does not have the expected size."""


class ExportError(AscError):
    """A model cannot be exported, or an exported file cannot be run."""


class TrainingError(AscError):
    """A training has diverged or cannot continue."""
