"""Expected failures: what a user can mend. The command line prints their text and exits with 1, without a traceback.

A message says the rule and the value with its unit, where (file, clip, key path), and the way out.
"""


class AscError(Exception):
    """Base of every failure that a user can mend."""


class ConfigError(AscError):
    """A configuration breaks a rule; the message lists every problem with its key path."""


class DataError(AscError):
    """A data set, clip or shard cannot be used as it is."""


class BudgetError(AscError):
    """Nothing that was asked for fits the size rules."""


class RunError(AscError):
    """A run directory cannot take the requested work."""
