"""A process that waits for others which never come says so, gives up in time and hears signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import torch.distributed as dist

from harness.machine import peers
from harness.machine.peers import await_peers
from harness.scoring.eval_command import run
from training.config import parse

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> str:
    """Where two processes are to meet; this one is the first of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(peers, "_stores", [])
    monkeypatch.setattr(peers, "FIRST_WORD", 0.1)
    monkeypatch.setattr(peers, "EVERY", 0.1)
    monkeypatch.setattr(peers, "POLL", 0.02)
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    return f"127.0.0.1:{port}"


@pytest.mark.parametrize(("rank", "missing"), [("0", "rank 1"), ("1", "rank 0")])
def test_it_says_for_whom_and_where_again_and_again_and_gives_up(
    rank: str, missing: str, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(TimeoutError, match=f"for 1 of 2 processes at {place}, in vain: {missing} did not come.*--wait"):
        await_peers(0.5, "--wait")
    said = [entry for entry in caplog.messages if entry.startswith(f"waiting for 1 of 2 processes at {place}")]
    assert len(said) >= 2


def test_it_first_says_so_within_a_minute_and_then_every_minute() -> None:
    assert (peers.FIRST_WORD, peers.EVERY) == (10, 60)


def test_it_goes_on_in_silence_when_the_other_is_there(
    place: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "FIRST_WORD", 10)

    def come() -> None:
        client = dist.TCPStore(  # type: ignore[attr-defined]
            "127.0.0.1", int(place.partition(":")[2]), 2, False, timedelta(seconds=20), wait_for_workers=False
        )
        client.set("here/0/1", "")

    other = threading.Thread(target=come)
    other.start()
    await_peers(20, "--wait")
    other.join()
    assert not caplog.messages


def test_one_process_waits_for_nobody(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    await_peers(0.0, "--wait")


@pytest.mark.parametrize("model", ["hf-any", "hf"])
def test_scoring_gives_up_when_it_is_told_to(model: str, place: str, byte_llama: Path) -> None:
    asked = ["--model", model, "--model_args", f"pretrained={byte_llama}", "--tasks", "crows_pairs"]
    with pytest.raises(TimeoutError, match=f"waited 1 s for 1 of 2 processes at {place}"):
        run([*asked, "--ddp-timeout", "1"])


def test_training_gives_up_when_it_is_told_to(place: str, byte_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=f"waited 1 s for 1 of 2 processes at {place}"):
        parse(["--model-name-or-path", str(byte_llama), "--output-dir", str(tmp_path), "--ddp-timeout", "1"])


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """What starts inside hears it, also where the test run is a shell's background job, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize(
    ("module", "number", "code", "last"),
    [
        ("training", signal.SIGINT, 130, "every complete checkpoint stays"),
        ("harness", signal.SIGTERM, 143, "what is in OUT is complete"),
    ],
)
def test_a_signal_ends_a_process_that_waits_with_a_last_line(
    module: str, number: int, code: int, last: str, place: str, byte_llama: Path, tmp_path: Path, hears_ctrl_c: None
) -> None:
    asked = {
        "training": ["--model-name-or-path", str(byte_llama), "--output-dir", "OUT", "--data-dir", "sample"],
        "harness": [
            "eval",
            "--model-args",
            f"pretrained={byte_llama}",
            "--tasks",
            "crows_pairs",
            "--output-path",
            "OUT",
        ],
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", module, *asked[module]]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if f"waiting for 1 of 2 processes at {place}" in line:
                break
        process.send_signal(number)
        sent = time.monotonic()
        said = process.stderr.read()
        assert process.wait() == code
        assert time.monotonic() - sent < 5
    assert re.search("stopped by (SIGTERM|Ctrl-C)", said.splitlines()[-1])
    assert last in said.splitlines()[-1]
