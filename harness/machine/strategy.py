"""How a training run is spread over devices, read from its accelerate config and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.storage.names import exists
from harness.storage.reading import brief_name, parse_yaml, read_object, require_object, shown
from harness.storage.text import read_text

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
    if precision not in ("fp32", "fp16", "bf16"):
        found = shown(launch["mixed_precision"])
        raise ValueError(f"{accelerate_config}: mixed_precision is {found}, expected no, fp16 or bf16")
    machines = _count(launch, "num_machines", str(accelerate_config))
    spread = Strategy(
        processes=_count(launch, "num_processes", str(accelerate_config)),
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
    launch = parse_yaml(read_text(accelerate_config), str(accelerate_config))
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
    settings = require_object(launch.get("deepspeed_config") or {}, f"{accelerate_config}, deepspeed_config")
    named = settings.get("deepspeed_config_file")
    if not named or not isinstance(named, str):
        raise ValueError(
            f"{accelerate_config}: distributed_type is DEEPSPEED, and deepspeed_config.deepspeed_config_file is "
            f"{'missing' if not named else shown(named)}; expected the path of DeepSpeed's own config"
        )
    beside = accelerate_config.parent
    for file in (beside / named, beside / Path(named).name, Path(named)):
        if exists(file) and file.is_file():
            return file
    raise ValueError(
        f"{accelerate_config}: deepspeed_config_file {brief_name(named)}: no such file beside it in {beside.resolve()} "
        f"or from {Path.cwd()}"
    )


def read_zero(deepspeed_config: Path, precision: str = "fp32") -> dict[str, Any]:
    """The fields of a `Strategy` that a DeepSpeed config decides.

    Args:
        precision: where the DeepSpeed config names none.

    Raises:
        ValueError: a stage other than 2 and 3, or no such config; names the file.
    """
    config, file = read_object(deepspeed_config), str(deepspeed_config)

    def part(owner: Mapping[str, Any], name: str) -> dict[str, Any]:
        return require_object(owner.get(name) or {}, f"{file}, {name}")

    zero = part(config, "zero_optimization")
    stage = zero.get("stage")
    if stage not in (2, 3) or not isinstance(stage, int):
        raise ValueError(f"{file}: zero_optimization.stage is {shown(stage)}, expected 2 or 3")
    return {
        "zero_stage": stage,
        "precision": next((name for name in ("fp16", "bf16") if part(config, name).get("enabled") is True), precision),
        "bucket": _count(zero, "reduce_bucket_size", file, DEFAULT_BUCKET),
        "reuse": _count(zero, "stage3_max_reuse_distance", file, DEFAULT_REUSE) if stage == 3 else 0,
        "offload_optimizer": part(zero, "offload_optimizer").get("device", "none") != "none",
        "offload_weights": part(zero, "offload_param").get("device", "none") != "none",
    }


def _count(owner: Mapping[str, Any], name: str, file: str, default: int = 1) -> int:
    """A setting that counts something; DeepSpeed's configs write 5e8 too."""
    value = owner.get(name, default)
    try:
        count = int(value)
    except (TypeError, ValueError, OverflowError):
        count = 0
    if count < 1:
        raise ValueError(f"{file}: {name} is {shown(value)}, expected a number of 1 or more")
    return count
