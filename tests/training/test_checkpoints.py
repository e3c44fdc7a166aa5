"""Which checkpoint a run goes on from, and which ones count as its own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from training.checkpoints import complete_checkpoints, mark_unscheduled, scheduled_checkpoints, seal

FILES = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with complete checkpoints after steps 5, 10 and 100."""
    for step in (5, 10, 100):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for number, name in enumerate((*FILES, "global_step/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt")):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(bytes([step, number]) * 50)
        seal(folder)
    return tmp_path


def steps(folders: list[Path]) -> list[str]:
    return [folder.name.partition("-")[2] for folder in folders]


def test_checkpoints_come_in_the_order_of_their_steps(run: Path) -> None:
    assert steps(complete_checkpoints(run)) == ["5", "10", "100"]


@pytest.mark.parametrize("name", [*FILES, "global_step/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "removed", "one bit"])
def test_a_damaged_file_of_any_kind_skips_its_checkpoint(
    run: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    file = run / "checkpoint-100" / name
    content = file.read_bytes()
    if damage == "removed":
        file.unlink()
    else:
        changed = {"truncated": content[:-1], "emptied": b"", "one bit": bytes([content[0] ^ 1]) + content[1:]}
        file.write_bytes(changed[damage])
    with caplog.at_level(logging.WARNING):
        assert steps(complete_checkpoints(run)) == ["5", "10"]
    assert "checkpoint-100" in caplog.text
    assert name in caplog.text


@pytest.mark.parametrize("content", ["", '{"optimizer.pt": "ab', "[]", '{"optimizer.pt": 3}'])
def test_a_broken_manifest_skips_its_checkpoint(run: Path, caplog: pytest.LogCaptureFixture, content: str) -> None:
    (run / "checkpoint-100" / "manifest.json").write_text(content)
    assert steps(complete_checkpoints(run)) == ["5", "10"]
    assert "checkpoint-100" in caplog.text


def test_a_checkpoint_without_manifest_is_not_complete(run: Path) -> None:
    (run / "checkpoint-100" / "manifest.json").unlink()
    assert steps(complete_checkpoints(run)) == ["5", "10"]


def test_folders_of_other_names_are_nothing_to_go_on_from(run: Path) -> None:
    (run / "checkpoint-best").mkdir()
    (run / "checkpoint-100").rename(run / "checkpoint-100.old")
    assert steps(complete_checkpoints(run)) == ["5", "10"]


def test_a_checkpoint_written_because_of_a_stop_is_resumed_from_but_not_scored(run: Path) -> None:
    mark_unscheduled(run, 10)
    mark_unscheduled(run, 100)
    assert steps(complete_checkpoints(run)) == ["5", "10", "100"]
    assert steps(scheduled_checkpoints(run)) == ["5"]
