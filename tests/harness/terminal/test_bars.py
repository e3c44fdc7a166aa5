"""Progress bars are for whoever watches a terminal; a file gets a line now and then."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from harness.terminal import bars
from harness.terminal.bars import progress

DRAW = """
from harness.terminal.bars import bars_on_terminals_only, progress
bars_on_terminals_only()
from harness.terminal.libraries import take_over_libraries
take_over_libraries()
from tqdm import tqdm
list(tqdm(range(3), desc="theirs", disable=False))
with progress(3, "ours") as bar:
    bar.update(3)
"""


def drawn_into_a_file(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", DRAW], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def drawn_on_a_terminal(**environment: str) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", DRAW], env={**os.environ, **environment}, stderr=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        text += part
        if not part:
            break
    assert process.wait() == 0
    os.close(ours)
    return text.decode()


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


def test_a_file_gets_no_bars_of_ours_nor_of_a_library_that_insists() -> None:
    assert drawn_into_a_file() == ""


def test_a_terminal_gets_both() -> None:
    text = drawn_on_a_terminal()
    assert "theirs: 100%" in text
    assert "ours: 100%" in text


def test_of_a_launch_only_the_first_process_draws() -> None:
    assert drawn_on_a_terminal(RANK="1") == ""


def test_bars_can_be_asked_for_in_a_file() -> None:
    assert "ours: 100%" in drawn_into_a_file(TQDM_DISABLE="")


def test_hours_of_work_tell_in_a_file_how_far_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    now = 0.0
    monkeypatch.setattr(bars.time, "monotonic", lambda: now)
    with progress(40, "Scoring") as bar:
        for minutes in range(20):
            now = 60.0 * (minutes + 1)
            bar.update(2)
    # The end is told by whoever is done.
    assert caplog.messages == ["scoring: 20 of 40, some 10 min left"]
