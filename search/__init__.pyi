"""The public names, each imported when it is first used; the code is in __init__.py."""

from .api import read_config as read_config
from .api import run as run
from .api import search as search
from .api import survey as survey
from .space.config import SpaceConfig as SpaceConfig
from .space.space import Space as Space
