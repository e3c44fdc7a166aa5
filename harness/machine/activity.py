"""Whether a process is at work: one that is stuck neither computes nor reads or writes a file, nor do its children."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

SHARE = 0.02
"""Of one core, below which a process counts as idle; the calling thread's own use is left out."""


class Activity:
    """This process's work from one call of `since` to the next, always from the same thread."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._computed, self._transferred, self._of_children = 0.0, 0, 0.0
        self.since(0.0)

    def since(self, seconds: float) -> bool:
        """Whether anything was done since the last call, which was so many seconds ago."""
        computed = time.process_time() - time.thread_time()
        transferred = self._storage_bytes()
        active = computed - self._computed > SHARE * seconds or transferred != self._transferred
        self._computed, self._transferred = computed, transferred
        # Only then, since it looks at every process of the machine.
        return active or self._children_active(seconds)

    def _children_active(self, seconds: float) -> bool:
        before, self._of_children = self._of_children, 0.0
        for child in self._process.children(recursive=True):
            with suppress(psutil.Error):
                times = child.cpu_times()
                self._of_children += times.user + times.system
        return abs(self._of_children - before) > SHARE * seconds

    def _storage_bytes(self) -> int:
        """Read from and written to storage so far; pipes, sockets and /proc do not count."""
        try:
            counters = self._process.io_counters()
        except (AttributeError, psutil.Error):  # macOS has none, some containers forbid it
            return 0
        return int(counters.read_bytes + counters.write_bytes)
