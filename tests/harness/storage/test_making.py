"""How long a model took to make is read from the run's own folder, wherever it lay, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.storage.making import making_seconds, write_made


def test_a_training_s_seconds_are_those_of_its_last_checkpoint(tmp_path: Path) -> None:
    fold = tmp_path / "m" / "training" / "fold-0"
    fold.mkdir(parents=True)
    told = {"checkpoints": {"checkpoint-9": 1.0, "checkpoint-10": 2.0}, "seconds": 12.5, "steps": 10}
    (fold / "trained.json").write_text(json.dumps(told))
    assert making_seconds(tmp_path, "runs/old/m/training/fold-0/checkpoint-10") == 12.5
    assert making_seconds(tmp_path, "runs/old/m/training/fold-0/checkpoint-9") is None


def test_a_projection_s_seconds_stand_beside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "m" / "methods" / "leace" / "model"
    folder.mkdir(parents=True)
    write_made(folder, 3.21)
    assert making_seconds(tmp_path, str(Path("/somewhere/else") / folder.relative_to(tmp_path))) == 3.2


@pytest.mark.parametrize("checkpoint", ["x/../../m/checkpoint-1", "/", "checkpoint-1", ""])
def test_a_place_that_is_not_in_the_folder_has_no_seconds(tmp_path: Path, checkpoint: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "trained.json").write_text('{"seconds": 1}')
    assert making_seconds(tmp_path / "m" / "run", checkpoint) is None


def test_a_record_of_before_has_none_and_a_broken_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "trained.json").write_text('{"checkpoints": {"checkpoint-1": null}}')
    assert making_seconds(tmp_path, "checkpoint-1") is None
    (tmp_path / "trained.json").write_text('{"seconds": -1}')
    with pytest.raises(ValueError, match=r"trained\.json.*seconds"):
        making_seconds(tmp_path, "checkpoint-1")
