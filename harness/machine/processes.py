"""Which processes score together: those of one `accelerate launch`, on GPUs and on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from harness.machine.peers import PEER_SECONDS, await_peers

# As lm-eval sets it: a process that is done waits for the slowest one. The watch ends it where none is at work.
TIMEOUT = timedelta(weeks=52)


def join_processes(seconds: float = PEER_SECONDS) -> PartialState:
    """Form the process group, unless it is there already; without a launcher it is this process alone.

    Args:
        seconds: how long to wait for the others to come.

    Raises:
        TimeoutError: not all came.
        ValueError: fewer processes found each other than were launched.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    await_peers(seconds, "ddp_timeout")
    with processes_on_cpu():
        on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU")
        state = PartialState(cpu=on_cpu, **({"timeout": TIMEOUT} if launched > 1 else {}))
    if state.num_processes != launched:
        raise ValueError(
            f"{launched} processes were launched and {state.num_processes} found each other, so each would score "
            "every document. On CPU launch with `accelerate launch --config_file accelerate_configs/cpu_2proc.yaml`"
        )
    return state


@contextmanager
def processes_on_cpu() -> Iterator[None]:
    """Lets accelerate start a process group on a machine without GPUs, where every rank would score everything else.

    The variable that says so is taken back, since DeepSpeed in a child of this process would give way to DDP by it.
    """
    name = "ACCELERATE_USE_CPU"
    if torch.cuda.is_available() or name in os.environ:
        yield
        return
    os.environ[name] = "true"
    try:
        yield
    finally:
        del os.environ[name]
