"""What an accelerate config and the training settings say about devices, stage and precision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness.machine.strategy import DEFAULT_REUSE, Strategy, read_strategy

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("name", "expected", "told"),
    [
        ("cpu", Strategy(), "one CPU process, fp32"),
        ("cpu_2proc", Strategy(processes=2), "2 CPU processes, DDP, fp32"),
        ("p100", Strategy(gpu=True), "one GPU, fp32"),
        ("t4x2_ddp", Strategy(2, 0, "fp16", True), "2 GPUs, DDP, fp16"),
        ("t4x2_ddp_fp32", Strategy(2, 0, "fp32", True), "2 GPUs, DDP, fp32"),
        ("t4x2_zero2", Strategy(2, 2, "fp16", True, 50_000_000), "2 GPUs, ZeRO-2, fp16"),
        ("t4x2_zero3", Strategy(2, 3, "fp16", True, 50_000_000, reuse=DEFAULT_REUSE), "2 GPUs, ZeRO-3, fp16"),
        ("cpu_2proc_zero2", Strategy(2, 2, bucket=50_000_000), "2 CPU processes, ZeRO-2, fp32"),
        (
            "t4x2_zero2_offload",
            Strategy(2, 2, "fp16", True, 50_000_000, offload_optimizer=True),
            "2 GPUs, ZeRO-2 with offload, fp16",
        ),
        ("two_machines_ddp", Strategy(2, gpu=True, machines=2), "2 GPUs on 2 machines, DDP, fp32"),
    ],
)
def test_every_accelerate_config_is_read_as_its_name_says(
    name: str, expected: Strategy, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    found = read_strategy(ROOT / "accelerate_configs" / f"{name}.yaml", {})
    assert (found, str(found)) == (expected, told)


def test_without_a_config_one_process_is_started() -> None:
    assert read_strategy(None, {}) == Strategy()


def test_the_settings_precision_wins_over_the_configs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert read_strategy(ROOT / "accelerate_configs" / "t4x2_ddp.yaml", {"bf16": True}).precision == "bf16"


def deepspeed(folder: Path, **zero: object) -> Path:
    (folder / "zero.json").write_text(json.dumps({"zero_optimization": zero}))
    launch = {
        "distributed_type": "DEEPSPEED",
        "num_processes": 4,
        "deepspeed_config": {"deepspeed_config_file": str(folder / "zero.json")},
    }
    (folder / "zero.yaml").write_text(yaml.safe_dump(launch))
    return folder / "zero.yaml"


def test_a_reduce_bucket_of_its_own_is_read(tmp_path: Path) -> None:
    assert read_strategy(deepspeed(tmp_path, stage=2, reduce_bucket_size=50_000_000), {}).bucket == 50_000_000


def test_another_zero_stage_is_named_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"zero\.json: zero_optimization\.stage is 1, expected 2 or 3"):
        read_strategy(deepspeed(tmp_path, stage=1), {})


def test_offload_and_reuse_distance_are_read(tmp_path: Path) -> None:
    on_the_host = {"device": "cpu"}
    found = read_strategy(
        deepspeed(
            tmp_path, stage=3, offload_optimizer=on_the_host, offload_param=on_the_host, stage3_max_reuse_distance=5
        ),
        {},
    )
    assert (found.offload_optimizer, found.offload_weights, found.reuse) == (True, True, 5)
    assert str(found) == "4 GPUs, ZeRO-3 with offload, fp32"
    assert not read_strategy(deepspeed(tmp_path, stage=2, offload_optimizer={"device": "none"}), {}).offload_optimizer
