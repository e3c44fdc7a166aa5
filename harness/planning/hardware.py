"""The machines that a plan can be made for: their GPUs' memory, what they compute in, and the host's memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.planning.memory import GIB

CONTEXT = 0.4
"""GiB of a GPU that its driver and libraries take before anything is trained."""


@dataclass(frozen=True)
class Machine:
    """`gpu_gib` is the memory of one GPU as `nvidia-smi` tells it, `host_gib` the machine's own; 0 GPUs: the CPU."""

    gpus: int
    gpu_gib: float
    bf16: bool
    host_gib: float

    def usable(self, processes: int) -> float:
        """GiB that each of the processes can take: a GPU's, or its part of the host's."""
        return self.gpu_gib - CONTEXT if self.gpus else self.host_gib / processes


def _host() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


MACHINES: Mapping[str, Machine] = {
    # Host memory of the two notebook machines is assumed (reports say 29 to 32), of the others as this machine has it.
    "t4x2": Machine(2, 15.0, bf16=False, host_gib=29),
    "p100": Machine(1, 15.9, bf16=False, host_gib=29),
    "t4": Machine(1, 15.0, bf16=False, host_gib=_host()),
    "l4": Machine(1, 22.5, bf16=True, host_gib=_host()),
    "rtx3090": Machine(1, 24.0, bf16=True, host_gib=_host()),
    "rtx4090": Machine(1, 24.0, bf16=True, host_gib=_host()),
    "a100-40": Machine(1, 40.0, bf16=True, host_gib=_host()),
    "a100-80": Machine(1, 80.0, bf16=True, host_gib=_host()),
    "cpu": Machine(0, 0, bf16=True, host_gib=_host()),
}


CPU_INFO = Path("/proc/cpuinfo")
_BF16 = ("amx_bf16", "avx512_bf16")
"""A CPU without these computes in bf16, too, and slower than in fp32."""


def bf16_instructions() -> str | None:
    """The instructions by which this machine's CPU multiplies in bf16, the best that it has; None if not known."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return next((name for name in _BF16 if name in flags), None)


def machine(name: str, host_gib: float | None = None) -> Machine:
    """A machine of the table, with another host memory where one is given.

    Raises:
        ValueError: the table has no such machine; names those that it has.
    """
    if name not in MACHINES:
        raise ValueError(f"device {name!r} is not known; there are {', '.join(MACHINES)}")
    return MACHINES[name] if host_gib is None else replace(MACHINES[name], host_gib=host_gib)
