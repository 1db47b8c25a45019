"""The operations of a network, layer by layer; descriptions with equal traces define the same network.

Different descriptions may define the same layers: a reduction ratio has no effect without attention, and blocks may be
written as stages. For networks that differ, the traces give a distance.
"""

from __future__ import annotations

import math
from typing import Any

from asc_models.networks.network import NetworkConfig, stride_pair
from asc_models.networks.topology import Counter, Shape, attention_units

Trace = dict[str, tuple[Any, ...]]
"""{operation and layer name: (input shape, settings)}, in the network's order."""

NAMELESS = ("n_channels", "keep", "flatten")
"""Operations that are not recorded, since they follow from the other layers."""


class _Tracer:
    """`Network` on shapes that records the operations called."""

    def __init__(self, input_shape: Shape) -> None:
        self._counter = Counter(input_shape)
        self.trace: Trace = {}

    def __getattr__(self, operation: str) -> Any:
        apply = getattr(self._counter, operation)
        if operation in NAMELESS:
            return apply

        def traced(x: Shape, *settings: Any, **named: Any) -> Any:
            """Apply the operation and record it under its layer's name."""
            words = [value for value in settings if isinstance(value, str)]
            name = f"{operation} {words[0]}" if words else operation
            plain = [value for value in settings if value not in words[:1] and not callable(value)]
            plain += [stride_pair(value) if key == "stride" else value for key, value in sorted(named.items())]
            if operation in ("channel_attention", "squeeze_excite"):
                plain = [attention_units(x[2], plain[0])]
            self.trace[name] = (x, *plain)
            return apply(x, *settings, **named)

        return traced


def trace(config: NetworkConfig, input_shape: Shape, n_classes: int) -> Trace:
    """Return the operations of `config` on an input of `input_shape`.

    Raises:
        SizeError: if the input is too small for the network's strides or poolings.
    """
    tracer = _Tracer(input_shape)
    config.assemble(tracer, input_shape, n_classes)
    return tracer.trace


def distance(first: Trace, second: Trace) -> float:
    """Return the distance of two networks; 0 if they are the same.

    Layers are matched by name. A layer in only one network counts 1. In a matched layer every setting counts: numbers
    by |log₂| of their ratio, at most 1; other settings 1 if they differ.
    """
    names = first.keys() | second.keys()
    return sum(_apart(first[name], second[name]) if name in first and name in second else 1.0 for name in sorted(names))


def _apart(first: Any, second: Any) -> float:
    if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
        return sum(map(_apart, first, second))
    numeric = all(isinstance(value, (int, float)) and value > 0 for value in (first, second))
    return min(1.0, abs(math.log2(first / second))) if numeric else float(first != second)
