"""Waiting for the other processes of a launch before they form a group: says for whom, can be stopped, gives up.

torch's own wait says nothing and hears no signal. Here the processes meet first, in the store by which they form their
group then.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

PEER_SECONDS = 1800.0
"""How long the processes of a launch are waited for, as by torch."""
HANG_SECONDS = 45.0
"""How long ranks wait for one that does nothing, before it counts as hanging."""
FIRST_WORD, EVERY = 10.0, 60.0
"""Seconds until it is said for whom, and then from one time to the next."""
POLL = 0.2
log = logging.getLogger(__name__)
_stores: list[Any] = []
"""Kept: with the last object that refers to it a store's server ends, and with it the group."""


def await_peers(seconds: float, setting: str) -> None:
    """Come back when all processes of this launch are there; one alone, and those that have met, do not wait.

    Args:
        seconds: after which to give up.
        setting: what decides that, for the message.

    Raises:
        TimeoutError: not all came; says which are missing and where they were awaited.
    """
    import torch.distributed as dist

    world_size, address = int(os.environ.get("WORLD_SIZE", "1")), os.environ.get("MASTER_ADDR")
    if world_size == 1 or not address or (dist.is_available() and dist.is_initialized()):
        return
    rank, port = int(os.environ.get("RANK", "0")), int(os.environ.get("MASTER_PORT") or "29500")
    waiting = _Waiting(world_size, f"{address}:{port}", seconds, setting)
    serves = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True)
    if not serves:
        waiting.until(lambda: [] if _listens(address, port) else [0], says=True)
    store = dist.TCPStore(  # type: ignore[attr-defined]  # torch exports it without saying so
        address,
        port,
        world_size,
        is_master=serves,
        timeout=timedelta(seconds=60),
        wait_for_workers=False,
        # As torch's own: the group takes the same server.
        multi_tenant=serves,
    )
    _stores.append(store)
    keys = [f"here/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{other}" for other in range(world_size)]
    store.set(keys[rank], "")
    waiting.until(lambda: [other for other, key in enumerate(keys) if not store.check([key])], says=rank == 0)


class _Waiting:
    """The wait of one process, from now on."""

    def __init__(self, world_size: int, place: str, seconds: float, setting: str) -> None:
        self.world_size, self.place, self.seconds, self.setting = world_size, place, seconds, setting
        self.started = time.monotonic()
        self.next_word = self.started + min(FIRST_WORD, seconds / 2)

    def until(self, missing: Callable[[], list[int]], says: bool) -> None:
        """Ask which ranks are missing until none is."""
        while ranks := missing():
            now = time.monotonic()
            who = f"{len(ranks)} of {self.world_size} processes at {self.place}"
            which = f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks[:8]))}{', ...' * (len(ranks) > 8)}"
            if now - self.started > self.seconds:
                raise TimeoutError(
                    f"waited {self.seconds:.0f} s for {who}, in vain: {which} did not come, and nothing was started. "
                    f"Start them with the same MASTER_ADDR and MASTER_PORT, or leave WORLD_SIZE away for a single "
                    f"process; {self.setting} sets how long to wait"
                )
            if says and now >= self.next_word:
                log.warning("waiting for %s (%s), for %.0f s so far", who, which, now - self.started)
                self.next_word = now + EVERY
            time.sleep(POLL)


def _listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except OSError:
        return False
