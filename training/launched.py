"""What the launcher asked of this machine's processes, read from their environment before anything is set up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.machine.strategy import Strategy, read_zero


def under_deepspeed(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether accelerate's launcher was given a DeepSpeed config."""
    return environment.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"


def asked_here(precision: str | None, gpu_by_default: bool, environment: Mapping[str, str] = os.environ) -> Strategy:
    """The strategy of the processes of this machine, as `accelerate launch` left it in their environment.

    Args:
        precision: of the settings, which win; None leaves it to accelerate's and DeepSpeed's configs.
        gpu_by_default: whether a process takes a GPU where nothing is said.
    """
    cpu = environment.get("ACCELERATE_USE_CPU", "false").lower() in ("true", "1", "yes")
    # accelerate's launcher puts a config's `gpu_ids` here.
    named = environment.get("CUDA_VISIBLE_DEVICES", "")
    found: Any = precision or environment.get("ACCELERATE_MIXED_PRECISION", "no").replace("no", "fp32")
    spread = Strategy(
        processes=int(environment.get("LOCAL_WORLD_SIZE", "1")),
        precision=found,
        gpu=not cpu and (gpu_by_default or named not in ("", "-1")),
    )
    if under_deepspeed(environment) and (file := environment.get("ACCELERATE_DEEPSPEED_CONFIG_FILE")):
        return replace(spread, **read_zero(Path(file), found))
    return spread


def without_compiling() -> None:
    """Keep DeepSpeed on the CPU from building its shared-memory extension, which takes a compiler and a minute.

    To be called before the process group is made; gloo serves it instead.
    """
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
