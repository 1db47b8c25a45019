"""Errors that a user can fix. The command line prints their message without a traceback and exits with 1.

A message gives the rule and the value with its unit, the location (file, clip, key path), and the way out.
"""


class AscError(Exception):
    """Base class of all errors that a user can fix."""


class ConfigError(AscError):
    """A configuration breaks a rule; the message lists every problem with its key path."""


class DataError(AscError):
    """A data set, clip or shard cannot be used as it is."""


class BudgetError(AscError):
    """Nothing that was requested fits the size rules."""


class RunError(AscError):
    """A run directory can't be used for the requested work."""
