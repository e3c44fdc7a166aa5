"""A stage that fails is started again while it gets further; one that is stopped may save first."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.experiments.launching import launch
from harness.machine.orphans import only_run, stage_environment

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with only_run(tmp_path / "run"):
        yield stage_environment(tmp_path / "run")


def stage(tmp_path: Path, script: str) -> tuple[list[str], Callable[[], int]]:
    """A shell script that adds a line to a file each time it starts, and how many lines there are."""
    starts = tmp_path / "starts"
    starts.touch()
    return ["sh", "-c", f"echo started >> {starts}; {script}"], lambda: len(starts.read_text().splitlines())


def test_a_stage_that_gets_further_is_started_again_as_often_as_allowed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    command, starts = stage(tmp_path, "exit 3")
    assert launch(command, environment, restarts=2, progress=starts) == 3
    assert starts() == 3


def test_a_stage_that_succeeds_the_second_time_is_not_started_again(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    command, starts = stage(tmp_path, f"test $(wc -l < {tmp_path}/starts) = 2")
    assert launch(command, environment, restarts=9, progress=starts) == 0
    assert starts() == 2


def test_a_stage_that_fails_at_the_same_place_is_not_started_again(tmp_path: Path, environment: dict[str, str]) -> None:
    command, starts = stage(tmp_path, "exit 1")
    assert launch(command, environment, restarts=9, progress=lambda: 0) == 1
    assert starts() == 1


def test_sigterm_reaches_the_stage_and_waits_for_what_it_saves(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from harness.experiments.launching import Stopped, launch, sigterm_raises
from harness.machine.orphans import only_run, stage_environment
try:
    run = Path({str(tmp_path)!r}) / "run"
    with sigterm_raises(), only_run(run):
        script = "trap 'sleep 1; touch {tmp_path}/saved; exit 75' TERM; touch {tmp_path}/started; "
        script += "while :; do sleep 0.1; done"
        launch(["sh", "-c", script], stage_environment(run), 9, lambda: None)
except Stopped:
    raise SystemExit(7)
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    while not (tmp_path / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 7
    assert (tmp_path / "saved").exists()
