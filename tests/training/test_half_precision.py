"""The DeepSpeed configs of two T4s, fp16 with loss scaling and offload included, run on the CPU."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from many_runs import Run, launch

pytestmark = [pytest.mark.slow, pytest.mark.distributed]

CONFIGS = ("zero2_fp16", "zero3_offload_fp16")
"""Of the four, the plainest and the one with everything."""
FLAGS = {
    "objective": "balance",
    "num_folds": 3,
    "folds": 0,
    "data_dir": "sample",
    "per_device_train_batch_size": 8,
    "learning_rate": 5e-3,
    "adam_epsilon": 1e-6,
    "warmup_steps": 0,
    "max_steps": 12,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 12,
    "disable_tqdm": True,
}


@pytest.fixture(scope="module")
def home(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA run of each config, and of `zero2` in fp32, in folders of their names; all weights in `full`."""
    home = tmp_path_factory.mktemp("half")
    runs = []
    for name in ("zero2", *CONFIGS):
        flags = {**FLAGS, "model_name_or_path": tiny("gpt2"), "output_dir": home / name}
        runs.append(Run(flags, deepspeed=name, fp16_on_cpu=True))
    flags = {**FLAGS, "model_name_or_path": tiny("gpt2"), "output_dir": home / "full", "full": True}
    runs.append(Run({**flags, "learning_rate": 1e-3}, deepspeed="zero3_offload_fp16", fp16_on_cpu=True))
    launch("cpu_2proc_zero2", runs, home)
    return home


def losses(run: Path) -> list[float]:
    state = json.loads((run / "fold-0" / "checkpoint-12" / "trainer_state.json").read_text())
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


@pytest.mark.parametrize("name", CONFIGS)
def test_t4_config_trains_as_fp32_does_until_the_first_overflow(home: Path, name: str) -> None:
    assert losses(home / name)[:5] == pytest.approx(losses(home / "zero2")[:5], abs=2e-3)


@pytest.mark.parametrize("name", [*CONFIGS, "full"])
def test_the_loss_is_scaled_and_an_overflow_skips_a_step_only(home: Path, name: str) -> None:
    assert all(math.isfinite(loss) for loss in losses(home / name))
    folder = home / name / "fold-0" / "checkpoint-12" / "global_step12"
    (model, *_), (optimizer, *_) = (sorted(folder.glob(f"*_{kind}_states.pt")) for kind in ("model", "optim"))
    skipped = torch.load(model, weights_only=False)["skipped_steps"]
    scale = torch.load(optimizer, weights_only=False)["optimizer_state_dict"]["loss_scaler"].cur_scale
    # DeepSpeed begins at 2**16 and passes over the first overflow that follows another step without halving.
    assert skipped <= 6
    assert 2**10 <= scale <= 2**16


def test_a_checkpoint_of_half_precision_loads_plainly(home: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(home / "full" / "fold-0" / "checkpoint-12")
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
