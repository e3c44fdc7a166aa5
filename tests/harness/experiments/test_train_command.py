"""`stereoscope train`: the flags of `python -m training`, spread over processes as a config says."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hostile_folder import STEREOSCOPE, imported, write_own_modules

from harness.experiments import train_command
from harness.machine import devices

FEW = ("--data_dir", "sample", "--num_folds", "2", "--folds", "0", "--per_device_train_batch_size", "2")
STEPS = ("--max_steps", "80", "--save_strategy", "steps", "--save_steps", "10", "--disable_tqdm", "true")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def train(folder: Path, model: Path, *flags: str) -> subprocess.Popen[str]:
    command = [*STEREOSCOPE, "train", "--model_name_or_path", str(model), "--output_dir", "out", *FEW, *STEPS, *flags]
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_by_the_name_of_a_config_are_stopped_by_sigterm_with_a_checkpoint(
    byte_llama: Path, tmp_path: Path
) -> None:
    """ZeRO-2, whose DeepSpeed file accelerate would look for in the working folder."""
    own_modules = write_own_modules(tmp_path / "mine")
    process = train(own_modules, byte_llama, "--accelerate-config", "cpu_2proc_zero2")
    fold = own_modules / "out" / "fold-0"
    deadline = time.monotonic() + 240
    while not (fold / "checkpoint-10").is_dir():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM
    saved = max(int(folder.name.partition("-")[2]) for folder in fold.glob("checkpoint-*"))
    assert f"stopped by SIGTERM after step {saved} of 80" in output
    assert imported(own_modules) == []


@pytest.mark.slow
def test_without_a_config_one_process_trains_here(byte_llama: Path, tmp_path: Path) -> None:
    process = train(tmp_path, byte_llama, "--max_steps", "1", "--save_steps", "1")
    output = process.communicate()[1]
    assert process.returncode == 0, output
    assert "1 process(es)" in output
    assert (tmp_path / "out" / "fold-0" / "trained.json").is_file()


def test_a_config_that_is_not_there_is_refused_with_the_shipped_names() -> None:
    with pytest.raises(ValueError, match=r"accelerate_config cpu_3proc: no such file .*cpu_2proc, "):
        train_command.run(["--accelerate-config", "cpu_3proc"])


def test_a_config_of_several_machines_is_refused() -> None:
    with pytest.raises(ValueError, match="num_machines is 2"):
        train_command.run(["--accelerate-config", "two_machines_ddp"])


def test_deepspeed_that_is_not_installed_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'lm-stereoscope\[deepspeed\]'"):
        train_command.run(["--accelerate-config", "cpu_2proc_zero2"])
