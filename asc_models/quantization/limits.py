"""From which size on a kernel is quantized, by mode. The estimate and the recipes both go by these."""

INT4_MIN_VALUES = 4_096
"""Smallest kernel stored in int4. A small kernel has little to save and, early in the network, much to spoil: with all
kernels in int4 the report's systems lose up to six points of agreement on ESC-10, with this limit about one."""

DYNAMIC_RANGE_MIN_VALUES = 1_024
"""Smallest kernel that the converter's dynamic range quantizes."""
