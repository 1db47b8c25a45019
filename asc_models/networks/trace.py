"""What a network does, layer by layer, whichever settings say so: equal traces are one network.

Two descriptions may differ and still mean the same layers: a reduction ratio where nothing has attention, blocks
written out against stages. And of two networks that differ, the traces tell how far they are apart.
"""

from __future__ import annotations

import math
from typing import Any

from asc_models.networks.network import NetworkConfig, stride_pair
from asc_models.networks.topology import Counter, Shape, attention_units

Trace = dict[str, tuple[Any, ...]]
"""{layer's name: its operation, then its settings}, in the network's order."""

NAMELESS = ("n_channels", "keep", "flatten")
"""Operations that leave no trace: they follow from the layers before and behind."""


class _Tracer:
    """`Network` on shapes that writes down what it is asked for."""

    def __init__(self, input_shape: Shape) -> None:
        self._counter = Counter(input_shape)
        self.trace: Trace = {}

    def __getattr__(self, operation: str) -> Any:
        apply = getattr(self._counter, operation)
        if operation in NAMELESS:
            return apply

        def traced(x: Shape, *settings: Any, **named: Any) -> Any:
            """Carry the operation out, and note it under its layer's name."""
            words = [value for value in settings if isinstance(value, str)]
            name = f"{operation} {words[0]}" if words else operation
            plain = [value for value in settings if value not in words[:1] and not callable(value)]
            plain += [stride_pair(value) if key == "stride" else value for key, value in sorted(named.items())]
            if operation == "channel_attention":
                plain = [attention_units(x[2], plain[0])]
            self.trace[name] = (x, *plain)
            return apply(x, *settings, **named)

        return traced


def trace(config: NetworkConfig, input_shape: Shape, n_classes: int) -> Trace:
    """Return what `config` does to an input of `input_shape`.

    Raises:
        SizeError: if the input is too small for the network's strides or poolings.
    """
    tracer = _Tracer(input_shape)
    config.assemble(tracer, input_shape, n_classes)
    return tracer.trace


def distance(first: Trace, second: Trace) -> float:
    """Return how far two networks are apart: 0 for one and the same.

    Layers count by name. One that only one of them has counts 1; of one that both have, every setting counts: numbers
    by the octaves between them, at most 1, others 1 where they differ.
    """
    names = first.keys() | second.keys()
    return sum(_apart(first[name], second[name]) if name in first and name in second else 1.0 for name in sorted(names))


def _apart(first: Any, second: Any) -> float:
    if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
        return sum(map(_apart, first, second))
    numeric = all(isinstance(value, (int, float)) and value > 0 for value in (first, second))
    return min(1.0, abs(math.log2(first / second))) if numeric else float(first != second)
