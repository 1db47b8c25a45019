from __future__ import annotations

import os
from pathlib import Path

import pytest
from search_support import write_shards


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def ray_here():
    """One Ray for all tests that need actors: starting it is what takes long."""
    from search.ray_session import ray_session

    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *([path] if path else [])])
    with ray_session(None, 2):  # its workers find search_support by PYTHONPATH
        yield
