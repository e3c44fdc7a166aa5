"""What a user sees when a process of a run dies, hangs or is told to stop, and that nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import hanging
import pytest
from forked_ranks import Ranks

from training.checkpoints import complete_checkpoints
from training.resume import newest
from training.run import main
from training.stopping import NOT_FINISHED

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
FLAGS = {
    "num_folds": 3,
    "folds": 0,
    "data_dir": "sample",
    "learning_rate": 1e-3,
    "adam_epsilon": 1e-6,
    "max_steps": 90,
    "save_strategy": "steps",
    "save_steps": 30,
    "disable_tqdm": True,
    "save_total_limit": 2,
}
pytestmark = [pytest.mark.slow, pytest.mark.distributed]


def command(model: Path, out: Path, *, processes: int = 2, **changes: object) -> list[str]:
    config = ROOT / "accelerate_configs" / ("cpu_2proc.yaml" if processes == 2 else "cpu.yaml")
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(config), "--main_process_port", "0"]
    size = {"per_device_train_batch_size": 8 // processes}
    values = {**FLAGS, **size, "model_name_or_path": model, "output_dir": out, **changes}
    flags = [word for key, value in values.items() for word in (f"--{key}", str(value))]
    return [sys.executable, *launcher, "-m", "training", *flags]


@contextmanager
def started(arguments: list[str]) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """The launcher, which is ended with its ranks if a test fails in between."""
    process = subprocess.Popen(arguments, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield process, process.stderr
    finally:
        for pid in ranks(process) if process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()


def ranks(launcher: subprocess.Popen[str]) -> list[int]:
    """The process ids of rank 0, 1, ..."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    of_rank = {}
    for child in children:
        environment = Path(f"/proc/{child}/environ").read_text().split("\0")
        of_rank[int(next((word[5:] for word in environment if word.startswith("RANK=")), 0))] = int(child)
    return [of_rank[rank] for rank in sorted(of_rank)]


def wait_for(there: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_run_told_to_stop_and_then_robbed_of_a_rank_says_so_and_loses_nothing(
    tiny_model: Path, tmp_path: Path
) -> None:
    """That it then ends with the weights of an undisturbed run is in test_run.py and tests/test_two_machines.py."""
    fold, arguments = tmp_path / "fold-0", command(tiny_model, tmp_path)
    with started(arguments) as (launcher, said):
        wait_for((fold / "checkpoint-30").is_dir)
        os.kill(ranks(launcher)[1], signal.SIGTERM)
        output = said.read()
        assert launcher.wait() != 0
    assert output.count("stopped by SIGTERM after step") == 2
    saved = max(int(folder.name.partition("-")[2]) for folder in fold.glob("checkpoint-*"))
    assert f"saved in {fold}/checkpoint-{saved};" in output

    with started(arguments) as (launcher, said):
        wait_for((fold / "checkpoint-60").is_dir)
        os.kill(ranks(launcher)[1], signal.SIGKILL)
        killed = time.monotonic()
        output = said.read()
        assert launcher.wait() != 0
        assert time.monotonic() - killed < 10
    assert f"resuming from checkpoint-{saved}" in output
    assert "rank 1 (process" in output
    assert "killed, perhaps for want of memory" in output
    assert newest(complete_checkpoints(fold)) == fold / "checkpoint-60"


def flags(model: Path, out: Path, **changes: object) -> list[str]:
    """Those of one of two ranks that hang or stop after five seconds."""
    words = command(model, out, hang_seconds=5, **changes)
    return words[words.index("training") + 1 :]


def test_a_stopped_rank_is_named_and_ends_the_run(tiny_model: Path, tmp_path: Path) -> None:
    asked = flags(tiny_model, tmp_path, max_steps=9000, save_total_limit=1)
    with Ranks("cpu_2proc", main, (asked,), tmp_path) as ranks:
        wait_for((tmp_path / "fold-0" / "checkpoint-30").is_dir)
        rank_1 = ranks.processes[1].pid
        assert rank_1 is not None
        os.kill(rank_1, signal.SIGSTOP)
        stopped = time.monotonic()
        codes, output = ranks.ended()
        assert 5 < time.monotonic() - stopped < 30
    assert 0 not in codes
    assert f"rank 1 (process {rank_1}" in output
    assert "is stopped (SIGSTOP)" in output


def test_a_rank_that_hangs_is_named_with_the_line_it_hangs_at(tiny_model: Path, tmp_path: Path) -> None:
    with Ranks("cpu_2proc", hanging.run, ("step", flags(tiny_model, tmp_path)), tmp_path) as ranks:
        codes, output = ranks.ended()
    assert 0 not in codes
    assert "rank 1 (process" in output
    assert "hangs: no progress for" in output
    assert "in `step 5" in output
    assert "hanging.py, line" in output
    assert "rank 0 (process" not in output


def test_a_launcher_of_one_process_that_gets_sigterm_leaves_a_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    arguments = command(tiny_model, tmp_path, processes=1, max_steps=9000, save_total_limit=1)
    with started(arguments) as (launcher, said):
        wait_for((tmp_path / "fold-0" / "checkpoint-30").is_dir)
        launcher.send_signal(signal.SIGTERM)
        # Its rank outlives it to save, and holds its end of the pipe.
        output = said.read()
    assert "stopped by SIGTERM after step" in output
    assert (tmp_path / "fold-0" / "unscheduled.json").is_file()


def test_a_run_without_launcher_says_by_its_exit_code_that_it_is_not_finished(tiny_model: Path, tmp_path: Path) -> None:
    words = command(tiny_model, tmp_path, processes=1, max_steps=9000, save_total_limit=1)
    with started([sys.executable, *words[words.index("training") - 1 :]]) as (process, said):
        wait_for((tmp_path / "fold-0" / "checkpoint-30").is_dir)
        process.send_signal(signal.SIGTERM)
        assert "the same command goes on from it" in said.read()
        assert process.wait() == NOT_FINISHED


def test_a_folder_that_cannot_be_written_is_refused_before_the_model_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr("training.run.stop_with_launcher", lambda: None)
    with pytest.raises(OSError, match="file/out cannot be written"):
        main(["--model_name_or_path", str(tmp_path / "no-model"), "--output_dir", str(tmp_path / "file" / "out")])
