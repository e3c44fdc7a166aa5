"""Ranks watch each other: one that dies or hangs is named, and the others end instead of waiting for it for ever.

Every second a thread of each rank publishes how far the main thread has come and whether the process is at work, and
reads the same of the others. It ends its process when another rank is gone, when ranks wait for one that does nothing,
or when a step takes many times as long as any before. A process without others waits for nobody, and is not watched.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Literal, NamedTuple

from harness.machine.activity import Activity
from harness.machine.peers import HANG_SECONDS, PEER_SECONDS
from harness.machine.processes import join_processes
from harness.machine.ranks import AMPLE, DONE, Peers, Seen, is_gone, judge, own_record

TICK = 1.0
LONGEST_TICK = 15.0
"""A longer pause was this machine's (a suspended laptop), and says nothing about the others."""
log = logging.getLogger(__name__)


class Watch:
    """Watches the ranks of a launch while it is entered; `mark` is the main thread's sign of progress.

    Args:
        patience: seconds that ranks may wait while no other does anything, or that one may be stopped. A training
            step gets `AMPLE` times that, on top of three times the longest step so far.
        slow: seconds that a phase may take that ranks wait for, such as the first step or a checkpoint.
        settings: what to set where nothing hangs, for the message.
    """

    def __init__(
        self, rank: int, world_size: int, patience: float, slow: float | None = None, settings: str = "hang_seconds"
    ) -> None:
        self.rank, self.patience, self.slow, self.settings = rank, patience, slow, settings
        self.limit: float | None = None
        self._in_step = False
        self._longest = 0.0
        self._marked = time.monotonic()
        self._own = own_record()
        self._peers = Peers(world_size, rank) if world_size > 1 else None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def mark(self, phase: str, pace: Literal["first step", "step", "slow", "any"]) -> None:
        """The main thread came further, and enters a phase.

        Args:
            pace: how long it may take while ranks are at work: a training step, as long as ranks wait for each other
                at most (the first step, a checkpoint), or any time (loading a model).
        """
        now = time.monotonic()
        if self._in_step:
            self._longest = max(self._longest, now - self._marked)
        self._marked, self._in_step = now, pace in ("first step", "step")
        step = AMPLE * self.patience + 3 * self._longest
        with self._lock:
            self._own = replace(self._own, marks=self._own.marks + 1, phase=phase, idle=0.0, still=0.0, waited=0.0)
            self.limit = {"first step": self.slow, "step": step, "slow": self.slow, "any": None}[pace]

    def __enter__(self) -> Watch:
        if self._peers is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._peers is None:
            return
        failed = error is not None and not isinstance(error, SystemExit)
        self._say_ended(f"{type(error).__name__}: {error}"[:500] if failed else DONE)
        if failed:
            # Most often this error comes of another rank's death, which the thread sees a moment later.
            time.sleep(3 * TICK)
        self._stop.set()
        self._thread.join()

    def _say_ended(self, why: str) -> None:
        with self._lock:
            self._own = replace(self._own, ended=why)
        if self._peers is not None:
            self._peers.exchange(self._own, 0.0)

    def _run(self) -> None:
        activity = Activity()
        last = time.monotonic()
        while not self._stop.wait(TICK):
            now = time.monotonic()
            passed, last = now - last, now
            active = activity.since(passed)
            if passed > LONGEST_TICK:
                continue
            with self._lock:
                main = _main_thread()
                # One that waits in a collective may compute all the same: NCCL asks again and again.
                still = 0.0 if active and not main.in_collective else self._own.still + passed
                self._own = replace(
                    self._own,
                    beat=self._own.beat + 1,
                    idle=self._own.idle + passed,
                    still=still,
                    place=main.place,
                    waiting=main.waiting,
                    waited=self._own.waited + passed if main.waiting else 0.0,
                )
                own, limit = self._own, self.limit
            ranks = {self.rank: Seen(own)} | (self._peers.exchange(own, passed) if self._peers is not None else {})
            wrong, blamed = judge(self.rank, ranks, self.patience, limit)
            if wrong:
                self._end(wrong, [ranks[rank] for rank in blamed])

    def _end(self, wrong: str, blamed: list[Seen]) -> None:
        log.error("%s. Rank %d ends; the same command goes on from what is complete", wrong, self.rank)
        if not any(is_gone(seen) for seen in blamed):
            log.error("Where nothing hangs and it is only slow, set %s higher", self.settings)
        if not self._own.ended:
            self._say_ended(f"because {wrong}"[:500])
            # The others read this before the process, and with rank 0 the store, is gone.
            time.sleep(2 * TICK)
        for seen in blamed:
            if seen.process == "stopped":
                # The launcher's SIGTERM does not wake it: it would wait for half a minute.
                os.kill(seen.record.pid, signal.SIGKILL)
        sys.stderr.flush()
        os._exit(1)


@contextmanager
def watched_scoring(hang_seconds: float = HANG_SECONDS, ddp_timeout: float = PEER_SECONDS) -> Iterator[None]:
    """Joins the processes that `accelerate launch` started for scoring, and watches them if they are several.

    Args:
        hang_seconds: after which one that does nothing hangs, if others wait for it.
        ddp_timeout: seconds to wait for all of them to come.

    Raises:
        TimeoutError: not all came.
    """
    state = join_processes(ddp_timeout)
    if state.num_processes == 1:
        yield
        return
    settings = f"hang_seconds (now {hang_seconds:g})"
    with Watch(state.process_index, state.num_processes, patience=hang_seconds, settings=settings) as watch:
        watch.mark("scoring", "any")
        yield


class _MainThread(NamedTuple):
    """Where the main thread is, and whether it waits there for other ranks."""

    place: str
    waiting: bool
    in_collective: bool


def _main_thread() -> _MainThread:
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None
    place = "" if frame is None else f"{frame.f_code.co_filename}, line {frame.f_lineno}, {frame.f_code.co_name}"
    stack = [] if frame is None else [one.f_code for one, _ in traceback.walk_stack(frame)]
    # DDP's own file holds the whole forward pass; only where it hands buffers round does it wait.
    in_collective = any(
        "torch/distributed" in code.co_filename or code.co_name == "_distributed_broadcast_coalesced" for code in stack
    )
    # A backward pass waits for the others' gradients at its end, and computes until then.
    waiting = in_collective or any(code.co_name == "_engine_run_backward" for code in stack)
    return _MainThread(place, waiting, in_collective)
