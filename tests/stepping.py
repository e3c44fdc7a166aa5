"""Three steps of two ranks under a watch, each three times as long as a hang takes to show: what its tests let them do.

In the first both ranks pause, in the second rank 1 computes while rank 0 waits for it, and in the third rank 1 does
what `last` says: `pause` as before, `hang`, or `compute for ever`.
"""

from __future__ import annotations

import os
import time

import torch
import torch.distributed as dist

from harness.machine import watch as watching

HANG_SECONDS = 0.6


def compute(seconds: float) -> None:
    numbers, end = torch.rand(64, 64), time.monotonic() + seconds
    while time.monotonic() < end:
        numbers @ numbers


def pause() -> None:
    time.sleep(3 * HANG_SECONDS)


def run(last: str) -> None:
    """This rank's steps."""
    rank = int(os.environ["RANK"])
    ways = {"pause": pause, "hang": lambda: time.sleep(60), "compute for ever": lambda: compute(60)}
    steps = [(pause, pause), (lambda: None, lambda: compute(3 * HANG_SECONDS)), (pause, ways[last])]
    watching.TICK = 0.1
    dist.init_process_group("gloo")
    with watching.Watch(rank, 2, patience=HANG_SECONDS, slow=60) as watch:
        for number, step in enumerate(steps, start=1):
            watch.mark(f"step {number}", "first step" if number == 1 else "step")
            step[rank]()
            dist.barrier()
    dist.destroy_process_group()
