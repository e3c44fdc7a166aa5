"""A stage's command: SIGTERM is passed on to it, and after a failure it is started again if it had come further."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from harness.machine.orphans import wait_for_stages
from harness.machine.run_module import safe_environment

SECONDS_TO_SAVE = "120"
"""How long torch's launcher waits, after SIGTERM, for the checkpoint that a training stage writes; its own: 30."""
log = logging.getLogger(__name__)


class Stopped(BaseException):
    """SIGTERM came: a notebook's time is up, a node is taken back. Not an `Exception`: nothing may go on after it."""


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Inside, SIGTERM raises `Stopped` in the main thread; later ones are ignored, so that the end is orderly."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def take(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped

    before = signal.signal(signal.SIGTERM, take)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def launch(
    command: Sequence[str], environment: Mapping[str, str], restarts: int, progress: Callable[[], object]
) -> int:
    """Run a command to its end; its exit code.

    Args:
        environment: of `stage_environment`, added to the own one.
        restarts: how often it is started again after a failure, if `progress` changed since it was started last: what
            fails at the same place again would do so for ever.
    """
    while True:
        before = progress()
        code = _run(command, environment)
        wait_for_stages(environment)
        if code == 0 or restarts == 0 or progress() == before:
            return code
        log.warning("failed with exit code %d, but had come further: started again (%d left)", code, restarts - 1)
        restarts -= 1


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    whole = safe_environment({"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": SECONDS_TO_SAVE, **os.environ, **environment})
    process = subprocess.Popen(command, env=whole)
    try:
        return process.wait()
    except Stopped:
        process.terminate()
        process.wait()
        wait_for_stages(environment)
        raise
    except BaseException:
        process.kill()
        process.wait()
        raise
