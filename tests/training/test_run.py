"""Training as a user starts it: a process, flags and a config file, folders that survive a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forked_ranks
import pytest
import torch
from safetensors.torch import load_file

from harness.data.split import find_split
from harness.storage.weights import weights_sha256
from training.config import parse
from training.run import main, train

ROOT = Path(__file__).resolve().parents[2]
FLAGS = {
    "objective": "balance",
    "num_folds": 3,
    "folds": 0,
    "data_dir": "sample",
    "per_device_train_batch_size": 8,
    "learning_rate": 5e-3,
    # Adam divides a gradient by its own size: with the default 1e-8, weights whose gradient is nothing but the rounding
    # of a sum (taken in another order by two processes) move by 1e-3 in ten steps. 1e-6 leaves 1.4e-5.
    "adam_epsilon": 1e-6,
    "max_steps": 10,
    "save_strategy": "steps",
    "save_steps": 5,
    "logging_steps": 1,
    "disable_tqdm": True,
}
pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def flags(model: Path, output_dir: Path, **settings: object) -> list[str]:
    values = {**FLAGS, "model_name_or_path": model, "output_dir": output_dir, **settings}
    return [word for key, value in values.items() for word in (f"--{key}", str(value))]


def train_here(model: Path, output_dir: Path, **settings: object) -> None:
    """A training in this process, which has imported everything already."""
    train(*parse(flags(model, output_dir, **settings)))


def adapter(output_dir: Path, step: int = 10) -> dict[str, torch.Tensor]:
    return load_file(output_dir / "fold-0" / f"checkpoint-{step}" / "adapter_model.safetensors")


def largest_difference(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    assert left.keys() == right.keys()
    return max((left[name] - right[name]).abs().max().item() for name in left)


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("trained")
    train_here(tiny_model, output_dir)
    return output_dir


def losses(output_dir: Path, step: int = 10) -> list[float]:
    state = json.loads((output_dir / "fold-0" / f"checkpoint-{step}" / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def test_training_levels_the_pairs(trained: Path) -> None:
    assert losses(trained)[-1] < 0.7 * losses(trained)[0]


def test_checkpoints_are_sealed_and_hold_no_pickled_arguments(trained: Path) -> None:
    for step in (5, 10):
        names = {file.name for file in (trained / "fold-0" / f"checkpoint-{step}").iterdir()}
        assert {"adapter_model.safetensors", "adapter_config.json", "manifest.json"} <= names
        assert "training_args.bin" not in names
    assert json.loads((trained / "fold-0" / "trained.json").read_text())["steps"] == 10


def test_no_held_out_pair_is_trained_on(trained: Path) -> None:
    split = json.loads((trained / "fold-0" / "split.json").read_text())
    assert not set(split["train"]) & set(split["held_out"])
    assert len(split["train"]) + len(split["held_out"]) == 90


def test_each_checkpoint_names_its_own_weights_and_its_base(trained: Path, tiny_model: Path) -> None:
    folders = [trained / "fold-0" / f"checkpoint-{step}" for step in (5, 10)]
    splits = [find_split(folder) for folder in folders]
    assert [split and split.weights_sha256 for split in splits] == [weights_sha256(folder) for folder in folders]
    assert splits[0] != splits[1]
    assert {split and split.base_weights_sha256 for split in splits} == {weights_sha256(tiny_model)}
    assert "split.json" in json.loads((folders[0] / "manifest.json").read_text())


@pytest.mark.distributed
def test_two_processes_that_resume_in_the_middle_of_an_epoch_go_on_with_its_pairs_and_masks(
    tiny: Callable[..., Path], tmp_path: Path
) -> None:
    # 60 pairs, 8 a step: step 9 is in the middle of the second epoch.
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    asked = {"objective": "both", "max_steps": 12, "save_steps": 3}
    train_here(tiny("bert"), straight, **asked)
    shutil.copytree(straight, resumed)
    shutil.rmtree(resumed / "fold-0" / "checkpoint-12")
    (resumed / "fold-0" / "trained.json").unlink()
    words = flags(tiny("bert"), resumed, per_device_train_batch_size=4, **asked)
    output = forked_ranks.launch("cpu_2proc", main, (words,), tmp_path)
    assert "resuming from checkpoint-9" in output
    assert losses(resumed, 12) == pytest.approx(losses(straight, 12), abs=1e-5)
    assert largest_difference(adapter(straight, 12), adapter(resumed, 12)) < 5e-5


def test_accumulated_steps_give_the_adapter_of_one_batch(tiny_model: Path, trained: Path, tmp_path: Path) -> None:
    train_here(tiny_model, tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    assert largest_difference(adapter(trained), adapter(tmp_path)) < 5e-5


def test_a_killed_run_goes_on_to_the_same_adapter(
    tiny_model: Path, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-m", "training", *flags(tiny_model, tmp_path)]
    process = subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "fold-0" / "checkpoint-5").is_dir() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "fold-0" / "checkpoint-5" / "manifest.json").is_file()
    caplog.set_level("INFO")
    train_here(tiny_model, tmp_path)
    assert "resuming from checkpoint-" in caplog.text or "finished earlier" in caplog.text
    assert largest_difference(adapter(trained), adapter(tmp_path)) < 1e-6
    caplog.clear()
    train_here(tiny_model, tmp_path)
    assert "finished earlier, skipped" in caplog.text


def test_a_damaged_checkpoint_is_passed_over(
    tiny_model: Path, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    (tmp_path / "fold-0" / "trained.json").unlink()
    weights = tmp_path / "fold-0" / "checkpoint-10" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    caplog.set_level("INFO")
    train_here(tiny_model, tmp_path)
    assert "damaged, skipped" in caplog.text
    assert "resuming from checkpoint-5" in caplog.text
    assert largest_difference(adapter(trained), adapter(tmp_path)) < 1e-6


def test_another_runs_folder_is_refused(tiny_model: Path, trained: Path) -> None:
    with pytest.raises(ValueError, match="belongs to another run: learning_rate differ"):
        train_here(tiny_model, trained, learning_rate=1e-3)


@pytest.mark.parametrize("objective", ["anti", "both"])
def test_language_modelling_objectives_lower_their_loss(tiny_model: Path, tmp_path: Path, objective: str) -> None:
    train_here(tiny_model, tmp_path, objective=objective)
    assert losses(tmp_path)[-1] < losses(tmp_path)[0]


def test_full_fine_tuning_writes_a_plain_model(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    train_here(tiny_model, tmp_path, full=True, learning_rate=1e-3)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "fold-0" / "checkpoint-10")
    assert sum(weight.numel() for weight in model.parameters()) > 10_000


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    said = r"loss is not finite at step \d+ .*: CrowS-Pairs rows \[[\d, ]+\] of the batch of rows"
    with pytest.raises(FloatingPointError, match=said):
        train_here(tiny_model, tmp_path, learning_rate=1e30, save_steps=1, max_grad_norm=0)
    assert not (tmp_path / "fold-0" / "trained.json").exists()


def test_fewer_pairs_than_a_step_takes_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="60 pairs to train on, but a step takes 500"):
        train_here(tiny_model, tmp_path, per_device_train_batch_size=500)
