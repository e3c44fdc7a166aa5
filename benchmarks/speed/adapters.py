"""Eight checkpoints of one model: a fresh `lm_eval` for each, and adapters that are swapped in one process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from speed.contest import Contest, Way

COUNT = 8


def adapters(model: Path, pairs: int) -> Contest:
    """LoRA adapters with random weights on attention."""

    def ways() -> Mapping[str, Way]:
        folders = [_adapter(model, Path(tempfile.mkdtemp()), seed) for seed in range(COUNT)]

        def fresh() -> None:
            for folder in folders:
                named = f"pretrained={model},peft={folder},dtype=float32"
                _run("-m", "lm_eval", *_asked(named, pairs), "--model", "hf", "--batch_size", "16", "--device", "cpu")

        def swapped() -> None:
            _run("-c", SWAPPED, str(model), str(pairs), *map(str, folders))

        return {f"{COUNT} times lm_eval --model hf": fresh, "one process, adapters swapped": swapped}

    return Contest("adapters", f"crows_pairs, {pairs} pairs, {COUNT} adapters", ">= 2.5", ways)


SWAPPED = """
import sys, tempfile
from pathlib import Path
from harness.models.any import load_lm
from harness.scoring.evaluation import evaluate
model, pairs, *folders = sys.argv[1:]
lm = load_lm(model)
for folder in folders:
    lm.use_adapter(folder)
    evaluate(lm, ["crows_pairs"], lm.task_metadata, limits=int(pairs))
"""


def _asked(model_args: str, pairs: int) -> tuple[str, ...]:
    return ("--include_path", "tasks", "--tasks", "crows_pairs", "--model_args", model_args, "--limit", str(pairs))


def _run(*words: str) -> None:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


def _adapter(model: Path, folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    config = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(folder)
    return folder
