"""Every training leaves the model of its last step, whatever is said of checkpoints, and only then is finished."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from short_runs import two_steps

from harness.data.crows_pairs import Pair

Tiny = Callable[..., Path]


@pytest.mark.parametrize(
    "saving", [{"save_strategy": "no"}, {"save_strategy": "steps", "save_steps": 500}, {"save_strategy": "epoch"}]
)
def test_the_last_step_is_saved_under_every_strategy(
    tiny: Tiny, tmp_path: Path, pairs: list[Pair], saving: dict[str, Any]
) -> None:
    two_steps(tiny("llama"), tmp_path, pairs[:20], saving, objective="anti")
    assert [folder.name for folder in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    assert list(json.loads((tmp_path / "trained.json").read_text())["checkpoints"]) == ["checkpoint-2"]
    written = (tmp_path / "trained.json").stat().st_mtime_ns
    two_steps(tiny("llama"), tmp_path, pairs[:20], saving, objective="anti")
    assert (tmp_path / "trained.json").stat().st_mtime_ns == written


def test_a_training_that_left_nothing_is_not_finished(tiny: Tiny, tmp_path: Path, pairs: list[Pair]) -> None:
    (tmp_path / "trained.json").write_text('{"checkpoints": {}, "steps": 2}\n')
    assert (two_steps(tiny("llama"), tmp_path, pairs[:8], objective="anti") / "adapter_model.safetensors").is_file()
