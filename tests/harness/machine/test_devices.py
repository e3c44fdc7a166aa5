"""What a machine cannot run is refused, with what to take instead."""

from __future__ import annotations

import pytest

from harness.machine.devices import Gpu, require_able
from harness.machine.strategy import Strategy

T4, P100, A100 = Gpu("Tesla T4", (7, 5)), Gpu("Tesla P100-PCIE-16GB", (6, 0)), Gpu("NVIDIA A100", (8, 0))


@pytest.mark.parametrize(
    ("strategy", "gpus", "expected"),
    [
        (Strategy(gpu=True), [], r"one GPU, fp32: asked for, but torch sees no GPU.*/cpu\.yaml"),
        (Strategy(2, gpu=True), [], r"torch sees no GPU here.*/cpu_2proc\.yaml"),
        (Strategy(2, 3, "fp16", True), [], r"2 GPUs, ZeRO-3, fp16: .* no GPU .*/cpu_2proc_zero3\.yaml"),
        (Strategy(2, 0, "fp16", True), [T4], r"1 GPU\(s\) here \(Tesla T4\) for 2 processes\. .*/p100\.yaml"),
        (Strategy(4, gpu=True, machines=2), [T4], r"1 GPU\(s\) here \(Tesla T4\) for 2 processes"),
        (Strategy(2, 0, "bf16", True), [T4, T4], r"bf16: Tesla T4 cannot compute in bf16 .*7\.5.*t4x2_ddp\.yaml"),
        (Strategy(1, 0, "bf16", True), [P100], r"P100-PCIE-16GB cannot compute in bf16 .*6\.0.*Take fp16"),
        (Strategy(2, 0, "fp16"), [], r"2 CPU processes, DDP, fp16: fp16 is for GPUs.*take fp32.*/cpu_2proc\.yaml"),
        (Strategy(2, 2, "fp16"), [], r"fp16 is for GPUs .*/cpu_2proc_zero2\.yaml"),
    ],
)
def test_what_the_devices_cannot_do_is_named_with_what_they_can(
    strategy: Strategy, gpus: list[Gpu], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        require_able(strategy, gpus)


@pytest.mark.parametrize(
    ("strategy", "gpus"),
    [
        (Strategy(), []),
        (Strategy(2, 3, "bf16"), []),
        (Strategy(2, 2, "fp16", True), [T4, T4]),
        (Strategy(2, gpu=True, machines=2), [T4]),
        (Strategy(1, 0, "fp16", True), [P100]),
        (Strategy(1, 0, "bf16", True), [A100, T4]),
        (Strategy(2), [T4]),
    ],
)
def test_what_the_devices_can_do_passes(strategy: Strategy, gpus: list[Gpu]) -> None:
    require_able(strategy, gpus)
