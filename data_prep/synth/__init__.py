"""The synthetic data set: ten scenes recorded by nine devices, in the layout of TAU Urban Acoustic Scenes 2020.

Spectra of locations, cues of moments and responses of devices have separate random streams, which depend only on the
seed and on names. The bytes of a clip therefore don't depend on which other clips are synthesized, or on their order.
"""

from data_prep.synth.corpus import synthesize

__all__ = ["synthesize"]
