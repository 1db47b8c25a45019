"""The embedded corpus: ten synthesized scenes heard by nine devices, in the layout of TAU Urban Acoustic Scenes 2020.

A location's colour, a moment's cues and a device's response come from random streams of their own, each keyed by the
seed and by names alone: a clip keeps its bytes whatever else is synthesized beside it, and in whatever order.
"""

from data_prep.synth.corpus import synthesize

__all__ = ["synthesize"]
