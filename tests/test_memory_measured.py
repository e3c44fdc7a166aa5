"""The planned peak against the resident memory of a process that trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MEASURE = """
import json, sys
sys.path.insert(0, "benchmarks")
from memory_measured import Case, measure, plan
case = Case(sys.argv[1], full=sys.argv[2] == "full", objective=sys.argv[3])
print(json.dumps([plan(case, gpu=False)[1].peak, measure(case, gpu=False)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "objective"), [("lora", "balance")])
def test_training_takes_the_memory_that_the_plan_tells(tmp_path: Path, how: str, objective: str) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(
        GPT2Config(vocab_size=20_000, n_embd=384, n_layer=4, n_head=6, bos_token_id=0, eos_token_id=0)
    ).save_pretrained(tmp_path)
    command = [sys.executable, "-c", MEASURE, str(tmp_path), how, objective]
    told = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    ).stdout
    planned, measured = json.loads(told.splitlines()[-1])
    assert planned == pytest.approx(measured, rel=0.15)
