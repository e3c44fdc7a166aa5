"""Ranks watch each other: one that dies or hangs is named, and the others end instead of waiting for it for ever.

Every second a thread of each rank publishes how far the main thread has come, and reads the same of the others. It
ends its process when another rank is gone, or when the main thread has come no further for too long.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal

import torch.distributed as dist

from harness.orphans import process_state
from training.config import TrainingArguments

TICK = 1.0
QUIET = 10.0
"""Seconds without a sign of life after which a rank counts as silent."""
LONGEST_TICK = 15.0
"""A longer pause was this machine's (a suspended laptop), and says nothing about the others."""
DONE = "done"
log = logging.getLogger("training")


@dataclass(frozen=True)
class Record:
    """What a rank says of itself. `waiting`: for other ranks, in a collective; `ended`: why, or `DONE`."""

    machine: str
    host: str
    pid: int
    beat: int = 0
    marks: int = 0
    phase: str = "starting"
    idle: float = 0.0
    place: str = ""
    waiting: bool = False
    ended: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Seen:
    """A rank as another sees it: its last record, for how many seconds that has not changed, and its process."""

    record: Record
    quiet: float = 0.0
    process: Literal["alive", "stopped", "gone", "elsewhere"] = "alive"


def judge(own_rank: int, ranks: Mapping[int, Seen], patience: float, limit: float | None) -> tuple[str, list[int]]:
    """What is wrong, and with which ranks; nothing ("", []) as long as all is well.

    Args:
        patience: seconds that a stopped process gets to go on.
        limit: seconds that the own main thread gets for its phase; None: as long as it takes.
    """
    for rank, seen in ranks.items():
        if rank != own_rank and seen.record.ended != DONE and _is_gone(seen):
            why = seen.record.ended or "killed, perhaps for want of memory (`dmesg` would say so)"
            return f"rank {rank} ({seen.record}) ended in phase `{seen.record.phase}`: {why}", [rank]
    stopped = [rank for rank, seen in ranks.items() if seen.process == "stopped" and seen.quiet > patience]
    if stopped:
        return _named(stopped, ranks, "is stopped (SIGSTOP), and gave no sign of life for {quiet:.0f} s"), stopped
    own = ranks[own_rank].record
    if limit is None or own.idle <= limit:
        return "", []
    at_work = {rank: seen for rank, seen in ranks.items() if seen.record.ended != DONE}
    if silent := [rank for rank, seen in at_work.items() if rank != own_rank and seen.quiet > QUIET]:
        return _named(silent, ranks, "gave no sign of life for {quiet:.0f} s; last phase `{record.phase}`"), silent
    busy = [rank for rank, seen in at_work.items() if not seen.record.waiting]
    first = min(seen.record.marks for seen in at_work.values())
    behind = [rank for rank, seen in at_work.items() if seen.record.marks == first]
    blamed = busy if len(busy) < len(at_work) and busy else behind
    what = "hangs: no progress for {record.idle:.0f} s in `{record.phase}`, {record.place}"
    return _named(blamed, ranks, what), blamed


def _is_gone(seen: Seen) -> bool:
    return seen.process == "gone" or (seen.process == "elsewhere" and bool(seen.record.ended) and seen.quiet > QUIET)


def _named(blamed: list[int], ranks: Mapping[int, Seen], what: str) -> str:
    return "; ".join(
        f"rank {rank} ({ranks[rank].record}) {what.format(record=ranks[rank].record, quiet=ranks[rank].quiet)}"
        for rank in blamed
    )


class Watch:
    """Watches the ranks of a run while it is entered; `mark` is the main thread's sign of progress.

    Args:
        patience: seconds without progress in a training step, on top of three times the longest step so far.
    """

    def __init__(self, args: TrainingArguments, patience: float) -> None:
        self.rank, self.patience, self.slow = args.process_index, patience, float(args.ddp_timeout)
        self.limit: float | None = None
        self._pace = "any"
        self._longest = 0.0
        self._marked = time.monotonic()
        self._own = Record(_machine(), socket.gethostname(), os.getpid())
        self._peers = _Peers(args.world_size, args.process_index) if args.world_size > 1 else None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def mark(self, phase: str, pace: Literal["step", "slow", "any"]) -> None:
        """The main thread came further, and enters a phase.

        Args:
            pace: how long it may take: a training step, as long as ranks wait for each other at most (a checkpoint),
                or any time (loading a model).
        """
        now = time.monotonic()
        if self._pace == "step":
            self._longest = max(self._longest, now - self._marked)
        self._marked, self._pace = now, pace
        with self._lock:
            self._own = replace(self._own, marks=self._own.marks + 1, phase=phase, idle=0.0)
            self.limit = {"step": self.patience + 3 * self._longest, "slow": self.slow, "any": None}[pace]

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = error is not None and not isinstance(error, SystemExit)
        self._say_ended(f"{type(error).__name__}: {error}"[:500] if failed else DONE)
        if failed and self._peers is not None:
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
        last = time.monotonic()
        while not self._stop.wait(TICK):
            now = time.monotonic()
            passed, last = now - last, now
            if passed > LONGEST_TICK:
                continue
            with self._lock:
                idle = self._own.idle + passed
                place, waiting = _place() if idle > QUIET / 2 else ("", False)
                self._own = replace(self._own, beat=self._own.beat + 1, idle=idle, place=place, waiting=waiting)
                own, limit = self._own, self.limit
            ranks = {self.rank: Seen(own)} | (self._peers.exchange(own, passed) if self._peers is not None else {})
            wrong, blamed = judge(self.rank, ranks, self.patience, limit)
            if wrong:
                self._end(wrong, [ranks[rank] for rank in blamed])

    def _end(self, wrong: str, blamed: list[Seen]) -> None:
        log.error("%s. Rank %d ends; the same command goes on from the newest complete checkpoint", wrong, self.rank)
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


class _Peers:
    """The other ranks' records, through the store by which the process group was made."""

    def __init__(self, world_size: int, rank: int) -> None:
        # A connection of its own: one that the main thread waits on would be blocked.
        self._store = dist.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=timedelta(seconds=5),
        )
        self._prefix = f"watch/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        self._rank = rank
        self._others = [other for other in range(world_size) if other != rank]
        self._seen: dict[int, Seen] = {}

    def exchange(self, own: Record, passed: float) -> dict[int, Seen]:
        """Publish the own record, and see the others, of whom nothing is known until they publish for the first time.

        Args:
            passed: seconds since the last call.
        """
        found: dict[int, Record] = {}
        try:
            self._store.set(f"{self._prefix}/{self._rank}", json.dumps(asdict(own)))
            keys = {rank: f"{self._prefix}/{rank}" for rank in self._others}
            there = [rank for rank, key in keys.items() if self._store.check([key])]
            found = {rank: Record(**json.loads(self._store.get(keys[rank]))) for rank in there}
        except RuntimeError:
            # The store is rank 0's: its end or its silence shows as that of all, and judge() looks at processes first.
            pass
        for rank in self._others:
            before = self._seen.get(rank)
            record = found.get(rank, before.record if before else None)
            if record is None:
                continue
            changed = before is None or record != before.record
            quiet = 0.0 if changed or before is None else before.quiet + passed
            self._seen[rank] = Seen(record, quiet, _process(record, own.machine))
        return dict(self._seen)


def _process(record: Record, machine: str) -> Literal["alive", "stopped", "gone", "elsewhere"]:
    if record.machine != machine:
        return "elsewhere"
    state = process_state(record.pid)
    return "gone" if state is None else "stopped" if state in "Tt" else "alive"


def _machine(namespace: Path = Path("/proc/self/ns/pid"), boot: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Names where a process id means the same process: two containers may share a host name."""
    if not namespace.exists() or not boot.exists():
        return socket.gethostname()
    return f"{boot.read_text(encoding='ascii').strip()} {namespace.stat().st_ino}"


def _place() -> tuple[str, bool]:
    """Where the main thread is, and whether it waits there for other ranks."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None
    stack = traceback.extract_stack(frame)
    waiting = any("torch/distributed" in line.filename or line.name == "_engine_run_backward" for line in stack)
    return f"{stack[-1].filename}, line {stack[-1].lineno}, {stack[-1].name}", waiting
