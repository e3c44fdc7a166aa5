"""Progress bars where somebody watches; in a file a line now and then says how far it is."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from harness.terminal.logs import is_first_process

# The first of these lines comes after as long, so that what takes minutes adds none.
SECONDS_BETWEEN_LINES = 600
log = logging.getLogger(__name__)


class Counts(Protocol):
    """Is told how many more are done."""

    def update(self, n: int = 1) -> object:
        """So many more."""


def bars_on_terminals_only() -> None:
    """In a program: neither it nor what it starts draws a bar into a file, nor does any but the first of a launch.

    To be called before tqdm is imported, which looks into the environment once. `TQDM_DISABLE=` (empty) in the
    environment brings the bars back into files.
    """
    if not is_first_process():
        os.environ["TQDM_DISABLE"] = "1"
    elif not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")


def bars_wanted() -> bool:
    """Whether progress is drawn, as `bars_on_terminals_only` or the user's environment has it."""
    return not os.environ.get("TQDM_DISABLE")


@contextmanager
def progress(total: int, what: str, hidden: bool = False) -> Iterator[Counts]:
    """A bar for `total` of something; where bars are not wanted, a log line every ten minutes.

    Args:
        what: stands before the bar and begins the line, "Scoring".
        hidden: neither bar nor line.
    """
    if hidden or not bars_wanted():
        yield _Lines(total, what, hidden)
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what) as bar:
        yield bar


class _Lines:
    def __init__(self, total: int, what: str, hidden: bool) -> None:
        self.total, self.what, self.hidden, self.done = total, what, hidden, 0
        self.started = self.told = time.monotonic()

    def update(self, n: int = 1) -> None:
        self.done += n
        now = time.monotonic()
        if self.hidden or now - self.told < SECONDS_BETWEEN_LINES or not 0 < self.done < self.total:
            return
        self.told = now
        left = (now - self.started) / self.done * (self.total - self.done) / 60
        log.info("%s: %d of %d, some %.0f min left", self.what.lower(), self.done, self.total, left)
