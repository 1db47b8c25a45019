"""Fixtures: small data sets and the settings that fit them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from data_prep_support import SMALL, Row, scene_rows, write_audio, write_lists

from data_prep.config import PrepareConfig


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Path]:
    def make(rows: list[Row] | None = None, name: str = "corpus", **options) -> Path:
        rows = scene_rows() if rows is None else rows
        root = tmp_path / name
        write_lists(root, rows, **options)
        write_audio(root, rows)
        return root

    return make


@pytest.fixture
def small_config() -> PrepareConfig:
    return PrepareConfig(features=SMALL, clips_per_shard=5)
