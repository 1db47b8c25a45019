"""Graphs of TensorFlow functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def traced(function: Callable[..., Any], **options: Any) -> Any:
    """Return `tf.function` of what has no Python control flow on tensors.

    Autograph, which would rewrite such control flow, writes a module per function to the temporary folder. There it
    stays where a process is ended by force, as Ray ends trials.
    """
    return tf.function(function, autograph=False, **options)
