"""Whether this machine's devices can do what a training strategy asks, told before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

from harness.machine.strategy import Strategy

FIRST_WITH_BF16 = (8, 0)
"""Compute capability (Ampere) from which GPUs compute in bf16; torch claims it of older ones, and emulates it."""


class Gpu(NamedTuple):
    """A GPU that torch can use: `capability` is NVIDIA's compute capability, 7.5 being (7, 5)."""

    name: str
    capability: tuple[int, int]


def visible_gpus() -> list[Gpu]:
    """The GPUs that torch sees here, `CUDA_VISIBLE_DEVICES` considered."""
    import torch

    numbers = range(torch.cuda.device_count())
    return [Gpu(torch.cuda.get_device_name(one), torch.cuda.get_device_capability(one)) for one in numbers]


def require_deepspeed(strategy: Strategy) -> None:
    """Refuse a strategy of DeepSpeed where it is not installed, before minutes are spent on loading.

    Raises:
        ValueError: says what to install.
    """
    if strategy.zero_stage and find_spec("deepspeed") is None:
        raise ValueError(
            f"{strategy}: asked for, but DeepSpeed is not installed: pip install 'lm-stereoscope[deepspeed]'"
        )


def require_able(strategy: Strategy, gpus: Sequence[Gpu]) -> None:
    """Refuse a strategy that these GPUs, or the CPU where there are none, cannot run.

    `strategy.processes` are shared evenly by `strategy.machines`, of which this is one.

    Raises:
        ValueError: says what is asked for, what is here, and which accelerate config to take instead.
    """
    here = strategy.processes // strategy.machines
    if strategy.gpu and not gpus:
        raise ValueError(
            f"{strategy}: asked for, but torch sees no GPU here. On the CPU take accelerate_configs/{_on_cpu(strategy)}"
        )
    if strategy.gpu and here > len(gpus):
        raise ValueError(
            f"{strategy}: asked for, but torch sees {len(gpus)} GPU(s) here ({_names(gpus)}) for {here} processes. For "
            "one GPU take accelerate_configs/p100.yaml, or launch with --num_processes and --gpu_ids that fit"
        )
    if not strategy.gpu and strategy.precision == "fp16":
        raise ValueError(
            f"{strategy}: fp16 is for GPUs (on the CPU DDP would ignore it without a word, and DeepSpeed refuses it); "
            f"take fp32, as accelerate_configs/{_on_cpu(strategy)} does, or bf16"
        )
    old = [gpu for gpu in gpus[:here] if gpu.capability < FIRST_WITH_BF16]
    if strategy.gpu and strategy.precision == "bf16" and old:
        raise ValueError(
            f"{strategy}: {_names(old)} cannot compute in bf16 (capability {'.'.join(map(str, old[0].capability))}; "
            "8.0 and newer can). Take fp16, as accelerate_configs/t4x2_ddp.yaml does, or fp32 for T5 and FLAN-T5, as "
            "accelerate_configs/t4x2_ddp_fp32.yaml does"
        )


def _on_cpu(strategy: Strategy) -> str:
    if strategy.zero_stage:
        return f"cpu_2proc_zero{strategy.zero_stage}.yaml"
    return "cpu.yaml" if strategy.processes == 1 else "cpu_2proc.yaml"


def _names(gpus: Sequence[Gpu]) -> str:
    return ", ".join(dict.fromkeys(gpu.name for gpu in gpus))
