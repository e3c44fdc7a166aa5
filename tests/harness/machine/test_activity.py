"""A process that computes, writes, or waits for a child that computes is at work; one that sleeps is not."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.machine.activity import Activity


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def in_a_process_of_its_own(check: Callable[[], None]) -> int | None:
    """The exit code of a fork, which has neither the threads nor the children that other tests left here."""
    process = multiprocessing.get_context("fork").Process(target=check)
    process.start()
    process.join()
    return process.exitcode


def sleeps() -> None:
    activity = Activity()
    time.sleep(0.3)
    assert not activity.since(0.3)


def computes() -> None:
    activity = Activity()
    burn(0.2)
    assert not activity.since(0.2)


def test_a_sleeping_process_does_nothing() -> None:
    assert in_a_process_of_its_own(sleeps) == 0


def test_reading_the_clocks_is_no_work() -> None:
    """What the calling thread does is left out, however much."""
    assert in_a_process_of_its_own(computes) == 0


def test_another_thread_that_computes_is_work() -> None:
    activity = Activity()
    thread = threading.Thread(target=burn, args=(0.2,))
    thread.start()
    thread.join()
    assert activity.since(1.0)


def test_a_computing_child_is_work() -> None:
    activity = Activity()
    program = "import time\nprint(flush=True)\nwhile time.process_time() < 30: pass"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        activity.since(1.0)
        time.sleep(1.0)
        assert activity.since(1.0)
        child.kill()


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not count what processes write")
def test_writing_to_storage_is_work(tmp_path: Path) -> None:
    activity = Activity()
    activity.since(0.1)
    with (tmp_path / "checkpoint").open("wb") as file:
        file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    if activity._storage_bytes() == 0:
        pytest.skip("the temporary folder lies in memory")
    assert activity.since(1000.0)
