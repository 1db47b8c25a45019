from __future__ import annotations

import os
from pathlib import Path

import pytest
from search_support import seal_test_split, write_shards


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def sealed_shards(shards, tmp_path_factory) -> Path:
    """The same data, but whoever reads a test clip gets an error."""
    return seal_test_split(shards, tmp_path_factory.mktemp("sealed") / "shards")


@pytest.fixture(scope="session")
def ray_here():
    """One Ray for all tests that need actors: starting it is what takes long."""
    from search.cluster.session import ray_session

    path = os.environ.get("PYTHONPATH")
    # Its workers find search_support by it. The checkout comes first: folders of tests have the names of packages.
    folders = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *([path] if path else [])])
    with ray_session(None, 2):
        yield
