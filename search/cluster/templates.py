"""The files that make a cluster, filled in: they are shipped with placeholders such as HEAD and s3://BUCKET/shards."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from data_prep.errors import ConfigError
from data_prep.wording import printable, shortened

FILES = {
    "cluster.yaml": "your own machines over SSH, for `ray up`",
    "rayjob.yaml": "a search as a job on Kubernetes, for KubeRay",
    "Dockerfile": "the image of that job",
    "runtime_env.yaml": "packages for nodes that have only Ray, for `ray job submit`",
}
"""{file: what it is for}."""
SHIPPED = "search/cluster/"
"""Where the commands in the files' comments find them, as shipped."""
_PLACEHOLDERS = {
    "head": "HEAD",
    "workers": "WORKER1, WORKER2",
    "user": "USER",
    "image": "IMAGE",
    "shards": "s3://BUCKET/shards",
    "storage": "s3://BUCKET/one",
    "config": "esc10-fold1",
}
_PLAIN = re.compile(r"[A-Za-z0-9._~/:@+-]+")
"""What needs no quotes in YAML, in a shell and in a Dockerfile."""


@dataclass(frozen=True)
class ClusterValues:
    """What the files of a cluster are filled in with; None leaves the placeholder."""

    head: str | None = None
    """Address of the head node."""
    workers: tuple[str, ...] = ()
    """Addresses of the other nodes."""
    user: str | None = None
    """User of SSH on all nodes."""
    image: str | None = None
    """Name of the container image."""
    shards: str | None = None
    """URI or absolute path of the feature shards, reachable from every node."""
    storage: str | None = None
    """URI or absolute path of the shared storage."""
    config: str | None = None
    """Shipped configuration, or path of one in the project's folder."""

    def __post_init__(self) -> None:
        for name, value in self._given().items():
            for one in (value,) if isinstance(value, str) else value:
                if not _PLAIN.fullmatch(one) or one.startswith("-"):
                    option = "worker" if name == "workers" else name
                    raise ConfigError(
                        f"--{option} {shortened(one)}: may have letters, digits and . _ ~ / : @ + - only, and must not "
                        "start with -"
                    )
                if name in ("shards", "storage") and "://" not in one and not one.startswith("/"):
                    raise ConfigError(
                        f"--{name} {one}: every node must find it. Give an s3:// or gs:// URI, or an absolute path "
                        "that all nodes mount."
                    )

    def _given(self) -> Mapping[str, str | Sequence[str]]:
        return {name: value for name in _PLACEHOLDERS if (value := getattr(self, name))}

    @property
    def open_options(self) -> dict[str, str]:
        """{placeholder that is still in the files: option that fills it in}."""
        return {
            _PLACEHOLDERS[name]: f"--{'worker' if name == 'workers' else name}"
            for name in _PLACEHOLDERS
            if name != "config" and name not in self._given()
        }

    def filled(self, text: str) -> str:
        """Return a file's text with the values in place of the placeholders."""
        shown = {_PLACEHOLDERS[name]: _in_words(value) for name, value in self._given().items()}
        if shown:
            found = "|".join(map(re.escape, shown))
            text = re.sub(rf"(?<![A-Za-z0-9_])({found})(?![A-Za-z0-9_])", lambda match: shown[match[1]], text)
        if self.workers:
            text = re.sub(r"^(min_workers|max_workers): 2\b", rf"\1: {len(self.workers)}", text, flags=re.MULTILINE)
        return text


def _in_words(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def cluster_files(folder: Path, values: ClusterValues) -> dict[str, bytes]:
    """Return the files of a cluster.

    Args:
        folder: where they will be; the commands in their comments name it.
        values: what to fill in.
    """
    where = shlex.quote(printable(folder.as_posix())) + "/"
    shipped = files("search.cluster")
    return {
        name: values.filled((shipped / name).read_text(encoding="utf-8").replace(SHIPPED, where)).encode()
        for name in FILES
    }
