"""Whether freed memory is kept on a CPU: a faster step, where the machine has room for the holes that it leaves."""

from __future__ import annotations

import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any

import psutil
from transformers import TrainerCallback, TrainerControl, TrainerState

from harness.machine.allocator import keep_freed_memory
from training.config import TrainingArguments

log = logging.getLogger(__name__)

ROOM = 3
"""How many times the peak of the first step has to be there: keeping took up to 1.9 times as much, and the first batch
may be of short sentences."""
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


class KeptMemory(TrainerCallback):
    """From the second step on, on a CPU: freed memory is kept if every process here could take `ROOM` times its peak.

    Until then it is handed back (`hand_freed_memory_back`), as `stereoscope plan` counts.
    """

    def __init__(self) -> None:
        self._decided = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Decide once, when the weights, their gradients and the optimizer's state are there."""
        if self._decided or args.device.type != "cpu":
            return
        self._decided = True
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if has_room(peak_bytes(), free_bytes(), processes):
            keep_freed_memory()
            log.debug("freed memory is kept from here on")


def has_room(peak: int, free: int, processes: int) -> bool:
    """Whether each of so many processes could grow from `peak` bytes to `ROOM` times as many at once."""
    return (ROOM - 1) * peak * processes <= free


def peak_bytes() -> int:
    """The most that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_bytes() -> int:
    """What the machine can still give, or this container, if that is less."""
    free = int(psutil.virtual_memory().available)
    for limit, used in _CGROUPS:
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # another kind of cgroup, or "max"
            continue
    return free
