"""A process knows from its environment what its launcher asked for, and refuses it before a model is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.machine.strategy import Strategy
from training.config import TrainingArguments
from training.launched import asked_here

ROOT = Path(__file__).resolve().parents[2]
ZERO2 = {
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(ROOT / "accelerate_configs" / "zero2_fp16.json"),
    "LOCAL_WORLD_SIZE": "2",
}


@pytest.mark.parametrize(
    ("precision", "gpu_by_default", "environment", "expected"),
    [
        (None, False, {}, Strategy()),
        (None, True, {}, Strategy(gpu=True)),
        ("bf16", True, {"ACCELERATE_MIXED_PRECISION": "fp16"}, Strategy(precision="bf16", gpu=True)),
        (None, False, {"CUDA_VISIBLE_DEVICES": "0,1", "LOCAL_WORLD_SIZE": "2"}, Strategy(2, gpu=True)),
        (None, True, {"CUDA_VISIBLE_DEVICES": "0", "ACCELERATE_USE_CPU": "True"}, Strategy()),
        (None, False, {"CUDA_VISIBLE_DEVICES": ""}, Strategy()),
        (None, False, {"ACCELERATE_MIXED_PRECISION": "fp16"}, Strategy(precision="fp16")),
        (None, False, ZERO2, Strategy(2, 2, "fp16", False, 50_000_000)),
        (None, False, {**ZERO2, "CUDA_VISIBLE_DEVICES": "0,1"}, Strategy(2, 2, "fp16", True, 50_000_000)),
    ],
)
def test_the_launchers_wishes_are_read_from_the_environment(
    precision: str | None, gpu_by_default: bool, environment: dict[str, str], expected: Strategy
) -> None:
    assert asked_here(precision, gpu_by_default, environment) == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which may be asked for")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,1", "LOCAL_WORLD_SIZE": "2"}, "torch sees no GPU here"),
        ({"ACCELERATE_MIXED_PRECISION": "fp16", "ACCELERATE_USE_CPU": "true"}, "fp16 is for GPUs"),
        (ZERO2, "2 CPU processes, ZeRO-2, fp16: fp16 is for GPUs"),
    ],
)
def test_settings_are_refused_before_anything_is_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=expected):
        TrainingArguments(output_dir=str(tmp_path))
