"""A tiny model of every type that a projection can be written into, in turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from projected_models import MAKERS


@pytest.fixture(scope="session", params=MAKERS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each type in turn."""
    return MAKERS[request.param](tmp_path_factory.mktemp("model") / request.param)
