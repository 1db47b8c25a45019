"""A Ray cluster of several nodes on this machine, as `ray start` makes it, with token authentication."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from process_support import descendants

TOKEN = "0123456789abcdef0123456789abcdef"
RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LocalCluster:
    """A head and further nodes, each with ports and a folder of its own; ended with the block."""

    def __init__(self, **environment: str) -> None:
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
            **environment,
        }
        self.environment.pop("RAY_ADDRESS", None)
        self.port, self.dashboard_port = free_port(), free_port()
        self.nodes: list[subprocess.Popen[str]] = []
        self.folders: list[Path] = []

    @property
    def address(self) -> str:
        """Where drivers and nodes find the cluster."""
        return f"127.0.0.1:{self.port}"

    @property
    def jobs_address(self) -> str:
        """Where jobs are submitted."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    def __enter__(self) -> LocalCluster:
        try:
            self.add_node()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            self.kill(node)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def add_node(self, n_cpus: int = 1) -> subprocess.Popen[str]:
        """Start the head, or where there is one a further node, and wait until it is there.

        Ray gives a node 30 seconds to start, which a busy machine may miss.
        """
        for left in reversed(range(4)):
            try:
                return self._add_node(n_cpus)
            except RuntimeError as error:
                if not left or "timed out" not in str(error):
                    raise
                self.kill(self.nodes.pop())
        raise AssertionError

    def _add_node(self, n_cpus: int, timeout_s: float = 300) -> subprocess.Popen[str]:
        folder = Path(tempfile.mkdtemp(prefix="ascr-", dir="/tmp"))  # sockets take no long path
        self.folders.append(folder)
        first_port = 20000 + 400 * len(self.nodes) + 2000 * (os.getpid() % 8)
        where = ["--head", "--port", str(self.port), "--dashboard-port", str(self.dashboard_port)]
        if self.nodes:
            where = ["--address", self.address]
        ports = {
            "dashboard-agent-listen": free_port(),
            "dashboard-agent-grpc": free_port(),
            "metrics-export": free_port(),
        }
        command = [
            RAY, "start", *where, "--block", "--node-ip-address", "127.0.0.1", "--num-cpus", str(n_cpus),
            "--object-store-memory", "100000000", "--temp-dir", str(folder),
            "--min-worker-port", str(first_port), "--max-worker-port", str(first_port + 399),
            *(text for name, port in ports.items() for text in (f"--{name}-port", str(port))),
        ]  # fmt: skip
        log = (folder / "start.log").open("w")
        with log:
            node = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, text=True, cwd=folder)
        self.nodes.append(node)
        deadline = time.monotonic() + timeout_s
        while self.n_alive() < len([node for node in self.nodes if node.poll() is None]) or node.poll() is not None:
            said = (folder / "start.log").read_text()
            if node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"ray start: {said[-2000:]}")
            time.sleep(1)
        return node

    def kill(self, node: subprocess.Popen[str]) -> None:
        """Kill all of a node at once, as a power cut does."""
        pids = [node.pid, *descendants(node.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none restarts or says farewell
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        node.wait()

    def n_alive(self) -> int:
        """Return how many nodes the cluster knows and thinks alive."""
        done = subprocess.run(
            [RAY, "list", "nodes", "--address", self.jobs_address, "--filter", "state=ALIVE", "--format", "json"],
            env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.count('"node_id"') if done.returncode == 0 else 0
