"""The public names, each imported when it is first used; the code is in __init__.py."""

from .check.check import check_data as check_data
from .config import FeatureSpec as FeatureSpec
from .config import PrepareConfig as PrepareConfig
from .config import ReaderSpec as ReaderSpec
from .corpora.read import read_corpus as read_corpus
from .features.log_mel import LogMel as LogMel
from .prepare.prepare import prepare_shards as prepare_shards
from .reader.reader import FeatureSet as FeatureSet
from .reader.reader import extract_files as extract_files
from .reader.reader import read_split as read_split
from .shards.manifest import read_manifest as read_manifest
from .synth.corpus import synthesize as synthesize

__version__: str
