"""Processes that train together must see one folder; on two machines two may have the same path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from forked_ranks import Ranks

from training.config import parse
from training.shared_folder import require_shared


def require(home: Path) -> None:
    """Each rank looks into a folder of its own, as a machine that mounts another disk there would."""
    out = home / os.environ["RANK"]
    out.mkdir()
    _, arguments = parse(["--model_name_or_path", "model", "--output_dir", str(out)])
    require_shared(out, arguments)


@pytest.mark.slow
@pytest.mark.distributed
def test_a_rank_that_does_not_see_what_rank_0_writes_is_named(tmp_path: Path) -> None:
    with Ranks("cpu_2proc", require, (tmp_path,), tmp_path) as ranks:
        codes, said = ranks.ended()
    assert 0 not in codes
    assert f"rank 1 on {os.uname().nodename} cannot see what rank 0 writes there" in said
    assert not any((tmp_path / "0").iterdir())
