"""The public names, each imported when it is first used; the code is in __init__.py."""

from .classifier import Classifier as Classifier
from .config import TrainConfig as TrainConfig
from .networks.estimate import estimate as estimate
from .networks.presets import preset as preset
from .rules import RulesConfig as RulesConfig
from .tflite.artifact import Artifact as Artifact
from .tflite.export import export as export
from .tflite.measure import measure as measure
from .training.builder import build as build
from .training.fit import fit as fit
from .training.trainer import Trainer as Trainer
