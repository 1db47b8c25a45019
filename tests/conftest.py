"""The three tiers of the tests, and how they are spread over processes.

A test without a mark is of the unit tier: it loads no framework and starts no process, which a guard checks while it
runs. `system` marks what does, and what takes seconds; `full` marks what takes minutes. A module that is marked as a
whole is not even imported by `pytest -m unit`.
"""

from __future__ import annotations

import functools
import multiprocessing.process
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from s3_support import empty_bucket, s3_server

settings.register_profile("tests", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("tests")  # the same examples on every run, and no clock

for _threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has one processor, so has what it starts
        os.environ.setdefault(_threads, "1")

FRAMEWORKS = {"tensorflow", "keras", "ray"}
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
FONT_LIST = "fc-list"  # Matplotlib calls it where it has no cache of the machine's fonts yet
MARKED_MODULE = re.compile(r"^pytestmark = .*pytest\.mark\.(system|full)\b", re.MULTILINE)
HERE = Path(__file__).parent
SHARED = {"ray_here": "ray", "whole: RunDirectory": "report"}
"""Fixtures of several modules that take long to make, as they stand in a test: the group of these modules."""
LONGEST = (
    *("tests/search/cli/test_run.py", "ray", "report", "tests/search/test_examples.py"),
    *("tests/asc_models/training/test_trainer.py", "tests/asc_models/tflite/test_size.py"),
)


class Guard:
    """Fails a unit test that imports a framework or starts a process."""

    def __init__(self) -> None:
        self.is_active = False

    @contextmanager
    def on(self, wanted: bool) -> Iterator[None]:
        """Look, where wanted, until the block ends."""
        self.is_active = wanted
        try:
            yield
        finally:
            self.is_active = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Look at an audit event of the interpreter."""
        if not self.is_active or threading.current_thread() is not threading.main_thread():
            return  # other threads may be Ray's, of tests before
        if event == "import" and str(arguments[0]).partition(".")[0] in FRAMEWORKS:
            self.refuse(f"imports {arguments[0]}")
        if event in STARTS and arguments[:1] != (FONT_LIST,):
            self.refuse(f"starts a process ({event}: {arguments[:1]})")

    def refuse(self, what: str) -> None:
        self.is_active = False  # the traceback may itself import
        pytest.fail(f"a unit test {what}: mark it with pytest.mark.system")

    def start(self, process: multiprocessing.process.BaseProcess) -> None:
        """Look at a process that multiprocessing starts, of which there is no audit event."""
        if self.is_active:
            self.refuse(f"starts a process ({process.name})")
        _start(process)


GUARD = Guard()
sys.addaudithook(GUARD)
_start = multiprocessing.process.BaseProcess.start
multiprocessing.process.BaseProcess.start = lambda self: GUARD.start(self)  # type: ignore[method-assign]


def is_unit(item: pytest.Item) -> bool:
    return not any(item.get_closest_marker(name) for name in ("system", "full"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave modules that are marked as a whole out of the unit tier, so that it doesn't import them."""
    if config.getoption("markexpr") == "unit" and collection_path.suffix == ".py":
        return True if MARKED_MODULE.search(collection_path.read_text(encoding="utf-8")) else None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Guard the modules of unit tests, where there are no others."""
    with GUARD.on(collector.config.getoption("markexpr") == "unit"):
        return (yield)


@functools.cache
def group_of(module: str) -> str:
    """Return what a module, named from the checkout's root, shares its process with: a group of `SHARED`, or itself."""
    path = HERE.parent / module
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return next((group for fixture, group in SHARED.items() if fixture in text), module)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the unit tier."""
    if is_unit(item):
        item.add_marker("unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left with it when the others are done."""
    groups = {item: group_of(item.nodeid.partition("::")[0]) for item in items}
    ranks = dict.fromkeys((groups[item] for item in items if not is_unit(item)), len(LONGEST))
    ranks |= {group: rank for rank, group in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(groups[item], len(LONGEST) + 1))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a module's tests, whose fixtures are costly, in one process, and a group of `SHARED` likewise.

    Marks of xdist's own for that (`--dist loadgroup`) have no effect with pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid.partition("::")[0])

    return Grouped(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Guard a unit test's fixtures."""
    with GUARD.on(is_unit(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Guard a unit test; what comes behind it may be the end of a fixture that others needed."""
    with GUARD.on(is_unit(item)):
        return (yield)


@pytest.fixture(scope="session")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3-compatible server of this machine: one for all modules, as it takes seconds to start."""
    pytest.importorskip("moto", reason="the S3 server of the tests needs moto[server]")
    with s3_server(tmp_path_factory.mktemp("moto")) as address:
        yield address


@pytest.fixture(scope="module")
def s3(s3_address: str) -> Iterator[str]:
    """The address of the server, with one empty bucket, `sets`, for the time of this module."""
    with empty_bucket(s3_address):
        yield s3_address
