"""SIGTERM and Ctrl-C end a program at once, and its last line says what is kept."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

GRACE = 3.0
"""Seconds after Ctrl-C in which the main thread may end by itself."""
INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def says_what_is_kept(kept: str) -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C end this process with a line, even while its main thread waits inside a library.

    Python's own handlers would have to wait for the library: for another process, perhaps for ever.

    Args:
        kept: what the line says after "stopped by SIGTERM; ".

    Raises:
        SystemExit: 130, after Ctrl-C. SIGTERM ends the process, with 143, without a chance for anybody.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    done = threading.Event()
    # Python writes a signal's number to the pipe where it has a handler for it, whatever the main thread is at.
    handler = signal.signal(signal.SIGTERM, lambda number, frame: None)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def listen() -> None:
        while number := os.read(reading, 1):
            if number[0] == signal.SIGTERM:
                _end("SIGTERM", kept, 128 + signal.SIGTERM)
            if number[0] == signal.SIGINT and not done.wait(GRACE):
                _end("Ctrl-C", kept, INTERRUPTED)
        os.close(reading)

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        _say("Ctrl-C", kept)
        raise SystemExit(INTERRUPTED) from None
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGTERM, handler)
        os.close(writing)


def _say(what: str, kept: str) -> None:
    sys.stdout.flush()
    print(f"stereoscope: stopped by {what}; {kept}", file=sys.stderr, flush=True)


def _end(what: str, kept: str, code: int) -> None:
    _say(what, kept)
    os._exit(code)
