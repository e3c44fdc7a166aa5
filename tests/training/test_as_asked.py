"""A set-up that trains alone, unsharded or on the same data as its neighbour is refused instead of exiting 0."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training import as_asked
from training.as_asked import (
    Asked,
    after_launch,
    asked,
    launcher_arguments,
    require_disjoint,
    require_processes,
    require_strategy,
)

ROOT = Path(__file__).resolve().parents[2]


def launched_with(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> None:
    """As if this process had been started by `accelerate launch ARGUMENTS`."""
    monkeypatch.setattr(as_asked, "launcher_arguments", lambda process: [*arguments, "-m", "training"])
    for name in ("WORLD_SIZE", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_DEEPSPEED_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("config", ["cpu_2proc", "t4x2_ddp", "t4x2_zero3"])
def test_one_process_of_a_config_that_wants_two_is_refused(monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    monkeypatch.chdir(ROOT)
    launched_with(monkeypatch, "--config_file", f"accelerate_configs/{config}.yaml")
    with pytest.raises(RuntimeError, match="asked for 2 processes, but 1 work together"):
        require_processes(1)
    require_processes(2)


def test_a_flag_wins_over_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    launched_with(monkeypatch, "--config_file", "accelerate_configs/cpu_2proc.yaml", "--num_processes", "4")
    assert asked() == Asked(4, False)


def test_two_processes_that_do_not_know_of_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_asked, "launcher_arguments", lambda process: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="asked for 2 processes, but 1 work together"):
        require_processes(1)


def test_without_a_launcher_any_number_is_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    require_processes(1)


def test_zero_that_silently_became_ddp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    file = "accelerate_configs/zero3_fp16.json"
    launched_with(monkeypatch, ACCELERATE_USE_DEEPSPEED="true", ACCELERATE_DEEPSPEED_CONFIG_FILE=file)
    with pytest.raises(RuntimeError, match=r"asked for ZeRO-3, but the model is trained by no DeepSpeed .*MULTI_CPU"):
        require_strategy("MULTI_CPU", None)


def test_another_zero_stage_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "zero2.json"
    file.write_text(json.dumps({"zero_optimization": {"stage": 2}}))
    launched_with(monkeypatch, ACCELERATE_USE_DEEPSPEED="true", ACCELERATE_DEEPSPEED_CONFIG_FILE=str(file))
    require_strategy("DEEPSPEED", 2)
    with pytest.raises(RuntimeError, match="asked for ZeRO-2, but the model is trained by ZeRO-3"):
        require_strategy("DEEPSPEED", 3)


def test_ddp_is_as_asked_where_nobody_asked_for_deepspeed(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_with(monkeypatch, "--num_processes", "2")
    require_strategy("MULTI_CPU", None)
    with pytest.raises(RuntimeError, match="asked for no DeepSpeed, but the model is trained by ZeRO-2"):
        require_strategy("DEEPSPEED", 2)


def test_ranks_that_see_the_same_pair_are_refused() -> None:
    require_disjoint([[4, 8], [5, 9]])
    with pytest.raises(RuntimeError, match="ranks 0 and 1 both have CrowS-Pairs row 8"):
        require_disjoint([[4, 8], [8, 9]])


@pytest.mark.parametrize(
    "words",
    [
        ["python", "-m", "accelerate.commands.launch"],
        ["python", "-u", "-m", "accelerate.commands.launch"],
        ["python", "/somewhere/bin/accelerate", "launch"],
        ["python", "/somewhere/bin/accelerate-launch"],
    ],
)
def test_a_launcher_is_known_by_its_command_line(words: list[str]) -> None:
    assert after_launch([*words, "--num_processes", "2", "x.py"]) == ["--num_processes", "2", "x.py"]


def test_another_parent_is_no_launcher() -> None:
    assert after_launch(["bash", "-c", "accelerate launch x.py"]) is None
    assert after_launch(["python", "-m", "harness", "run", "x.yaml"]) is None
    assert launcher_arguments(os.getpid()) is None


@pytest.mark.slow
@pytest.mark.distributed
def test_accelerates_own_multi_cpu_is_refused_instead_of_training_alone(tiny_model: Path, tmp_path: Path) -> None:
    config = tmp_path / "multi_cpu.yaml"
    config.write_text(
        "distributed_type: MULTI_CPU\nuse_cpu: true\nnum_machines: 1\nnum_processes: 2\nmachine_rank: 0\n"
    )
    outcome = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "-m", "training"),
            *("--model_name_or_path", str(tiny_model), "--data_dir", "sample", "--output_dir", str(tmp_path / "out")),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode != 0
    assert "asked for 2 processes, but 1 work together" in outcome.stderr
    assert not (tmp_path / "out").exists()
