"""`stereoscope train`: the flags of `python -m training`, spread over processes as a config says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hostile_folder import STEREOSCOPE

from harness.experiments import train_command
from harness.machine import devices

FEW = ("--data_dir", "sample", "--num_folds", "2", "--folds", "0", "--per_device_train_batch_size", "2")
STEPS = ("--max_steps", "80", "--save_strategy", "steps", "--save_steps", "10", "--disable_tqdm", "true")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def train(folder: Path, model: Path, *flags: str) -> subprocess.Popen[str]:
    command = [*STEREOSCOPE, "train", "--model_name_or_path", str(model), "--output_dir", "out", *FEW, *STEPS, *flags]
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


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
