"""How a training run is spread over devices, read from its accelerate config and its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

DEFAULT_BUCKET = 500_000_000
"""Elements of DeepSpeed's `reduce_bucket_size` where its config names none."""


@dataclass(frozen=True)
class Strategy:
    """Processes and what each of them holds.

    `zero_stage` 0 keeps the whole model and its optimizer on every process. `precision` names the 16-bit type, by
    autocast at stage 0 and as the weights' own type under ZeRO. `bucket` counts the elements of ZeRO's reduce buffer.
    """

    processes: int = 1
    zero_stage: Literal[0, 2, 3] = 0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    gpu: bool = False
    bucket: int = 0

    def __str__(self) -> str:
        device = "GPU" if self.gpu else "CPU process"
        count = f"one {device}" if self.processes == 1 else f"{self.processes} {device}{'s' if self.gpu else 'es'}"
        spread = f"ZeRO-{self.zero_stage}" if self.zero_stage else "DDP" if self.processes > 1 else ""
        return ", ".join(part for part in (count, spread, self.precision) if part)


def read_strategy(accelerate_config: Path | None, settings: Mapping[str, Any]) -> Strategy:
    """The strategy of a run.

    Args:
        accelerate_config: None starts one process on the CPU, or on the first GPU of a machine that has one.
        settings: of `python -m training`; `fp16` and `bf16` win over the config's `mixed_precision`.

    Raises:
        ValueError: a DeepSpeed stage other than 2 and 3; names the file.
    """
    launch = {} if accelerate_config is None else yaml.safe_load(accelerate_config.read_text(encoding="utf-8"))
    asked = next((name for name in ("fp16", "bf16") if settings.get(name)), None)
    precision: Any = asked or str(launch.get("mixed_precision", "no")).replace("no", "fp32")
    zero_stage: Any = 0
    bucket = 0
    if launch.get("distributed_type") == "DEEPSPEED":
        file = Path(launch["deepspeed_config"]["deepspeed_config_file"])
        deepspeed = json.loads(file.read_text(encoding="utf-8"))
        zero = deepspeed["zero_optimization"]
        zero_stage = zero["stage"]
        if zero_stage not in (2, 3):
            raise ValueError(f"{file}: zero_optimization.stage is {zero_stage}, expected 2 or 3")
        bucket = int(zero.get("reduce_bucket_size", DEFAULT_BUCKET))
        enabled = next((name for name in ("fp16", "bf16") if deepspeed.get(name, {}).get("enabled") is True), None)
        precision = enabled or precision
    return Strategy(
        processes=int(launch.get("num_processes", 1)),
        zero_stage=zero_stage,
        precision=precision,
        gpu=accelerate_config is not None and not launch.get("use_cpu", False),
        bucket=bucket,
    )
