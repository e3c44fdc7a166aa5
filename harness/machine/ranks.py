"""What the ranks of a launch tell each other of themselves, and who of them is to blame when one is gone or hangs."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch.distributed as dist

from harness.machine.orphans import process_state

QUIET = 10.0
"""Seconds without a sign of life after which a rank counts as silent."""
AMPLE = 10
"""How much longer than a hang needs to show, what may be healthy and slow gets: a step, or a pause that all share."""
DONE = "done"


@dataclass(frozen=True)
class Record:
    """What a rank says of itself.

    `idle`: seconds since its main thread came further; `still`: seconds in which the process did nothing but wait for
    other ranks; `waiting`: for other ranks, in a collective, and `waited`: for how many seconds without a break;
    `ended`: why, or `DONE`.
    """

    machine: str
    host: str
    pid: int
    beat: int = 0
    marks: int = 0
    phase: str = "starting"
    idle: float = 0.0
    still: float = 0.0
    place: str = ""
    waiting: bool = False
    waited: float = 0.0
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

    A hang is that a rank waits for others of which none does anything. Ranks that all pause, each by itself, are left
    alone for `AMPLE` times as long: none has been let down yet.

    Args:
        patience: seconds that a stopped process gets to go on, and that ranks may wait while no other does anything.
        limit: seconds that the own main thread gets for its phase; None: as long as any rank is at work.
    """
    for rank, seen in ranks.items():
        if rank != own_rank and seen.record.ended != DONE and is_gone(seen):
            why = seen.record.ended or "killed, perhaps for want of memory (`dmesg` would say so)"
            return f"rank {rank} ({seen.record}) ended in phase `{seen.record.phase}`: {why}", [rank]
    stopped = [rank for rank, seen in ranks.items() if seen.process == "stopped" and seen.quiet > patience]
    if stopped:
        return _named(stopped, ranks, "is stopped (SIGSTOP), and gave no sign of life for {quiet:.0f} s"), stopped
    at_work = {rank: seen for rank, seen in ranks.items() if seen.record.ended != DONE}
    too_slow = limit is not None and ranks[own_rank].record.idle > limit
    if not at_work or (not too_slow and not _all_stand_still(list(at_work.values()), patience)):
        return "", []
    if silent := [rank for rank, seen in at_work.items() if rank != own_rank and seen.quiet > QUIET]:
        return _named(silent, ranks, "gave no sign of life for {quiet:.0f} s; last phase `{record.phase}`"), silent
    busy = [rank for rank, seen in at_work.items() if not seen.record.waiting]
    first = min(seen.record.marks for seen in at_work.values())
    behind = [rank for rank, seen in at_work.items() if seen.record.marks == first]
    blamed = busy if len(busy) < len(at_work) and busy else behind
    what = "hangs: no progress for {record.idle:.0f} s in `{record.phase}`, {record.place}"
    return _named(blamed, ranks, what), blamed


def _all_stand_still(at_work: Sequence[Seen], patience: float) -> bool:
    still = [seen.record.still + seen.quiet for seen in at_work]
    idle = any(one > patience and not seen.record.waiting for one, seen in zip(still, at_work, strict=True))
    # On a GPU a rank that waits for others inside a backward pass seems to compute; beside an idle one it waits.
    if any(one <= patience and not (idle and seen.record.waiting) for one, seen in zip(still, at_work, strict=True)):
        return False
    waited = max(seen.record.waited for seen in at_work)
    return waited > patience or min(still) > AMPLE * patience


def is_gone(seen: Seen) -> bool:
    """Whether the process is no more."""
    return seen.process == "gone" or (seen.process == "elsewhere" and bool(seen.record.ended) and seen.quiet > QUIET)


def _named(blamed: list[int], ranks: Mapping[int, Seen], what: str) -> str:
    return "; ".join(
        f"rank {rank} ({ranks[rank].record}) {what.format(record=ranks[rank].record, quiet=ranks[rank].quiet)}"
        for rank in blamed
    )


class Peers:
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


def own_record() -> Record:
    """Of this process, at its beginning."""
    return Record(_machine(), socket.gethostname(), os.getpid())


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
