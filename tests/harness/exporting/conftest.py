"""Small runs with scores that can be counted by hand, from the builders that the report's tests use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reporting"))

from result_files import write_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and two steps of two folds; nothing is written into it."""
    return write_run(tmp_path_factory.mktemp("runs") / "run")
