"""How a training run is spread over devices, read from its accelerate config and its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

DEFAULT_BUCKET = 500_000_000
"""Elements of DeepSpeed's `reduce_bucket_size` where its config names none."""

DEFAULT_REUSE = 1_000_000_000
"""Elements of its `stage3_max_reuse_distance`."""


@dataclass(frozen=True)
class Strategy:
    """Processes and what each of them holds.

    `zero_stage` 0 keeps the whole model and its optimizer on every process. `precision` names the 16-bit type, by
    autocast at stage 0 and as the weights' own type under ZeRO. `bucket` counts the elements of ZeRO's reduce buffer.
    `offload_optimizer` and `offload_weights` keep ZeRO's shards in the host's memory. The processes are spread evenly
    over the `machines`. `reuse` is ZeRO-3's reuse distance, the elements over which it keeps a gathered weight.
    """

    processes: int = 1
    zero_stage: Literal[0, 2, 3] = 0
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    gpu: bool = False
    bucket: int = 0
    offload_optimizer: bool = False
    offload_weights: bool = False
    machines: int = 1
    reuse: int = 0

    def __str__(self) -> str:
        device = "GPU" if self.gpu else "CPU process"
        count = f"one {device}" if self.processes == 1 else f"{self.processes} {device}{'s' if self.gpu else 'es'}"
        count += f" on {self.machines} machines" if self.machines > 1 else ""
        spread = f"ZeRO-{self.zero_stage}" if self.zero_stage else "DDP" if self.processes > 1 else ""
        spread += " with offload" if self.offload_optimizer or self.offload_weights else ""
        return ", ".join(part for part in (count, spread, self.precision) if part)


def read_strategy(accelerate_config: Path | None, settings: Mapping[str, Any]) -> Strategy:
    """The strategy of a run.

    Args:
        accelerate_config: None starts one process on the CPU, or on the first GPU of a machine that has one.
        settings: of `python -m training`; `fp16` and `bf16` win over the config's `mixed_precision`.

    Raises:
        ValueError: a DeepSpeed config that is not there, or of a stage other than 2 and 3; names the file.
    """
    launch = {} if accelerate_config is None else read_launch(accelerate_config)
    asked = next((name for name in ("fp16", "bf16") if settings.get(name)), None)
    precision: Any = asked or str(launch.get("mixed_precision", "no")).replace("no", "fp32")
    machines = int(launch.get("num_machines", 1))
    spread = Strategy(
        processes=int(launch.get("num_processes", 1)),
        precision=precision,
        # Shapes of our own say by gpu_ids that they are for GPUs; those of several machines take what each has.
        gpu=not launch.get("use_cpu", accelerate_config is None) and launch.get("gpu_ids", "all") != "",
        machines=machines,
    )
    if accelerate_config is not None and launch.get("distributed_type") == "DEEPSPEED":
        return replace(spread, **read_zero(deepspeed_file(accelerate_config, launch), precision))
    return spread


def read_launch(accelerate_config: Path) -> dict[str, Any]:
    """The content of an accelerate config.

    Raises:
        ValueError: it is no mapping; names the file.
    """
    launch = yaml.safe_load(accelerate_config.read_text(encoding="utf-8"))
    if not isinstance(launch, dict):
        raise ValueError(
            f"{accelerate_config}: expected the keys of an accelerate config, as `accelerate config` writes"
        )
    return launch


def deepspeed_file(accelerate_config: Path, launch: Mapping[str, Any]) -> Path:
    """The DeepSpeed config that an accelerate config names: beside it, or else from the working folder.

    accelerate itself looks in the working folder alone.

    Args:
        launch: the content of `accelerate_config`.

    Raises:
        ValueError: it names none, or one that is in neither place; says which.
    """
    named = (launch.get("deepspeed_config") or {}).get("deepspeed_config_file")
    if not named:
        raise ValueError(
            f"{accelerate_config}: distributed_type is DEEPSPEED, and deepspeed_config.deepspeed_config_file is missing"
        )
    beside = accelerate_config.parent
    for file in (beside / named, beside / Path(named).name, Path(named)):
        if file.is_file():
            return file
    raise ValueError(
        f"{accelerate_config}: deepspeed_config_file {named}: no such file beside it in {beside.resolve()} or from "
        f"{Path.cwd()}"
    )


def read_zero(deepspeed_config: Path, precision: str = "fp32") -> dict[str, Any]:
    """The fields of a `Strategy` that a DeepSpeed config decides.

    Args:
        precision: where the DeepSpeed config names none.

    Raises:
        ValueError: a stage other than 2 and 3; names the file.
    """
    config = json.loads(deepspeed_config.read_text(encoding="utf-8"))
    zero = config["zero_optimization"]
    if zero["stage"] not in (2, 3):
        raise ValueError(f"{deepspeed_config}: zero_optimization.stage is {zero['stage']}, expected 2 or 3")
    return {
        "zero_stage": zero["stage"],
        "precision": next(
            (name for name in ("fp16", "bf16") if config.get(name, {}).get("enabled") is True), precision
        ),
        "bucket": int(zero.get("reduce_bucket_size", DEFAULT_BUCKET)),
        "reuse": int(zero.get("stage3_max_reuse_distance", DEFAULT_REUSE)) if zero["stage"] == 3 else 0,
        "offload_optimizer": zero.get("offload_optimizer", {}).get("device", "none") != "none",
        "offload_weights": zero.get("offload_param", {}).get("device", "none") != "none",
    }
