"""SIGTERM and Ctrl-C end a program with a line, whatever its main thread is at."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.machine.endings import says_what_is_kept

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import hashlib, signal, sys, time
from harness.machine import endings
endings.GRACE = 0.2
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job inherits as ignored
with endings.says_what_is_kept("all is kept"):
    print("ready", flush=True)
    {work}
"""
IN_A_LIBRARY = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"


@pytest.mark.parametrize("work", ["time.sleep(60)", IN_A_LIBRARY])
@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")])
def test_it_ends_at_once_with_what_is_kept(work: str, number: int, name: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(work=work)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        sent = time.monotonic()
        assert process.stderr.read() == f"stereoscope: stopped by {name}; all is kept\n"
        assert process.wait() == 128 + number
        assert time.monotonic() - sent < 5


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with says_what_is_kept("all"):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
