"""Which accelerate config a plan takes for a model on a machine, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_models import byte_t5

from harness.experiments.experiment_file import ExperimentFile, ModelEntry, load, resolved
from harness.planning.choice import Choice, choice
from harness.planning.hardware import Machine, machine
from harness.planning.memory import GIB
from harness.planning.plan_table import plan

T4S = Machine(2, 15.0, bf16=False, host_gib=29)


@pytest.fixture(autouse=True)
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One config of each strategy, two GPUs; one GPU; two CPU processes; two machines."""
    folder = tmp_path / "accelerate_configs"
    folder.mkdir()
    half = {"fp16": {"enabled": True}}
    offload = {"offload_optimizer": {"device": "cpu"}}
    for name, stage, more, zero in (
        ("zero2", 2, half, {}),
        ("zero2_offload", 2, half, offload),
        ("zero3", 3, half, {}),
        ("zero3_offload", 3, half, {**offload, "offload_param": {"device": "cpu"}}),
        ("zero3_fp32", 3, {}, {}),
    ):
        (folder / f"{name}.json").write_text(json.dumps({**more, "zero_optimization": {"stage": stage, **zero}}))
        config(folder, name, "DEEPSPEED", deepspeed_config={"deepspeed_config_file": str(folder / f"{name}.json")})
    config(folder, "ddp", "MULTI_GPU", mixed_precision="fp16")
    config(folder, "ddp_fp32", "MULTI_GPU")
    config(folder, "ddp_bf16", "MULTI_GPU", mixed_precision="bf16")
    config(folder, "one_gpu", "NO", num_processes=1)
    config(folder, "cpu", "NO", num_processes=1, use_cpu=True)
    config(folder, "cpu_2proc", "MULTI_GPU", use_cpu=True)
    config(folder, "two_machines", "MULTI_GPU", num_machines=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.planning.choice.shipped", lambda name: tmp_path / name)
    return folder


def config(folder: Path, name: str, kind: str, **more: Any) -> None:
    launch = {"distributed_type": kind, "num_processes": 2, "use_cpu": False, **more}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(launch))


def of(pretrained: str, on: Machine = T4S, full: bool = False, **training: Any) -> Choice:
    model = ModelEntry(name="one", pretrained=pretrained)
    settings = {
        "objective": "both",
        "per_device_train_batch_size": 8,
        "accelerate_config": "accelerate_configs/ddp.yaml",
    }
    file = ExperimentFile(name="planned", models=(model,), tasks=("crows_pairs",), training={**settings, **training})
    return choice(resolved(file).models[0], on, full=full)


def names(made: Choice) -> list[str]:
    return [option.config.stem for option in made.options]


def taken(made: Choice) -> str | None:
    return None if made.taken is None else made.taken.config.stem


@pytest.mark.parametrize("full", [True, False])
def test_a_small_model_takes_ddp_with_the_whole_batch(byte_llama: Path, full: bool) -> None:
    made = of(str(byte_llama), full=full)
    assert made.taken is not None
    assert (taken(made), made.taken.pairs, made.taken.checkpointing) == ("ddp", 8, False)
    assert names(made) == ["ddp", "zero2", "zero2_offload", "zero3", "zero3_offload", "ddp_fp32", "zero3_fp32"]


def test_what_is_too_large_for_ddp_is_sharded_then_offloaded() -> None:
    """20 bytes a weight with DDP's buckets, 11 with ZeRO-2, 2 with its offload: of 1.07 B weights 20, 11 and 2 GiB."""
    assert taken(of("bigscience/bloomz-1b1", Machine(2, 30, bf16=False, host_gib=64), full=True)) == "ddp"
    assert taken(of("bigscience/bloomz-1b1", Machine(2, 17, bf16=False, host_gib=64), full=True)) == "zero2"
    assert taken(of("bigscience/bloomz-1b1", Machine(2, 10, bf16=False, host_gib=64), full=True)) == "zero2_offload"


def test_what_the_hosts_memory_cannot_hold_is_not_taken() -> None:
    made = of("bigscience/bloomz-1b7", full=True)
    assert made.taken is None
    assert (made.nearest.config.stem, made.nearest.verdict) == ("zero2_offload", "host too small")
    assert made.nearest.memory.host / GIB == pytest.approx(38, abs=0.6)  # 24 bytes a weight, as DeepSpeed estimates


def test_t5_is_never_planned_in_fp16_and_bf16_only_where_the_gpu_has_it(tmp_path: Path, byte_llama: Path) -> None:
    t5 = str(byte_t5(tmp_path / "t5"))
    assert names(of(t5)) == ["ddp_fp32", "zero3_fp32"]
    assert "ddp_bf16" not in names(of(str(byte_llama)))
    assert "ddp_bf16" in names(of(t5, Machine(2, 24, bf16=True, host_gib=64)))


def test_only_configs_of_as_many_devices_of_the_kind_and_one_machine_are_planned(byte_llama: Path) -> None:
    assert names(of(str(byte_llama), machine("p100"))) == ["one_gpu"]
    assert names(of(str(byte_llama), machine("cpu", host_gib=64))) == ["cpu", "cpu_2proc"]


def test_without_a_config_for_the_machine_its_folder_is_named(byte_llama: Path) -> None:
    with pytest.raises(ValueError, match=r"none of the 12 configs, those in .*accelerate_configs and .* 8 GPU\(s\)"):
        of(str(byte_llama), Machine(8, 80, bf16=True, host_gib=64))


def test_a_config_of_the_users_own_is_planned_where_the_experiment_names_it(tmp_path: Path, byte_llama: Path) -> None:
    config(tmp_path, "mine", "MULTI_GPU", num_processes=8)
    made = of(str(byte_llama), Machine(8, 80, bf16=True, host_gib=64), accelerate_config="mine.yaml")
    assert names(made) == ["mine"]


@pytest.mark.parametrize(("accumulation", "step"), [(1, 8), (2, 16)])
def test_smaller_batches_keep_the_pairs_of_a_step(accumulation: int, step: int) -> None:
    made = of("gpt2", Machine(2, 2.1, bf16=False, host_gib=29), gradient_accumulation_steps=accumulation)
    assert made.taken is not None
    assert made.taken.pairs < 8
    assert made.taken.pairs * made.taken.accumulation == step


def test_a_step_of_two_devices_is_accumulated_on_one(byte_llama: Path) -> None:
    option = of(str(byte_llama), machine("p100")).options[0]
    assert (option.pairs, option.accumulation) == (8, 2)


def test_what_fits_without_a_margin_is_tight_and_not_taken(byte_llama: Path) -> None:
    option = of(str(byte_llama)).options[0]
    peak = option.memory.peak / GIB
    assert replace(option, usable=0.99 * peak).verdict == "too large"
    assert replace(option, usable=1.01 * peak).verdict == "tight"
    assert replace(option, usable=1.12 * peak).verdict == "fits"


def test_processes_on_a_cpu_share_its_memory(byte_llama: Path) -> None:
    one, two = of(str(byte_llama), machine("cpu", host_gib=4)).options
    assert (one.usable, two.usable) == (4, 2)
    assert one.memory.host == 0  # it is the same memory, and not needed twice


def lines(folder: Path, models: Sequence[str], device: str) -> list[str]:
    settings = {
        "accelerate_config": "accelerate_configs/ddp.yaml",
        "objective": "both",
        "per_device_train_batch_size": 8,
    }
    experiment = {
        "name": "planned",
        "tasks": ["crows_pairs"],
        "models": [{"name": name.rpartition("/")[2], "pretrained": name} for name in models],
        "training": settings,
    }
    (folder / "planned.yaml").write_text(yaml.safe_dump(experiment))
    return list(plan(load(folder / "planned.yaml").models, device))


def test_the_plan_marks_what_to_take_and_ends_with_one_line_a_model(tmp_path: Path) -> None:
    told = lines(tmp_path, ["gpt2", "bigscience/bloomz-1b7"], "t4x2")
    assert told[0] == "t4x2: 2 GPU(s), 14.6 GiB usable on each GPU, no bf16, 29 GiB of its own. GiB on each GPU:"
    marked = [line.split()[1:3] for line in told if line.startswith("* ")]
    assert marked == [["full", "ddp"], ["LoRA", "ddp"], ["LoRA", "ddp"]]
    assert told[-2].startswith("| gpt2 | 124M | ddp, ")
    assert told[-1].startswith("| bloomz-1b7 | 1.72B | none: zero2_offload, ")
    assert "GiB and 38 GiB of the host | ddp, " in told[-1]


def test_an_unknown_device_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"device 'tpu' is not known; there are t4x2, p100,.*cpu"):
        lines(tmp_path, ["gpt2"], "tpu")
